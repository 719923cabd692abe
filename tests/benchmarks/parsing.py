"""From kept answers to `ROWS`: the vendor's own session on a tape, and a plain loop over the same bytes.

The session runs as it is, but its requests are answered from the tape at once: no network, no budget, no threads.
"""

import gc
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any
from unittest import mock

import httpx
import orjson
import polars as pl
from accounts import Account
from reading import Tape, open_source, questions, surroundings

from pipelines.clock import FixedClock
from pipelines.collect.cloud.http import CloudHttp, Reply
from pipelines.collect.cloud.websocket import Talk
from pipelines.collect.vendors import home_assistant
from pipelines.collect.vendors.victron_vrm import FLOWS

REPEATS, LOOP_REPEATS = 5, 3

Point = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """CPU time of one vendor's day."""

    points: int
    size: int
    """Bytes of JSON."""

    seconds: tuple[float, ...]
    peer_seconds: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Points per second, at the median."""
        return self.points / median(self.seconds)

    @property
    def best_rate(self) -> float:
        return self.points / min(self.seconds)

    @property
    def ratio(self) -> float:
        """How many times as fast as the plain loop, at the medians."""
        return median(self.peer_seconds) / median(self.seconds)


def parse_all(tapes: Mapping[Account, Tape]) -> dict[Account, Parsed]:
    """Both ways for each vendor; to be run with POLARS_MAX_THREADS=1 in a process of its own."""
    if pl.thread_pool_size() != 1:
        raise RuntimeError("polars must have one thread here")
    return {account: parse(account, tape) for account, tape in tapes.items()}


def parse(account: Account, tape: Tape) -> Parsed:
    """Both ways on the same bytes."""
    bodies = [body for what, (_, _, body) in tape.replies.items() if _tells_points(what)] + tape.messages
    peer = PEERS[account.vendor]
    clock = FixedClock(tape.at)
    seconds, peer_seconds = [], []
    with surroundings(account, clock, _never, tape.folder) as around, _replaying(tape) as prepare:
        for _ in range(REPEATS):
            with open_source(account, around, prepare) as source:
                frame, windows = questions(account, source, around)
                if account.vendor == "victron_vrm":
                    # Every answer holds all flows of a site; so all registers that are sums of them are wanted.
                    frame = pl.concat([frame.with_columns(wanted=pl.lit(name)) for name in FLOWS])
                took, rows = _cpu(lambda: [source.read(frame, window).rows for window in windows])  # noqa: B023
            seconds.append(took)
    for _ in range(LOOP_REPEATS):
        took, points = _cpu(lambda: peer(bodies))
        peer_seconds.append(took)
    # Substitutes for the dark stand in no answer, or as null.
    told = pl.concat(rows).filter(pl.col("quality").is_null(), pl.col("value").is_not_null())
    _compare(account.vendor, told, [point for point in points if point["value"] is not None])
    size = sum(map(len, bodies))
    return Parsed(points=len(points), size=size, seconds=tuple(seconds), peer_seconds=tuple(peer_seconds))


def _cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    gc.collect()
    began = time.process_time()
    made = work()
    return time.process_time() - began, made


def _never(seconds: float) -> None:
    raise RuntimeError(f"a tape was waited for ({seconds:.0f} s)")


def _compare(vendor: str, rows: pl.DataFrame, points: list[Point]) -> None:
    """Both must have made the same of the bytes, or the ratio means nothing."""
    own = (rows.height, rows["stamp"].max(), rows["value"].sum())
    loop = (len(points), max(point["stamp"] for point in points), sum(point["value"] for point in points))
    if own[:2] != loop[:2] or abs(own[2] - loop[2]) > 1e-9 * abs(own[2]):
        raise RuntimeError(f"{vendor}: the loop and slotfeed disagree: {loop} and {own}")


@contextmanager
def _replaying(tape: Tape) -> Iterator[Callable[[CloudHttp], None]]:
    replies = {
        what: Reply(status=status, headers=httpx.Headers(headers), body=body)
        for what, (status, headers, body) in tape.replies.items()
    }

    def prepare(http: CloudHttp) -> None:
        http._send = lambda *_, what, **__: replies[what]  # type: ignore[method-assign]
        http._wait_for_room = lambda *_: None  # type: ignore[method-assign]
        # What a request costs, its thread among it, belongs to reading and is measured there.
        http._ask = lambda *_, what, **__: orjson.loads(replies[what].body)  # type: ignore[method-assign]
        http.each = lambda items, ask, **_: ({item: ask(item) for item in items}, {})  # type: ignore[method-assign]

    @contextmanager
    def replayed(http: CloudHttp, path: str, *, what: str) -> Iterator[Talk]:
        connection: Any = mock.Mock()
        messages = iter(tape.messages)
        connection.recv = lambda **_: next(messages)
        yield Talk(http=http, connection=connection, what=what)

    with mock.patch.object(home_assistant, "talking", replayed):
        yield prepare


def _tells_points(what: str) -> bool:
    return what != "login" and "list of" not in what


def _inexogy(bodies: list[bytes]) -> list[Point]:
    points = []
    for body in bodies:
        for row in json.loads(body):
            stamp = datetime.fromtimestamp(row["time"] / 1000, UTC)
            points.append({"register": "import", "stamp": stamp, "value": row["values"]["energy"] / 1e7, "unit": "Wh"})
    return points


def _solaredge(bodies: list[bytes]) -> list[Point]:
    points = []
    for body in bodies:
        answer = json.loads(body)
        for row in answer["values"]:
            stamp = datetime.fromisoformat(row["timestamp"]).astimezone(UTC)
            points.append({"register": "production", "stamp": stamp, "value": row["value"], "unit": answer["unit"]})
    return points


def _victron(bodies: list[bytes]) -> list[Point]:
    points = []
    for body in bodies:
        flows = {code: dict(series) for code, series in json.loads(body)["records"].items() if series}
        for register, codes in FLOWS.items():
            parts = [flows[code] for code in codes if code in flows]
            if not parts:
                continue
            for stamp_ms in parts[0]:
                stamp = datetime.fromtimestamp(stamp_ms / 1000, UTC)
                value = sum(part[stamp_ms] for part in parts)
                points.append({"register": register, "stamp": stamp, "value": value, "unit": "kWh"})
    return points


def _fusionsolar(bodies: list[bytes]) -> list[Point]:
    names = {"total_cap": "production", "active_cap": "import", "reverse_active_cap": "export"}
    points = []
    for body in bodies:
        for row in json.loads(body)["data"]:
            stamp = datetime.fromtimestamp(row["collectTime"] / 1000, UTC)
            for item, value in row["dataItemMap"].items():
                if item in names:
                    device = str(row["devId"])
                    register = names[item]
                    points.append(
                        {"meter": device, "register": register, "stamp": stamp, "value": value, "unit": "kWh"}
                    )
    return points


def _home_assistant(bodies: list[bytes]) -> list[Point]:
    points = []
    for body in bodies:
        result = json.loads(body).get("result")
        for sensor, rows in result.items() if isinstance(result, dict) else ():
            for row in rows:
                stamp = datetime.fromtimestamp(row["start"] / 1000, UTC)
                points.append({"meter": sensor, "stamp": stamp, "value": row["change"], "unit": "kWh"})
    return points


PEERS: dict[str, Callable[[list[bytes]], list[Point]]] = {
    "inexogy": _inexogy,
    "solaredge": _solaredge,
    "victron_vrm": _victron,
    "fusionsolar": _fusionsolar,
    "home_assistant": _home_assistant,
}
"""What a script would do: one dict a point."""
