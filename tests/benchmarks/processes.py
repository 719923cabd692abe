"""Work in a process of its own, so that neither time nor memory of another counts."""

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
