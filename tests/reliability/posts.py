"""The energy posts of a sandbox exchange's journal, one for each slot that a request names."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

ENERGY = re.compile(
    r"/external-connection/api/(?P<simulation>[^/]+)/(?P<asset>[^/]+)/"
    r"(?P<command>set_energy_forecast|set-energy-forecast|set-energy-measurement)/"
)
BATCH = re.compile(r"/external-connection/aggregator-api/(?P<simulation>[^/]+)/batch-commands/")
SCALAR = "set_energy_forecast"
BATCHED = {"set_energy_forecast": "set-energy-forecast", "set_energy_measurement": "set-energy-measurement"}
"""Type of a batch's command -> the path of the post that says the same of one asset. Others carry no energy."""

REPLY_LOST = frozenset({"lose_reply", "truncate"})
"""Faults after which the sender can't know that its post was taken."""

WIRE_STEP_WH = 1e-6
"""The wire carries nine decimals of kWh, or six of Wh."""


@dataclass(frozen=True, kw_only=True)
class Post:
    """One value for one slot, as it reached the exchange."""

    entry: int
    """Number in the journal."""

    at: datetime
    """Arrival, by the exchange's market clock."""

    simulation: str
    asset: str
    quantity: str
    slot_start: datetime | None
    """None where the body can't be read as the protocol's."""

    energy_wh: float | None
    protocol: str

    taken: bool
    """The exchange has buffered it."""

    reply_lost: bool
    dropped: bool
    """Taken, then thrown away by a fault."""

    @property
    def keyed(self) -> bool:
        """Whether it names its slot."""
        return self.protocol != "rest"

    @property
    def where(self) -> str:
        return f"journal entry {self.entry}"


def posts_in(journal: Sequence[Mapping[str, Any]], *, slot_length: timedelta, lead: timedelta) -> list[Post]:
    """Every value of every energy post, in order of arrival, those that were refused too.

    Args:
        journal: entries of `/sandbox/journal`.
        slot_length: of the market. A value without slot time belongs to the slot after the one in which it arrives.
        lead: how far the market's slots begin before the clock that the journal tells.
    """
    found = []
    for entry in journal:
        at = datetime.fromisoformat(entry["at"]) + lead
        for told in _told(entry):
            for slot_start, energy_wh in _values(told.command, told.body, at, slot_length):
                found.append(
                    Post(
                        entry=entry["seq"],
                        at=at,
                        simulation=told.simulation,
                        asset=told.asset,
                        quantity="measurement" if told.command.endswith("measurement") else "forecast",
                        slot_start=slot_start,
                        energy_wh=energy_wh,
                        protocol=told.protocol,
                        taken=told.taken,
                        reply_lost=entry["fault"] in REPLY_LOST,
                        dropped=entry["fault"] == "drop" and told.met,
                    )
                )
    return found


@dataclass(frozen=True, kw_only=True)
class _Told:
    """One command of a request."""

    simulation: str
    asset: str
    command: str
    """As the paths of single posts name it."""

    body: Mapping[str, Any]
    protocol: str
    taken: bool
    met: bool = True
    """The request's fault is about it."""


def _told(entry: Mapping[str, Any]) -> Iterator[_Told]:
    """The energy commands of a request."""
    if entry["method"] != "POST":
        return
    body = entry["body"] or {}
    if parts := ENERGY.fullmatch(entry["path"]):
        yield _Told(
            simulation=parts["simulation"],
            asset=parts["asset"],
            command=parts["command"],
            body=body,
            protocol="rest" if parts["command"] == SCALAR else "sdk",
            taken=entry["answer"] == "ready",
        )
    elif parts := BATCH.fullmatch(entry["path"]):
        yield from _told_in_batch(entry, parts["simulation"], body.get("batch_commands"))


def _told_in_batch(entry: Mapping[str, Any], simulation: str, orders: object) -> Iterator[_Told]:
    answers, met = entry["answers"] or {}, entry["fault_meets"]
    if not isinstance(orders, Mapping):
        command = next(iter(BATCHED.values()))
        yield _Told(simulation=simulation, asset="-", command=command, body={}, protocol="batch", taken=False)
        return
    for asset, commands in orders.items():
        for number, one in enumerate(commands):
            if one["type"] in BATCHED:
                yield _Told(
                    simulation=simulation,
                    asset=asset,
                    command=BATCHED[one["type"]],
                    body=one,
                    protocol="batch",
                    taken=answers.get(asset, [])[number : number + 1] == ["ready"],
                    met=met is None or asset in met,
                )


def _values(
    command: str, body: Mapping[str, Any], at: datetime, slot_length: timedelta
) -> Iterator[tuple[datetime | None, float | None]]:
    if command == SCALAR:
        yield slot_of(at, slot_length) + slot_length, _number(body.get("energy_Wh", body.get("energy_forecast")))
        return
    by_slot = body.get(command.removeprefix("set-").replace("-", "_"))
    if not isinstance(by_slot, Mapping):
        yield None, None
        return
    for stamp, energy_kwh in by_slot.items():
        number = _number(energy_kwh)
        yield _instant(stamp), None if number is None else number * 1000


def slot_of(at: datetime, slot_length: timedelta) -> datetime:
    """Start of the slot that holds the instant."""
    return at - timedelta(seconds=at.timestamp() % slot_length.total_seconds())


def _instant(stamp: str) -> datetime | None:
    try:
        return datetime.strptime(stamp, "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
    except ValueError:
        return None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
