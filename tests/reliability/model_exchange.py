"""A second, small model of the exchange, written from its protocol and not from the sandbox.

What it knows (gsy-e, forecast_mixin.py): a post is buffered and answered `ready`; at the next market cycle a forecast
is applied if its slot has not begun before, a measurement if it has, and the buffer is empty again. A value without
slot time belongs to the slot of that cycle and stands until another comes; with slot times, a slot without a post is 0.
Of several values for one slot the last holds. `ready` is said of what is thrown away, too.

A batch is queued, and served at the next tick: then its values are buffered, and an answer of many parts comes over the
websocket. What still waits when a market cycle fires is thrown away, and that is told without a transaction.
"""

import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count
from typing import Any

import httpx
import jwt

TOKEN_LIFE = timedelta(hours=2)
KEY = "a key of sixty-four bytes, which nobody will ever want to look up"
POST = re.compile(r"/external-connection/api/[^/]+/(?P<asset>[^/]+)/(?P<command>set[_-]energy[_-]\w+)/")
BATCH = re.compile(r"/external-connection/aggregator-api/[^/]+/batch-commands/")
HISTORY = re.compile(r"/historical-data/assets/[^/]+/(?P<asset>[^/]+)/(?P<start>[^/]+)/(?P<end>[^/]+)")
STAMP = "%Y-%m-%dT%H:%M"
REQUEST = timedelta(milliseconds=40)
"""What a request takes."""

TICK = timedelta(seconds=15)
MISSED = "Error when handling {} on area X with arguments {{}}.Market cycle already finished."


@dataclass(frozen=True)
class Buffered:
    """A value that waits for the market cycle. `slot` None: the one that begins with it."""

    asset: str
    quantity: str
    slot: datetime | None
    energy_kwh: float
    entry: dict[str, Any]


