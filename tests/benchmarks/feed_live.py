"""Three live slots of one or more communities, each run in fresh processes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from tests.benchmarks.feed_place import HISTORY, LATER, NOON, PASSWORD, SLOT, USERNAME, Site
from tests.benchmarks.processes import children_cpu_s

ROOT = Path(__file__).parents[2]
RUNS = 3
LAST = NOON + (RUNS - 1) * SLOT + LATER
"""Logical time of the last run."""


def live(
    sites: Sequence[Site], exchange: httpx.Client, *ways: Sequence[str], last: Callable[[], Any] | None = None
) -> tuple[list[dict[str, Any]], float]:
    """Three slots of the sites.

    Args:
        sites: made, never read.
        exchange: their sandbox.
        ways: for each process that carries the sites side by side, what it is told after the instant.
        last: carries the sites in the last run, in place of these processes.

    Returns:
        What each process of the last run told, and the CPU time that the exchange spent in it.
    """
    read_until, told, theirs_s = NOON - HISTORY, [], 0.0
    for turn in range(RUNS):
        start = NOON + turn * SLOT
        for site in sites:
            site.read_meters(read_until, start)
        read_until = start
        exchange.put("/sandbox/clock", json={"now": (start + LATER).isoformat()}).raise_for_status()
        before = children_cpu_s("sandbox.exchange")
        if last is None or start + LATER < LAST:
            told = run(start + LATER, *ways)
        else:
            last()
        theirs_s = children_cpu_s("sandbox.exchange") - before
    # Values count from a market cycle on: without the next one the exchange would hold none of the last run's.
    exchange.put("/sandbox/clock", json={"now": (NOON + RUNS * SLOT + LATER).isoformat()}).raise_for_status()
    return told, theirs_s


def run(at: datetime, *ways: Sequence[str]) -> list[dict[str, Any]]:
    """Processes side by side; what each told, and how long it lasted."""
    secrets = {"SLOTFEED_EXCHANGE_USERNAME": USERNAME, "SLOTFEED_EXCHANGE_PASSWORD": PASSWORD}
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.benchmarks.feed_run", at.isoformat()]
    began = time.perf_counter()
    running = [
        subprocess.Popen(
            [*command, *way],
            env=os.environ | secrets | quiet,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for way in ways
    ]
    told = []
    for one in running:
        out, err = one.communicate()
        if one.returncode:
            raise RuntimeError(f"the run at {at} ended with status {one.returncode}: {err[-2000:]}")
        told.append(json.loads(out.strip().rsplit("\n", 1)[-1]) | {"wall_s": time.perf_counter() - began})
    return told
