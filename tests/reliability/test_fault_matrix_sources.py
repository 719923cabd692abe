"""What meters tell wrongly, late or twice, and what vendor clouds do to a request: end to end, in a life with slots.

Measurements are told to the exchange here (`sdk`), so each correction must arrive there as well.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from pipelines.sandbox.demo_community import GATEWAY, METER_OBIS, TIME_ZONE, demo_assets
from pipelines.sandbox.meter_replay import truth
from pipelines.store import ReadingRow, SlotEnergyRow, SubmissionRow, table_of
from tests.flows.places import SLOT
from tests.reliability.matrix import Ended, Life, Table, open_life
from tests.reliability.sight import demo_readings

pytestmark = pytest.mark.matrix

ASSETS = {asset.name: asset for asset in demo_assets()}
STEPS = 6
"""Slots that the life lasts; the faults come with the second."""


class Meters:
    """The meter database, to be tampered with."""

    def __init__(self, life: Life) -> None:
        self.life = life

    def run(self, statement: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(self.life.place.folder / "meters.sqlite")) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def register(self, name: str, at: datetime) -> float:
        """What a load's register shows, in kWh."""
        found = self.run(
            "SELECT value_kwh FROM smart_meter_register WHERE meter_id = ? AND read_at = ?", ASSETS[name].device, _s(at)
        )
        value: float = found[0][0]
        return value

    def set_register(self, name: str, at: datetime, value: object, *, told: datetime | None = None) -> None:
        """Tell another state; `told` when it was corrected."""
        self.run(
            "UPDATE smart_meter_register SET value_kwh = ?, received_at = ? WHERE meter_id = ? AND read_at = ?",
            value,
            _s(told or at),
            ASSETS[name].device,
            _s(at),
        )

    def add_register(self, name: str, at: datetime, value: object, *, told: datetime, obis: str = "") -> None:
        """Write a further row."""
        row = (ASSETS[name].device, obis or f"{METER_OBIS}*255", _s(at), value, "220", _s(told))
        self.run("INSERT INTO smart_meter_register VALUES (?, ?, ?, ?, ?, ?)", *row)

    def take_register(self, name: str, at: datetime) -> float:
        """Take a row away, and tell what it said."""
        value = self.register(name, at)
        self.run("DELETE FROM smart_meter_register WHERE meter_id = ? AND read_at = ?", ASSETS[name].device, _s(at))
        return value

    def add_interval(self, name: str, local: str, energy_wh: float) -> None:
        self.run(
            "INSERT INTO inverter_log (inverter, local_time, energy_wh) VALUES (?, ?, ?)",
            ASSETS[name].device,
            local,
            energy_wh,
        )

    def set_gateway_stamp(self, stamp: str, to: str) -> None:
        """Write another stamp into a row of the gateway's."""
        self.run("UPDATE gateway_power SET ts = ? WHERE ts = ?", to, stamp)


Tamper = Callable[[Meters, int, Sequence[datetime], dict[str, Any]], None]
"""Given the meters, the number of the step that has just been told, the steps' instants, and a place to keep things."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """Something that a meter tells wrongly."""

    name: str
    asset: str
    tamper: Tamper
    verdicts: str
    """Of the readings of the second step's instant, by revision."""

    slots: str
    """Quality of the slots before and after that instant."""

    versions: tuple[int, int] = (1, 1)
    """Of these slots' measurements at the exchange."""

    ahead: timedelta = timedelta(0)
    """How far the reading is ahead of that instant."""

    lies: bool = False
    """The meter tells less than flowed: what flowed is no measure of it."""


def late(meters: Meters, step: int, at: Sequence[datetime], kept: dict[str, Any]) -> None:
    if step == 1:
        kept["late"] = meters.take_register("Load 1", at[1])
    if step == 2:
        meters.add_register("Load 1", at[1], kept["late"], told=at[2])


def corrected(meters: Meters, step: int, at: Sequence[datetime], kept: dict[str, Any]) -> None:
    if step == 1:
        kept["true"], before = meters.register("Load 2", at[1]), meters.register("Load 2", at[0])
        meters.set_register("Load 2", at[1], before + (kept["true"] - before) / 2)
    if step == 2:
        meters.set_register("Load 2", at[1], kept["true"], told=at[2])


def twice_alike(meters: Meters, step: int, at: Sequence[datetime], kept: dict[str, Any]) -> None:
    if step == 1:
        value = meters.register("Load 3", at[1])
        meters.add_register("Load 3", at[1], value, told=at[1], obis=METER_OBIS)


def twice_unlike(meters: Meters, step: int, at: Sequence[datetime], kept: dict[str, Any]) -> None:
    if step == 1:
        meters.add_register("Load 4", at[1], meters.register("Load 4", at[1]) + 1, told=at[1], obis=METER_OBIS)
    if step == 3:
        told = "DELETE FROM smart_meter_register WHERE meter_id = ? AND read_at = ? AND obis = ?"
        meters.run(told, ASSETS["Load 4"].device, _s(at[1]), METER_OBIS)


