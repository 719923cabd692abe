"""Prove that the archive is what its manifest says: every file there, unchanged, and with as many rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from pipelines.archive.days import RESULTS
from pipelines.archive.downloads import STATISTICS
from pipelines.archive.manifest import Day, Manifest, read_manifest
from pipelines.whole_files import UNFINISHED, sha256_of

AGAIN = "Delete it and run `slotfeed archive run`: the exchange has its results for 90 days; else take it from a backup"
ADD_AGAIN = "Take it from a backup, or delete it and add the download again"


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Something that isn't as it should be."""

    file: str
    """Path below the archive of the simulation."""

    problem: str
    remedy: str


def verify(root: Path, *, simulation: str) -> tuple[Manifest, list[Trouble]]:
    """Look at every file.

    Returns:
        The manifest, and what is wrong, in the order of the manifest and then of the folder.

    Raises:
        TerminalError: the manifest can't be read.
    """
    manifest = read_manifest(root, simulation=simulation)
    return manifest, [*_of_entries(root, manifest), *_strangers(root, manifest)]


def _of_entries(root: Path, manifest: Manifest) -> Iterator[Trouble]:
    for entry in manifest.days.values():
        yield from _file(root, entry.file, entry.sha256, AGAIN)
        yield from _rows(root, entry.file, entry.rows, RESULTS)
        yield from _counts(entry)
    for sha256, download in manifest.downloads.items():
        yield from _file(root, download.zip_file, sha256, ADD_AGAIN)
        yield from _file(root, download.parquet_file, download.parquet_sha256, ADD_AGAIN)
        yield from _rows(root, download.parquet_file, download.rows, STATISTICS)


def _file(root: Path, file: str, sha256: str, remedy: str) -> Iterator[Trouble]:
    try:
        found = sha256_of(root / file)
    except FileNotFoundError:
        yield Trouble(file=file, problem="is missing", remedy=remedy)
        return
    except OSError as error:
        yield Trouble(file=file, problem=f"can't be read ({error.strerror or error})", remedy=remedy)
        return
    if found != sha256:
        yield Trouble(file=file, problem=f"has changed: SHA-256 {found[:12]}.., not {sha256[:12]}..", remedy=remedy)


def _rows(root: Path, file: str, rows: int, schema: pl.Schema) -> Iterator[Trouble]:
    try:
        lazy = pl.scan_parquet(root / file)
        columns, found = lazy.collect_schema(), lazy.select(pl.len()).collect().item()
    except (OSError, PolarsError):
        if (root / file).exists():
            yield Trouble(file=file, problem="is no readable Parquet file", remedy=AGAIN)
        return
    if columns != schema:
        yield Trouble(file=file, problem=f"has other columns: {', '.join(columns)}", remedy=AGAIN)
    if found != rows:
        yield Trouble(file=file, problem=f"has {found:,} rows, not {rows:,}", remedy=AGAIN)


def _counts(entry: Day) -> Iterator[Trouble]:
    if entry.slots_found > entry.rows:
        problem = f"its entry counts {entry.slots_found:,} slots in {entry.rows:,} rows"
        yield Trouble(file=entry.file, problem=problem, remedy=AGAIN)


def _strangers(root: Path, manifest: Manifest) -> Iterator[Trouble]:
    known = {entry.file for entry in manifest.days.values()}
    known |= {file for one in manifest.downloads.values() for file in (one.zip_file, one.parquet_file)}
    for path in sorted(root.rglob("*")):
        file = path.relative_to(root).as_posix()
        if path.is_dir() or file in known or file in {"manifest.json", ".lock"}:
            continue
        if path.name.endswith(UNFINISHED):
            yield Trouble(file=file, problem="was left by a run that died", remedy="Delete it")
        else:
            remedy = "A run that died leaves such a day to the next: `slotfeed archive run`; else move it away"
            yield Trouble(file=file, problem="isn't in the manifest", remedy=remedy)
