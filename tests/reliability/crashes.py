"""Where a run dies: called in its process ahead of the command, so that it kills itself with SIGKILL at that point.

    template.start("feed", …, before=[("tests.reliability.crashes:die_at", "leased", str(mark))])

The mark is a file that takes the point's name just before the end: a run that has died elsewhere leaves none.
"""

import asyncio.selector_events
import importlib
import os
import signal
from collections.abc import Callable, Mapping
from functools import partial, wraps
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import Connection, Engine, event

Die = Callable[[], NoReturn]

LOGIN = b"POST /api-token-auth/"
ENERGY = (b"set_energy_forecast", b"set-energy-")
HEAD_ENDS = b"\r\n\r\n"


def die_at(point: str, mark: str) -> None:
    """Arm a point of `POINTS`."""
    POINTS[point](partial(_die, Path(mark), point))


def _die(mark: Path, point: str) -> NoReturn:
    mark.write_text(point, encoding="utf-8")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody outlives SIGKILL")


def _calling(module: str, name: str, die: Die, *, number: int = 1) -> None:
    """Die instead of the function's n-th call."""
    home = importlib.import_module(module)
    calls = count(1)
    function = getattr(home, name)

    @wraps(function)
    def instead(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == number:
            die()
        return function(*args, **kwargs)

    setattr(home, name, instead)


def _back_from(module: str, name: str, die: Die) -> None:
    """Die when the function has returned something."""
    home = importlib.import_module(module)
    function = getattr(home, name)

    @wraps(function)
    def instead(*args: Any, **kwargs: Any) -> Any:
        found = function(*args, **kwargs)
        if found:
            die()
        return found

    setattr(home, name, instead)


def _committing(statement: str, die: Die) -> None:
    """Die when a transaction that has executed a statement with this beginning is about to be committed."""
    begun: set[int] = set()

    def executed(connection: Connection, _cursor: Any, sql: str, *_: Any) -> None:
        if sql.startswith(statement):
            begun.add(id(connection.connection.dbapi_connection))

    def committing(connection: Connection) -> None:
        if id(connection.connection.dbapi_connection) in begun:
            die()

    event.listen(Engine, "after_cursor_execute", executed)
    event.listen(Engine, "commit", committing)


def _committing_after(module: str, name: str, die: Die) -> None:
    """Die when a transaction is about to be committed after the function has been called."""
    home = importlib.import_module(module)
    function = getattr(home, name)

    @wraps(function)
    def instead(*args: Any, **kwargs: Any) -> Any:
        event.listen(Engine, "commit", lambda _: die())
        return function(*args, **kwargs)

    setattr(home, name, instead)


def _executing(statement: str, die: Die) -> None:
    """Die instead of a statement with this beginning."""

    def executing(_connection: Connection, _cursor: Any, sql: str, *_: Any) -> None:
        if sql.startswith(statement):
            die()

    event.listen(Engine, "before_cursor_execute", executing)


class _Wire:
    """Looks at what the process's connections write and when they have something to read."""

    def __init__(self) -> None:
        self.transport: Any = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]

    def half_sent(self, die: Die) -> None:
        """Die when half of the first energy post's body is on its way."""
        write = self.transport.write
        heads: set[int] = set()

        def instead(transport: Any, data: Any) -> None:
            text = bytes(data)
            head, found, body = text.partition(HEAD_ENDS)
            if found and any(name in head for name in ENERGY):
                heads.add(id(transport))
            elif id(transport) in heads:
                head, found, body = b"", b"", text
            if id(transport) in heads and body:
                part = head + found + body[: len(body) // 2]
                assert transport._sock.send(part) == len(part)
                die()
            write(transport, data)

        self.transport.write = instead

    def unread(self, named: tuple[bytes, ...], die: Die, *, number: int = 1) -> None:
        """Die when the answer to the n-th request of this name has come, and not a byte of it is read."""
        write, read_ready = self.transport.write, self.transport._read_ready
        sent: list[int] = []

        def writing(transport: Any, data: Any) -> None:
            if any(name in bytes(data).partition(HEAD_ENDS)[0] for name in named):
                sent.append(id(transport))
            write(transport, data)

        def reading(transport: Any) -> None:
            if id(transport) in sent[number - 1 :]:
                die()
            read_ready(transport)

        self.transport.write, self.transport._read_ready = writing, reading


POINTS: Mapping[str, Callable[[Die], None]] = {
    "fetched": partial(_calling, "pipelines.collect.reading", "keep"),
    "storing": partial(_committing, "INSERT INTO reading "),
    "judging": partial(_committing, "UPDATE reading SET verdict"),
    "converting": partial(_committing, "INSERT INTO submission "),
    "planned": partial(_calling, "pipelines.exchange.client", "ExchangeTransport"),
    "connecting": lambda die: _Wire().unread((LOGIN,), die),
    "leased": partial(_back_from, "pipelines.deliver.run", "lease_due"),
    "mid-body": lambda die: _Wire().half_sent(die),
    "applied": lambda die: _Wire().unread(ENERGY, die),
    "answered": partial(_calling, "pipelines.deliver.sender", "record", number=2),
    "renewing": lambda die: _Wire().unread((LOGIN,), die, number=2),
    "reconciling": partial(_committing_after, "pipelines.reconcile.run", "write_discrepancies"),
    "migrating": partial(_executing, "UPDATE alembic_version"),
}