def out_of_order(meters: Meters, step: int, at: Sequence[datetime], kept: dict[str, Any]) -> None:
    if step == 1:
        kept["order"] = meters.take_register("Load 5", at[1])
    if step == 2:
        newer = meters.take_register("Load 5", at[2])
        meters.add_register("Load 5", at[2], newer, told=at[2])
        meters.add_register("Load 5", at[1], kept["order"], told=at[2])


def times(name: str, factor: float) -> Tamper:
    def tamper(meters: Meters, step: int, at: Sequence[datetime], _kept: dict[str, Any]) -> None:
        if step == 1:
            meters.set_register(name, at[1], meters.register(name, at[1]) * factor)

    return tamper


def instead(name: str, value: object) -> Tamper:
    def tamper(meters: Meters, step: int, at: Sequence[datetime], _kept: dict[str, Any]) -> None:
        if step == 1:
            meters.set_register(name, at[1], value)

    return tamper


def reset(meters: Meters, step: int, at: Sequence[datetime], kept: dict[str, Any]) -> None:
    if step == 1:
        kept["base"] = meters.register("Load 9", at[1])
    if step >= 1:
        meters.set_register("Load 9", at[step], round(meters.register("Load 9", at[step]) - kept["base"], 8))


def stuck(meters: Meters, step: int, at: Sequence[datetime], kept: dict[str, Any]) -> None:
    if 1 <= step <= 3:
        meters.set_register("Load 10", at[step], meters.register("Load 10", at[0]))


def from_the_future(meters: Meters, step: int, at: Sequence[datetime], kept: dict[str, Any]) -> None:
    if step == 1:
        # By the inverter's own clock, which runs ahead: the span begins in ten minutes.
        ahead = (at[1] + timedelta(minutes=10)).astimezone(ZoneInfo(TIME_ZONE))
        meters.add_interval("PV 1", f"{ahead:%Y-%m-%d %H:%M:%S}", 4000.0)


def without_offset(meters: Meters, step: int, at: Sequence[datetime], kept: dict[str, Any]) -> None:
    whole, bare = at[1].isoformat(sep=" "), f"{at[1]:%Y-%m-%d %H:%M:%S}"
    if step == 1:
        meters.set_gateway_stamp(whole, bare)
    if step == 2:
        meters.set_gateway_stamp(bare, whole)


GOOD, SUBSTITUTED, BOTH = "good", "SUBSTITUTED", "MEASURED, MEASURED"
BETWEEN = "SUBSTITUTED, SUBSTITUTED"
"""Made of the readings on either side of the wrong one."""


def refused(why: str) -> str:
    return f"quarantined ({why})"


TOLD = [
    Told(name="a reading late by a slot", asset="Load 1", tamper=late, verdicts=GOOD, slots=BOTH),
    Told(
        name="a reading corrected a slot later",
        asset="Load 2",
        tamper=corrected,
        verdicts="superseded, good",
        slots=BOTH,
        versions=(2, 1),
    ),
    Told(name="a reading twice", asset="Load 3", tamper=twice_alike, verdicts=GOOD, slots=BOTH),
    Told(
        name="a reading twice, with two values",
        asset="Load 4",
        tamper=twice_unlike,
        verdicts=f"{refused('key_unique')}, {refused('key_unique')}",
        slots=BETWEEN,
    ),
    Told(name="readings out of order", asset="Load 5", tamper=out_of_order, verdicts=GOOD, slots=BOTH),
    Told(
        name="unit swapped: 1000 times",
        asset="Load 6",
        tamper=times("Load 6", 1000),
        verdicts=refused("within_rated_power"),
        slots=BETWEEN,
    ),
    Told(
        name="unit swapped: a thousandth",
        asset="Load 7",
        tamper=times("Load 7", 0.001),
        verdicts=refused("register_not_falling"),
        slots=BETWEEN,
    ),
    Told(
        name="sign flipped",
        asset="Load 8",
        tamper=times("Load 8", -1),
        verdicts=refused("register_not_falling"),
        slots=BETWEEN,
    ),
    Told(
        name="counter reset",
        asset="Load 9",
        tamper=reset,
        verdicts="good, a new series",
        slots="ESTIMATED, MEASURED",
        versions=(0, 1),
    ),
    Told(name="stuck for three slots", asset="Load 10", tamper=stuck, verdicts=GOOD, slots=BOTH, lies=True),
    Told(
        name="a span from the future, which runs into the next one",
        asset="PV 1",
        tamper=from_the_future,
        verdicts=GOOD,
        slots=BOTH,
        lies=True,
        ahead=timedelta(minutes=10),
    ),
    Told(
        name="NaN", asset="Load 12", tamper=instead("Load 12", "NaN"), verdicts=refused("value_present"), slots=BETWEEN
    ),
    Told(
        name="a number beyond all meters",
        asset="Load 13",
        tamper=instead("Load 13", 1e300),
        verdicts=refused("within_rated_power"),
        slots=BETWEEN,
    ),
    Told(
        name="a stamp without its offset: its source is refused",
        asset="Heat pump 26",
        tamper=without_offset,
        verdicts=GOOD,
        slots=BOTH,
    ),
]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with open_life(tmp_path_factory.mktemp("community"), tmp_path_factory.mktemp("exchange")) as opened:
        yield opened


