"""How many posts a second the sandbox's exchange takes on one core."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from posting_bare import bodies, send_all
from posting_exchange import open_exchange_of

ASSETS = 200
POSTS = 10_000
CONNECTIONS = 50


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What one dialect's posts took."""

    protocol: str
    per_second: float


def measure(folder: Path) -> tuple[list[Taken], bool]:
    """Post in both dialects.

    Returns:
        The figures, and whether the exchange had a core for itself.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    apart = len(cores) > 1
    found = []
    # The exchange keeps the core that this process has when it starts it.
    with _on(cores[:1] if apart else []), open_exchange_of(ASSETS, folder) as exchange, _on(cores[1:2]):
        for protocol in ("sdk", "rest"):
            slot = exchange.next_slot()
            energy_wh = [100.0 + number for number in range(POSTS)]
            messages = bodies(exchange, protocol, slot, energy_wh)
            posted = asyncio.run(send_all(exchange.url, messages, connections=CONNECTIONS))
            noted, _ = exchange.noted()
            if noted != POSTS:
                raise RuntimeError(f"{noted} posts noted, {POSTS} sent")
            found.append(Taken(protocol=protocol, per_second=POSTS / posted.seconds))
    return found, apart


@contextmanager
def _on(cores: list[int]) -> Iterator[None]:
    """Run this process on these cores; where none are named, leave it as it is."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
