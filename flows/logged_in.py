"""The exchange, logged in, for commands that only ask or arrange something there and leave no line in the run log."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from pipelines.clock import WallClock
from pipelines.exchange import ExchangeClient, open_exchange
from pipelines.settings import EXCHANGE_PASSWORD, EXCHANGE_USERNAME, Secrets


@asynccontextmanager
async def logged_in(base_url: str, folder: Path, *, allow_http: Collection[str] = ()) -> AsyncIterator[ExchangeClient]:
    """A connected client.

    Args:
        base_url: of the exchange.
        folder: of the community file, where `.env` may stand.
        allow_http: hosts that may be spoken to in clear, as the community file names them.

    Raises:
        ConfigurationError: no user name or password is set, or the password would travel in clear.
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
        allow_http=allow_http,
    ) as client:
        await client.connect()
        yield client
