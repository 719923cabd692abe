"""One feed run in a fresh process, as a worker or cron starts it; tells what it took as a line of JSON.

python -m tests.benchmarks.feed_run INSTANT (plain | warm | SHARE | reconcile | fleet) FILE ...
"""

import time

BEGAN = time.perf_counter()

import asyncio  # noqa: E402 - what is imported is measured
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from datetime import datetime  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from expectations.names import Suite  # noqa: E402
from flows.feed import feed_once  # noqa: E402
from flows.fleet import run_fleet  # noqa: E402
from flows.reconcile import reconcile_once  # noqa: E402
from flows.session import Run, open_run, tell_nobody  # noqa: E402
from pipelines.shares import WHOLE, Share  # noqa: E402
from pipelines.validate.engine import warm_up  # noqa: E402
from tests.benchmarks.processes import peak_mib  # noqa: E402

IMPORTED_S = time.perf_counter() - BEGAN


async def feed_of(file: str, at: datetime, share: Share) -> Run:
    """As `slotfeed feed` runs it."""
    async with open_run("feed", file, at=at, tell=tell_nobody, share=share) as run:
        await feed_once(run)
    return run


async def reconciliation(file: str, at: datetime) -> Run:
    """As `slotfeed reconcile` runs it."""
    async with open_run("reconcile", file, at=at, tell=tell_nobody) as run:
        await reconcile_once(run, repair=False)
    return run


def main() -> None:
    """Run, and print what it took."""
    at, how, files = datetime.fromisoformat(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if how == "warm":
        warm_up(Suite.READINGS)
    told: dict[str, Any] = {"imports_s": IMPORTED_S}
    began = time.perf_counter()
    if how == "fleet":
        members = asyncio.run(run_fleet("feed", [Path(file) for file in files], at=at))
        told["not_ok"] = [f"{one.outcome}: {one.told}" for one in members if one.outcome != "ok"]
    else:
        if how == "reconcile":
            run = asyncio.run(reconciliation(files[0], at))
        else:
            run = asyncio.run(feed_of(files[0], at, Share.parse(how) if "/" in how else WHOLE))
        told |= {"stages_s": run.stages_s, "summary": _small(run.summary)}
    usage = os.times()
    told |= {"run_s": time.perf_counter() - began, "cpu_s": usage.user + usage.system, "peak_mib": peak_mib()}
    sys.stdout.write("\n" + json.dumps(told) + "\n")


def _small(summary: dict[str, Any]) -> dict[str, dict[str, int]]:
    return {
        step: {name: value for name, value in done.items() if isinstance(value, int)}
        for step, done in summary.items()
        if isinstance(done, dict)
    }


if __name__ == "__main__":
    main()
