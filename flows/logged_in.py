"""The exchange, logged in, for commands that only ask or arrange something there and leave no line in the run log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pipelines.clock import WallClock
from pipelines.exchange import ExchangeClient, open_exchange
from pipelines.settings import EXCHANGE_PASSWORD, EXCHANGE_USERNAME, Secrets


@asynccontextmanager
async def logged_in(base_url: str, folder: Path) -> AsyncIterator[ExchangeClient]:
    """A connected client.

    Args:
        base_url: of the exchange.
        folder: of the community file, where `.env` may stand.

    Raises:
        ConfigurationError: no user name or password is set.
        AuthenticationError: they are refused.
        ExchangeUnavailable: no answer after all tries.
    """
    secrets = Secrets(folder)
    async with open_exchange(
        base_url=base_url,
        username=secrets.need(EXCHANGE_USERNAME, purpose="the exchange's user name"),
        password=secrets.need(EXCHANGE_PASSWORD, purpose="the exchange's password"),
        clock=WallClock(),
        concurrency=1,
    ) as client:
        await client.connect()
        yield client