@pytest.fixture(scope="module")
def table() -> Table:
    return Table("sources", [one.name for one in TOLD])


@dataclass(frozen=True, kw_only=True)
class Lived:
    """A life in which many meters told something wrong."""

    at: Sequence[datetime]
    runs: Sequence[Ended]
    readings: Sequence[dict[str, Any]]
    slots: dict[tuple[str, datetime], dict[str, Any]]
    measurements: dict[tuple[str, datetime], list[dict[str, Any]]]
    breaches: str


@pytest.fixture(scope="module")
def lived(life: Life) -> Lived:
    """The first slots are sound; the faults come with the second, and later ones mend what can be mended."""
    life.begin(protocol="sdk")
    meters = Meters(life)
    kept: dict[str, Any] = {}
    # From the next slot on all assets are live.
    assert life.run().status == 0
    life.to(life.now + SLOT)
    begun = life.now - timedelta(minutes=2)
    at = [begun + step * SLOT for step in range(STEPS)]
    runs = []
    for step in range(STEPS):
        if step:
            life.to(life.now + SLOT)
            for one in TOLD:
                one.tamper(meters, step, at, kept)
        runs.append(life.run())
    life.settle()
    lies = {ASSETS[one.asset].asset_id for one in TOLD if one.lies}
    flowed = {(asset, slot): wh for asset, _, slot, wh in truth().iter_rows() if asset not in lies}
    readable = [one for one in demo_readings(life.place.folder / "meters.sqlite") if isinstance(one.value, float)]
    with life.place.store() as store, store.reading() as connection:
        reading, slot, row = table_of(ReadingRow), table_of(SlotEnergyRow), table_of(SubmissionRow)
        readings = [dict(one) for one in connection.execute(select(reading).order_by(reading.c.revision)).mappings()]
        slots = {
            (one["asset_id"], one["slot_start"]): dict(one)
            for one in connection.execute(select(slot).order_by(slot.c.version)).mappings()
        }
        measurements: dict[tuple[str, datetime], list[dict[str, Any]]] = {}
        query = select(row).where(row.c.quantity == "measurement").order_by(row.c.version)
        for found in connection.execute(query).mappings():
            measurements.setdefault((found["asset_id"], found["slot_start"]), []).append(dict(found))
    return Lived(
        at=at,
        runs=runs,
        readings=readings,
        slots=slots,
        measurements=measurements,
        breaches=life.breaches(truth=flowed, at_source=readable),
    )


def _s(moment: datetime) -> int:
    return int(moment.timestamp())


def _stream(name: str) -> str:
    asset = ASSETS[name]
    if name.startswith("PV"):
        return f"inverters/{asset.device}/-"
    return (
        f"smart_meters/{asset.device}/{METER_OBIS}"
        if name.startswith("Load")
        else f"gateway/{GATEWAY}/{asset.register}"
    )


@pytest.mark.parametrize("one", TOLD, ids=lambda one: one.name)
def test_what_a_meter_tells(lived: Lived, table: Table, one: Told) -> None:
    stream, asset, at = _stream(one.asset), ASSETS[one.asset].asset_id, lived.at[1] + one.ahead
    verdicts = ", ".join(_verdict(row) for row in lived.readings if (row["stream_id"], row["ts"]) == (stream, at))
    around = [lived.slots[asset, start] for start in lived.at[:2]]
    slots = ", ".join(slot["quality"] for slot in around)
    sent = [lived.measurements.get((asset, start), []) for start in lived.at[:2]]
    assert (verdicts, slots) == (one.verdicts, one.slots)
    assert tuple(map(len, sent)) == one.versions
    newest = {rows[-1]["state"] for rows in sent if rows}
    assert newest == {"accepted"}
    counted = " and ".join(str(len(rows)) for rows in sent)
    table.take(
        one.name,
        f"{verdicts}; slots around it: {slots}",
        f"{counted} version(s) told, the last accepted",
        lived.breaches,
    )


def test_a_source_is_named_and_no_other_held_up(lived: Lived) -> None:
    statuses = [run.status for run in lived.runs]
    assert statuses == [0, 1, *[0] * (STEPS - 2)]
    lived.runs[1].words("source 'gateway', column ts: .* set time_type: naive and name its time_zone")
    assert all(run.words(r"the exchange took \d+ values and refused 0|refused 0") for run in lived.runs)


def test_the_table(table: Table) -> None:
    table.hold()


def _verdict(row: dict[str, Any]) -> str:
    verdict, why = row["verdict"], row["broken"]
    if row["series_start"]:
        return f"{verdict}, a new series"
    return f"{verdict} ({why})" if verdict == "quarantined" else str(verdict)
