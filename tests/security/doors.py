"""Every way out of slotfeed that carries a secret, each as a function that goes through it once."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from pipelines.clock import FixedClock
from pipelines.collect.cloud.budget import Budget
from pipelines.collect.cloud.door import open_client
from pipelines.collect.cloud.http import CloudHttp, Manners
from pipelines.collect.cloud.renew import renew
from pipelines.collect.cloud.tokens import TokenFile, Tokens
from pipelines.collect.cloud.websocket import talking
from pipelines.errors import SlotfeedError
from pipelines.exchange import open_exchange
from pipelines.exchange.graphql import list_aggregators
from pipelines.exchange.listener import open_listener
from pipelines.store import open_store

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PASSWORD, TOKEN, KEY, REFRESH = "pw-6d1f9c", "tok-77ab31", "key-90bd4e", "ref-c4e812"
SECRETS = (PASSWORD, TOKEN, KEY, REFRESH)


async def no_wait(_: float) -> None:
    await asyncio.sleep(0)


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a door leads."""

    url: str
    folder: Path
    allow_http: Collection[str] = ()


def _exchange(to: Address, *, graphql: bool = False) -> str:
    async def go() -> None:
        async with open_exchange(
            base_url=to.url,
            username=SecretStr("me"),
            password=SecretStr(PASSWORD),
            clock=FixedClock(NOW),
            concurrency=1,
            allow_http=to.allow_http,
            sleep=no_wait,
        ) as client:
            if graphql:
                await list_aggregators(client)
            else:
                await client.connect()

    try:
        asyncio.run(go())
    except SlotfeedError as error:
        return str(error)
    return ""


def exchange(to: Address) -> str:
    """Log in at the exchange."""
    return _exchange(to)


def graphql(to: Address) -> str:
    """Log in, and ask GraphQL with the token."""
    return _exchange(to, graphql=True)


def websocket(to: Address) -> str:
    """The exchange's websocket, with a token that was had before."""

    async def go() -> str:
        async with open_exchange(
            base_url="https://exchange.example",
            username=SecretStr("me"),
            password=SecretStr(PASSWORD),
            clock=FixedClock(NOW),
            concurrency=1,
            allow_http=to.allow_http,
        ) as client:

            async def login() -> str:
                return TOKEN

            client.tokens._login = login
            tried = asyncio.Event()

            async def once(_: float) -> None:
                tried.set()
                await asyncio.Event().wait()

            url = to.url.replace("http", "ws", 1) + "/external-ws/sim/asset/"
            async with open_listener(client, url=url, slot_length=timedelta(minutes=15), sleep=once) as listener:
                async with asyncio.timeout(20):
                    await tried.wait()
                return listener.problem

    try:
        return asyncio.run(go())
    except SlotfeedError as error:
        return str(error)


def _cloud(to: Address, ask: Callable[[CloudHttp], object]) -> str:
    store = open_store("sqlite://")
    try:
        with open_client(to.url, where="source 'acc'", allow_http=to.allow_http) as client:
            http = CloudHttp(
                source="acc",
                client=client,
                budget=Budget(store, "acc", ()),
                unreadable=to.folder / "unreadable",
                now=lambda: NOW,
                sleep=lambda _: None,
                hidden=[KEY],
                manners=Manners(headers=lambda: {"X-API-Key": KEY}),
            )
            ask(http)
    except SlotfeedError as error:
        return str(error)
    finally:
        store.close()
    return ""


def cloud(to: Address) -> str:
    """A vendor's HTTP interface."""
    return _cloud(to, lambda http: http.get("/things", what="things"))


def cloud_login(to: Address) -> str:
    """A vendor's login."""
    return _cloud(to, lambda http: http.login("/login", what="login", body={"systemCode": KEY}))


def cloud_websocket(to: Address) -> str:
    """A vendor's websocket: the key goes as the first message."""

    def ask(http: CloudHttp) -> None:
        with talking(http, "/api/websocket", what="talk") as talk:
            talk.say({"access_token": KEY})

    return _cloud(to, ask)


def renewal(to: Address) -> str:
    """The child that renews a vendor's tokens."""
    file = TokenFile(to.folder / "tokens", "acc")
    file.write(Tokens(access=TOKEN, refresh=REFRESH, expires_at=NOW))
    task = {
        "source": "acc",
        "folder": str(to.folder / "tokens"),
        "address": f"{to.url}/oauth2/token",
        "client_id": "me",
        "client_secret": KEY,
        "refused": TOKEN,
        "now": NOW.isoformat(),
    }
    try:
        renew(task)
    except SlotfeedError as error:
        return str(error)
    return ""


DOORS: dict[str, Callable[[Address], str]] = {
    door.__name__: door for door in (exchange, graphql, websocket, cloud, cloud_login, cloud_websocket, renewal)
}
"""Name -> goes to an address once, and returns the error in words; empty where there is none."""


def host(url: str) -> str:
    return urlsplit(url).hostname or ""
