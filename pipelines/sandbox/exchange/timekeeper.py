"""Lets the engine live on while nobody asks it anything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from pipelines.sandbox.exchange.ctn import Ctn

LONGEST_NAP_S = 1.0
"""The clock may be stepped, so it is looked at this often."""

SHORTEST_NAP_S = 0.01


@asynccontextmanager
async def keep_time(ctn: Ctn) -> AsyncIterator[None]:
    """Serve ticks and market cycles when they are due, as long as the block runs."""
    keeper = asyncio.create_task(_live(ctn))
    try:
        yield
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper


async def _live(ctn: Ctn) -> None:
    while True:
        ctn.advance()
        due_in_s = (ctn.next_tick() - ctn.clock.now()).total_seconds()
        await asyncio.sleep(min(max(due_in_s, SHORTEST_NAP_S), LONGEST_NAP_S))
