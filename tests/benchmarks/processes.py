"""Work in a process of its own, so that neither time nor memory of another counts."""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")


def in_own_process(work: Callable[..., Any], *arguments: object) -> Any:
    """What the work returns, from a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def peak_mib() -> float:
    """Peak resident memory of this process: Linux alone tells. getrusage's would begin with that of the parent."""
    if not STATUS.exists():
        return float("nan")
    line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def children_cpu_s(named: str) -> float:
    """CPU seconds so far of this process's own children whose command line has the name in it; Linux alone tells."""
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # What follows the name of the program, which may hold spaces: state, parent and so on (man 5 proc).
            fields = (folder / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and named in command:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
