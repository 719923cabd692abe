"""The token that all workers share, when it is refused."""

import asyncio
from datetime import datetime

from pipelines.clock import FixedClock
from pipelines.exchange.tokens import TokenKeeper


async def test_many_workers_whose_token_is_refused_log_in_once(noon: datetime) -> None:
    logins = 0

    async def login() -> str:
        nonlocal logins
        logins += 1
        told = f"token {logins}"
        await asyncio.sleep(0)
        return told

    keeper, clock = TokenKeeper(login), FixedClock(noon)
    refused = await keeper.get(clock)
    tokens = await asyncio.gather(*(keeper.replace(refused, clock) for _ in range(10)))
    assert (set(tokens), logins) == ({"token 2"}, 2)
    # One that was refused long ago is no reason to log in again.
    assert (await keeper.replace(refused, clock), logins) == ("token 2", 2)
