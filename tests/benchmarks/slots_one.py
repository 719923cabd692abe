"""One way of making slots, measured in this process: `python slots_one.py WAY FOLDER WARM_UP RESULT`.

Prints seconds, seconds of CPU and the peak of resident memory in MB, as JSON. What is timed begins with opening the
file and ends with the slots in memory, or written, where they come in parts. Before, the way runs once over a few
readings, so that imports and the start of threads aren't counted.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.frames import SLOT_ENERGY

SLOT = timedelta(minutes=15)
ASSETS_AT_ONCE = 350
READINGS, STREAMS = "readings.parquet", "streams.parquet"


def peak_mb() -> float:
    """The most memory that was resident so far."""
    # Not getrusage's: there a child begins with its parent's peak.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


def slotfeed(readings: Path, streams: Path, _result: Path) -> pl.DataFrame:
    """As `convert` does."""
    kernel = import_module("pipelines.convert.kernel")
    found = kernel.slot_energy(pl.scan_parquet(readings), streams_per_asset=pl.scan_parquet(streams), slot_length=SLOT)
    return found.collect()


def in_parts(readings: Path, streams: Path, result: Path) -> None:
    """So many assets at once, each part written as it comes."""
    kernel = import_module("pipelines.convert.kernel")
    parts = kernel.slot_energy_in_parts(
        pl.scan_parquet(readings),
        streams_per_asset=pl.scan_parquet(streams),
        slot_length=SLOT,
        assets_at_once=ASSETS_AT_ONCE,
    )
    shutil.rmtree(result, ignore_errors=True)
    result.mkdir()
    for number, part in enumerate(parts):
        part.write_parquet(result / f"{number:04d}.parquet")


def pandas(readings: Path, streams: Path, _result: Path) -> Any:
    """With names as text."""
    return import_module("slots_pandas").slots(readings, streams, SLOT, categories=False)


def pandas_categories(readings: Path, streams: Path, _result: Path) -> Any:
    """With names as categories, as the file's dictionaries have them."""
    return import_module("slots_pandas").slots(readings, streams, SLOT, categories=True)


def duckdb(readings: Path, streams: Path, _result: Path) -> Any:
    """Partitioned by names."""
    return import_module("slots_duckdb").slots(readings, streams, SLOT, numbered=False)


def duckdb_numbered(readings: Path, streams: Path, _result: Path) -> Any:
    """Streams numbered first."""
    return import_module("slots_duckdb").slots(readings, streams, SLOT, numbered=True)


WAYS: dict[str, Callable[[Path, Path, Path], Any]] = {
    way.__name__: way for way in (slotfeed, in_parts, pandas, pandas_categories, duckdb, duckdb_numbered)
}
NEEDS = {"pandas": "slots_pandas", "duckdb": "slots_duckdb"}


def as_slots(found: Any) -> pl.DataFrame:
    """A result in the kernel's types, to be compared."""
    frame = found if isinstance(found, pl.DataFrame) else pl.from_pandas(found)
    return frame.select(pl.col(name).cast(dtype) for name, dtype in SLOT_ENERGY.items())


def main() -> None:
    """Run, print, and write the result in the kernel's types."""
    way, folder, warm_up, result = sys.argv[1], *(Path(argument) for argument in sys.argv[2:5])
    # Each way's process holds what that way needs and nothing else.
    import_module(NEEDS.get(way.split("_")[0], "pipelines.convert.kernel"))
    WAYS[way](warm_up / READINGS, warm_up / STREAMS, result)
    began, began_cpu = time.perf_counter(), time.process_time()
    found = WAYS[way](folder / READINGS, folder / STREAMS, result)
    measured = {
        "seconds": time.perf_counter() - began,
        "cpu_s": time.process_time() - began_cpu,
        "peak_mb": peak_mb(),
    }
    if found is not None:
        as_slots(found).write_parquet(result)
    sys.stdout.write(json.dumps(measured))


if __name__ == "__main__":
    main()