@dataclass(kw_only=True)
class ModelExchange:
    """One simulation, and the time in which all live."""

    now: datetime
    """By its HTTP clock: the true time."""

    length: timedelta
    lead: timedelta
    """How far its market is ahead of that."""

    keyed: bool
    """Values name their slots."""

    asleep: timedelta = timedelta(0)
    """How long the machine of the feed has slept."""

    journal: list[dict[str, Any]] = field(default_factory=list)
    up: bool = True
    faults: deque[str] = field(default_factory=deque)
    """What befalls the next energy posts, one each."""

    login_faults: deque[str] = field(default_factory=deque)
    applied: dict[tuple[str, datetime], float] = field(default_factory=dict)
    """Of forecasts that name their slot: kWh."""

    standing: dict[str, dict[datetime, float]] = field(default_factory=dict)
    """Of values that don't: asset -> slot since which it stands -> kWh."""

    measured: dict[tuple[str, datetime], float] = field(default_factory=dict)
    buffer: list[Buffered] = field(default_factory=list)
    queue: list[dict[str, Any]] = field(default_factory=list)
    """Journal's entries of the batches that wait for a tick."""

    told: dict[str, deque[dict[str, Any]]] = field(default_factory=dict)
    """Of a batch's transaction, as long as its answer is waited for: what has come over the websocket."""

    heard: bool = True
    """The websocket is open."""

    forgotten: set[int] = field(default_factory=set)
    """Numbers of the posts of which it told that they were taken, and that were lost before they counted."""

    tokens: dict[str, datetime] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def slot(self) -> datetime:
        """The slot whose market cycle was last."""
        return self.slot_of(self.now + self.lead)

    def slot_of(self, at: datetime) -> datetime:
        """Start of the slot that holds an instant."""
        return at - timedelta(seconds=at.timestamp() % self.length.total_seconds())

    def pass_time(self, span: timedelta) -> None:
        """Live on; every market cycle on the way is held, and every tick that a batch waits for."""
        end = self.now + span
        while self.queue and self.next_tick <= end:
            self._go_to(self.next_tick)
            self._serve()
        self._go_to(end)

    @property
    def next_tick(self) -> datetime:
        """When the engine serves what waits now."""
        seconds = TICK.total_seconds()
        return self.now + timedelta(seconds=seconds - (self.now + self.lead).timestamp() % seconds)

    def _go_to(self, at: datetime) -> None:
        until = self.slot_of(at + self.lead)
        cycle = self.slot + self.length
        while cycle <= until:
            self._throw_away()
            self._hold_cycle(cycle)
            cycle += self.length
        self.now = at

    def held_kwh(self, asset: str, slot: datetime) -> float:
        """What it used in a slot that has begun."""
        if self.keyed:
            return self.applied.get((asset, slot), 0.0)
        since = [start for start in self.standing.get(asset, {}) if start <= slot]
        return self.standing[asset][max(since)] if since else 0.0

    def forget(self) -> None:
        """Be started anew: what is buffered or queued is lost."""
        self.forgotten |= {one.entry["seq"] for one in self.buffer} | {entry["seq"] for entry in self.queue}
        self.buffer.clear()
        self.queue.clear()

    def answer(self, method: str, path: str, body: bytes, token: str) -> httpx.Response:
        """Answer one request, and carry it out.

        Raises:
            httpx.TransportError: it is down, or a fault befalls the request.
        """
        self.pass_time(REQUEST)
        if not self.up:
            raise httpx.ConnectError("connection refused")
        if path == "/api-token-auth/":
            return self._login(method)
        if self.tokens.get(token, self.now) <= self.now:
            return self._reply(401, {"detail": "Signature has expired."})
        if parts := HISTORY.fullmatch(path):
            return self._reply(200, self._told(parts["asset"], parts["start"], parts["end"]))
        if BATCH.fullmatch(path):
            return self._post(path, None, "batch_commands", json.loads(body))
        if (parts := POST.fullmatch(path)) is None:
            return self._reply(404, {"detail": "Not found."})
        return self._post(path, parts["asset"], parts["command"], json.loads(body))

    def _hold_cycle(self, slot: datetime) -> None:
        for one in self.buffer:
            if one.slot is None:
                self.standing.setdefault(one.asset, {})[slot] = one.energy_kwh
            elif one.quantity == "forecast" and one.slot >= slot:
                self.applied[one.asset, one.slot] = one.energy_kwh
            elif one.quantity == "measurement" and one.slot < slot:
                self.measured[one.asset, one.slot] = one.energy_kwh
        self.buffer.clear()

    def _serve(self) -> None:
        """A tick: what waits is buffered, and the answers are told."""
        for entry in self.queue:
            if entry["fault"] != "drop":
                self.buffer += _batched(entry)
            responses = {
                asset: [{"command": one["type"], "status": "ready", "area_uuid": asset} for one in commands]
                for asset, commands in entry["body"]["batch_commands"].items()
            }
            self._tell(entry, {"command": "batch_commands", "responses": responses})
        self.queue.clear()

    def _throw_away(self) -> None:
        """The market cycle fires: of each command that waits it is told by itself."""
        for entry in self.queue:
            for commands in entry["body"]["batch_commands"].values():
                for one in commands:
                    race = {"command": one["type"], "status": "error", "error_message": MISSED.format(one["type"])}
                    heard = self._tell(entry, race)
            if heard:
                entry["answers"] = _all("error", entry)
            else:
                self.forgotten.add(entry["seq"])
        self.queue.clear()

    def _tell(self, entry: Mapping[str, Any], message: dict[str, Any]) -> bool:
        """Whether anybody hears it."""
        heard = self.heard and entry["transaction"] in self.told
        if heard:
            self.told[entry["transaction"]].append(message)
        return heard

    def _login(self, method: str) -> httpx.Response:
        if method != "POST":
            return self._reply(405, {})
        if self.login_faults:
            return self._reply(int(self.login_faults.popleft()), {"detail": "no"})
        ends = self.now + TOKEN_LIFE
        claims = {"exp": int(ends.timestamp()), "number": next(self._numbers)}
        token = jwt.encode(claims, KEY)
        self.tokens[token] = ends
        return self._reply(200, {"access": token})

    def _post(self, path: str, asset: str | None, command: str, body: dict[str, Any]) -> httpx.Response:
        fault = self.faults.popleft() if self.faults else ""
        entry: dict[str, Any] = {
            "seq": len(self.journal) + 1,
            "at": self.now.isoformat(),
            "method": "POST",
            "path": path,
            "asset": asset,
            "body": {key: value for key, value in body.items() if key != "transaction_id"},
            "transaction": body["transaction_id"],
            "answer": None,
            "answers": None,
            "fault": None,
            "fault_meets": None,
        }
        self.journal.append(entry)
        if fault in BEFORE:
            return BEFORE[fault](self)
        if fault == "drop":
            entry["fault"] = fault
        if asset is None:
            entry["answers"] = _all("ready", entry)
            self.queue.append(entry)
        else:
            entry["answer"] = "ready"
            if fault != "drop":
                self.buffer += self._values(asset, command, body, entry)
        if fault == "slow reply":
            self.pass_time(timedelta(seconds=28))
        if fault in AFTER:
            # It is taken, and the sender can't know.
            entry["fault"] = "lose_reply"
            return AFTER[fault](self)
        return self._reply(200, {"command": command, "status": "ready", "transaction_id": body["transaction_id"]})

    def _values(self, asset: str, command: str, body: Mapping[str, Any], entry: dict[str, Any]) -> Iterator[Buffered]:
        if command == "set_energy_forecast":
            yield Buffered(asset, "forecast", None, body["energy_Wh"] / 1000, entry)
            return
        yield from _by_slot(asset, command.rpartition("-")[2], body, entry)

    def _told(self, asset: str, start: str, end: str) -> dict[str, Any]:
        slot, last = (datetime.strptime(stamp, STAMP).replace(tzinfo=UTC) for stamp in (start, end))
        told = {}
        while slot < last and slot <= self.slot:
            told[f"{slot:{STAMP}}"] = {"load_profile_kWh": round(self.held_kwh(asset, slot), 8)}
            slot += self.length
        return told

    def _reply(self, status: int, body: object, **headers: str) -> httpx.Response:
        date = format_datetime(self.now.replace(microsecond=0), usegmt=True)
        return httpx.Response(status, json=body, headers={"Date": date, **headers})


