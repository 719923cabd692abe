"""One server for many exchanges, one after the other: each is new, or goes on where a ledger stands."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.clock import FixedClock
from pipelines.sandbox.connections import Connections
from pipelines.sandbox.demo_community import registry_json
from pipelines.sandbox.exchange.app import create_app
from pipelines.sandbox.exchange.ctn import Ctn, open_ctn
from pipelines.sandbox.exchange.ways_in import read_origin
from pipelines.sandbox.listen import server_config
from tests.flows.places import PASSWORD, USERNAME

PATIENCE_S = 60.0


class ExchangeServer:
    """Its address stays the same; what answers there is `open`ed for each place. In a thread of the tests' process."""

    def __init__(self) -> None:
        """Take a free port of loopback."""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._app: ASGIApp | None = None
        self._connections = Connections()
        config = server_config(self, self._connections, ws="websockets-sansio")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    @property
    def url(self) -> str:
        """Its address, without a trailing slash."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to the exchange that is open."""
        assert self._app is not None
        await self._app(scope, receive, send)

    @contextlib.contextmanager
    def open(self, outside: Path, *, start: datetime) -> Iterator[Ctn]:
        """The demo community's exchange, by a driven clock.

        Args:
            outside: folder of its files; a ledger that stands there is gone on with.
            start: where its clock stands at first.
        """
        registry = outside / "registry.json"
        if not registry.exists():
            registry.write_text(json.dumps(registry_json()), encoding="utf-8")
        ctn = open_ctn(
            twin=read_origin(registry).twin,
            clock=FixedClock(start),
            database=outside / "exchange.sqlite",
            admin=(USERNAME, PASSWORD),
            hang_up=self._connections.hang_up,
        )
        self._app = create_app(ctn)
        try:
            yield ctn
        finally:
            self._app = None
            ctn.close()

    @contextlib.contextmanager
    def serving(self) -> Iterator[httpx.Client]:
        """A client of it, as long as it serves."""
        self._thread.start()
        try:
            ends = time.monotonic() + PATIENCE_S
            while not self._server.started:
                assert time.monotonic() < ends, "the exchange's server doesn't start"
                time.sleep(0.01)
            with httpx.Client(base_url=self.url, timeout=PATIENCE_S) as client:
                yield client
        finally:
            self._server.should_exit = True
            self._thread.join()
            self._socket.close()
