"""Reads a day of an account, without and with the store."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from accounts import END, START, Account
from processes import peak_mib
from waits import Sandbox, Waits

from pipelines.clock import Clock
from pipelines.collect.cloud.account import CloudSource, Surroundings, open_account
from pipelines.collect.cloud.http import CloudHttp, Reply
from pipelines.collect.cloud.standing import read_account
from pipelines.collect.cloud.websocket import Talk, talking
from pipelines.collect.normalise import normalise, stream_frame
from pipelines.collect.run import collect
from pipelines.collect.source import Fetch
from pipelines.collect.vendors import home_assistant
from pipelines.collect.windows import plan
from pipelines.daylight import place_of
from pipelines.store import Store, open_store


@dataclass(kw_only=True)
class Tape:
    """What a vendor answered."""

    replies: dict[str, tuple[int, list[tuple[str, str]], bytes]] = field(default_factory=dict)
    """What was asked -> status, headers, body."""

    messages: list[bytes] = field(default_factory=list)
    """Of the websocket."""

    folder: Path
    """Where the account kept its list of devices."""

    at: datetime
    """The time at which the vendor was first asked."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What reading without the store took."""

    seconds: float
    windows: int
    readings: int
    tape: Tape


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What `collect` took."""

    seconds: float
    readings: int
    requests: int
    waited: timedelta
    peak_mib: float


@contextmanager
def surroundings(
    account: Account, clock: Clock, sleep: Callable[[float], None], folder: Path
) -> Iterator[Surroundings]:
    """A backfill's, with an empty store that only counts requests."""
    where = account.community().community
    store = open_store(f"sqlite:///{folder / 'store.sqlite'}")
    try:
        yield Surroundings(
            store=store,
            secrets=account.secrets(folder),
            folder=folder,
            place=place_of(where.latitude, where.longitude, where.time_zone),
            now=clock.now,
            gives_up=None,
            sleep=sleep,
        )
    finally:
        store.close()


@contextmanager
def open_source(account: Account, around: Surroundings, prepare: Callable[[CloudHttp], None]) -> Iterator[CloudSource]:
    """As `open_cloud`, with a hand on the HTTP client before the session begins."""
    settings: Any = account.community().sources[account.vendor]
    with open_account(account.vendor, account.api, settings, around) as opened:
        prepare(opened.http)
        known = read_account(around.store, account.vendor)
        yield CloudSource(opened, account.api, account.api.open(opened), around, known=known)


def questions(account: Account, source: CloudSource, around: Surroundings) -> tuple[Any, list[Fetch]]:
    """The streams and the windows of the day, as `pipelines.collect.reading` makes them for a backfill."""
    community = account.community()
    streams = community.streams()
    end = min(END, around.now() - source.settle)
    windows = plan(dict.fromkeys(streams, START), end, source.longest_window)
    return stream_frame(streams.values(), "UTC", community.slot_length), [
        Fetch(
            source=source.name,
            start=window.start,
            end=window.end,
            since=None,
            received_at=around.now(),
            run_id="bench",
        )
        for window in windows
    ]


def fetch(account: Account, folder: Path) -> Fetched:
    """Ask for the day and make readings of it, keeping the vendor's answers on a tape."""
    waits = Waits(Sandbox(account.url))
    tape = Tape(folder=folder, at=waits.now())
    with surroundings(account, waits, waits.sleep, folder) as around, _recording(tape) as prepare, waits.watching():
        began, readings = time.perf_counter(), 0
        with open_source(account, around, prepare) as source:
            frame, windows = questions(account, source, around)
            for window in windows:
                answer = source.read(frame, window)
                if answer.failed:
                    raise next(iter(answer.failed.values()))
                readings += normalise(answer.rows, frame, source.wording, window).frame.height
        seconds = time.perf_counter() - began
    return Fetched(seconds=seconds, windows=len(windows), readings=readings, tape=tape)


def fill_store(account: Account) -> Stored:
    """`collect` the day into an empty SQLite store; the peak is the process's, so give it one of its own."""
    sandbox = Sandbox(account.url)
    waits, community = Waits(sandbox), account.community()
    sandbox.forget()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store: Store = open_store(f"sqlite:///{folder / 'store.sqlite'}")
        began = time.perf_counter()
        with waits.watching():
            summary = collect(
                store,
                community,
                account.secrets(folder),
                folder=folder,
                end=END,
                run_id="bench",
                clock=waits,
                start=START,
                sleep=waits.sleep,
            )
        seconds = time.perf_counter() - began
        store.close()
    if summary.devices_failed or summary.sources_failed or summary.streams_without_data:
        raise RuntimeError(f"{account.vendor}: not all was read: {summary}")
    return Stored(
        seconds=seconds,
        readings=summary.stored,
        requests=sandbox.requests(account.vendor),
        waited=waits.total,
        peak_mib=peak_mib(),
    )


@contextmanager
def _recording(tape: Tape) -> Iterator[Callable[[CloudHttp], None]]:
    def prepare(http: CloudHttp) -> None:
        send = http._send

        def recorded(method: str, path: str, *, what: str, **content: Any) -> Reply:
            reply = send(method, path, what=what, **content)
            tape.replies[what] = (reply.status, list(reply.headers.items()), reply.body)
            return reply

        http._send = recorded  # type: ignore[method-assign]

    @contextmanager
    def overheard(http: CloudHttp, path: str, *, what: str) -> Iterator[Talk]:
        with talking(http, path, what=what) as talk:
            hear = talk.connection.recv

            def recorded(**options: Any) -> Any:
                message = hear(**options)
                tape.messages.append(bytes(message))
                return message

            talk.connection.recv = recorded  # type: ignore[method-assign]
            yield talk

    with mock.patch.object(home_assistant, "talking", overheard):
        yield prepare