def _by_slot(asset: str, quantity: str, body: Mapping[str, Any], entry: dict[str, Any]) -> Iterator[Buffered]:
    for stamp, energy_kwh in body[f"energy_{quantity}"].items():
        slot = datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
        yield Buffered(asset, quantity, slot, energy_kwh, entry)


def _batched(entry: dict[str, Any]) -> Iterator[Buffered]:
    for asset, commands in entry["body"]["batch_commands"].items():
        for one in commands:
            yield from _by_slot(asset, one["type"].rpartition("_")[2], one, entry)


def _all(answer: str, entry: Mapping[str, Any]) -> dict[str, list[str]]:
    """The same answer for each command of a batch, as the journal has it."""
    return {asset: [answer] * len(commands) for asset, commands in entry["body"]["batch_commands"].items()}


def _page(exchange: ModelExchange) -> httpx.Response:
    return httpx.Response(200, text="<html>wait a moment</html>")


def _reset(exchange: ModelExchange) -> httpx.Response:
    raise httpx.ReadError("connection reset")


def _expired(exchange: ModelExchange) -> httpx.Response:
    exchange.tokens.clear()
    return exchange._reply(401, {"detail": "Signature has expired."})


BEFORE: Mapping[str, Callable[[ModelExchange], httpx.Response]] = {
    "reset": _reset,
    "busy": lambda exchange: exchange._reply(503, {}),
    "too many": lambda exchange: exchange._reply(429, {}, **{"Retry-After": "7"}),
    "tomorrow": lambda exchange: exchange._reply(429, {}, **{"Retry-After": "86400"}),
    "refused": lambda exchange: exchange._reply(422, {"detail": "no"}),
    "error inside": lambda exchange: exchange._reply(200, {"status": "error", "error_message": "no"}),
    "page": _page,
    "token ended": _expired,
}
"""Faults that meet a post before anything happens."""

AFTER: Mapping[str, Callable[[ModelExchange], httpx.Response]] = {
    "lost reply": _reset,
    "page after": _page,
    "busy after": lambda exchange: exchange._reply(502, {}),
}
"""Faults after which the exchange holds the value all the same."""

FAULTS = (*BEFORE, *AFTER, "drop", "slow reply")
