"""A server on loopback that answers what a test says, and the shared client in front of it."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipelines.clock import FixedClock
from pipelines.collect.cloud.budget import Budget, Limit
from pipelines.collect.cloud.door import open_client
from pipelines.collect.cloud.http import CloudHttp, Manners
from pipelines.store import Store

TOKEN = "tok-5f3c-hush"


@dataclass(frozen=True, kw_only=True)
class Told:
    """One answer."""

    status: int = 200
    body: bytes = b'{"ok":true}'
    headers: tuple[tuple[str, str], ...] = ()
    announced: int | None = None
    """Length that the headers tell, where it isn't the body's."""


@dataclass
class Server:
    """Answers from `answers`, then `{"ok":true}`; or what `decide` says."""

    url: str
    date: datetime
    answers: deque[Told] = field(default_factory=deque)
    decide: Callable[[dict[str, str]], Told] | None = None
    seen: list[dict[str, str]] = field(default_factory=list)
    """Headers of each request, with `:path` and `:body`."""

    def tell(self, status: int = 200, body: bytes = b'{"ok":true}', *, times: int = 1, **rest: Any) -> None:
        """Answer like this, after what was said before; `rest` are headers, with _ for -, and `announced`."""
        announced = rest.pop("announced", None)
        headers = tuple((name.replace("_", "-"), value) for name, value in rest.items())
        self.answers.extend([Told(status=status, body=body, headers=headers, announced=announced)] * times)

    def answer(self, request: dict[str, str]) -> Told:
        self.seen.append(request)
        if self.decide is not None:
            return self.decide(request)
        return self.answers.popleft() if self.answers else Told()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up in the middle of a body is what some tests want."""


@pytest.fixture
def make_server(noon: datetime) -> Iterator[Callable[[], Server]]:
    """Start servers; their Date is noon."""
    with contextlib.ExitStack() as running:

        def make() -> Server:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    length = int(self.headers.get("Content-Length") or 0)
                    sent = {":path": self.path, ":body": self.rfile.read(length).decode()}
                    told = server.answer({name.lower(): value for name, value in self.headers.items()} | sent)
                    self.send_response(told.status)
                    for name, value in told.headers:
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(told.announced or len(told.body)))
                    self.end_headers()
                    self.wfile.write(told.body)

                do_POST = do_GET  # noqa: N815 - the library's names

                def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002
                    return format_datetime(server.date, usegmt=True)

                def log_message(self, *_: object) -> None:
                    """The tests' own output is enough."""

            listener = running.enter_context(_Quiet(("127.0.0.1", 0), Handler))
            server = Server(url=f"http://127.0.0.1:{listener.server_port}", date=noon)
            thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            running.callback(thread.join)
            running.callback(listener.shutdown)
            return server

        yield make


@pytest.fixture
def server(make_server: Callable[[], Server]) -> Server:
    return make_server()


@dataclass
class Desk:
    """Makes clients of a server; waiting moves their clock."""

    server: Server
    store: Store
    folder: Path
    clock: FixedClock
    waits: list[float]
    clients: contextlib.ExitStack

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.set(self.clock.now() + timedelta(seconds=seconds))

    def http(
        self, *limits: Limit, url: str | None = None, gives_up_s: float | None = None, **manners: Any
    ) -> CloudHttp:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return CloudHttp(
            source="acc",
            client=self.clients.enter_context(open_client(url or self.server.url, where="source 'acc'")),
            budget=Budget(self.store, "acc", limits),
            unreadable=self.folder / "unreadable",
            now=self.clock.now,
            sleep=self.sleep,
            gives_up=None if gives_up_s is None else self.clock.now() + timedelta(seconds=gives_up_s),
            hidden=[TOKEN],
            manners=Manners(**({"headers": lambda: headers} | manners)),
        )

    def kept(self) -> list[Path]:
        """Files of answers that could not be read."""
        return sorted((self.folder / "unreadable").glob("*"))


@pytest.fixture
def desk(server: Server, sqlite_store: Store, tmp_path: Path, noon: datetime) -> Iterator[Desk]:
    with contextlib.ExitStack() as clients:
        yield Desk(server, sqlite_store, tmp_path, FixedClock(noon), [], clients)
