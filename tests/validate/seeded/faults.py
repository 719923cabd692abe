"""Faults of many kinds, each seeded many times over different assets and times, and where each must be found."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from expectations.names import CHECKS, Check, Suite
from tests.validate.seeded.world import (
    HISTORY_DAYS,
    MONTH_DAYS,
    NOW,
    PER_DAY,
    SLOT,
    Key,
    Meter,
    Row,
    at,
)

FIRST_DAY, LAST_DAY = HISTORY_DAYS, HISTORY_DAYS + MONTH_DAYS - 1
Place = tuple[Meter, int]
"""An asset's day."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One instance, and where its finding must stand."""

    kind: str
    check: Check
    subject: str
    first: datetime | None
    """First instant of the finding's stamp; None: the reading has no stamp."""

    last: datetime | None

    @property
    def suite(self) -> Suite:
        return CHECKS[self.check].suite


class Seeder:
    """Readings of the month, changed fault by fault; no two faults share an asset's day."""

    def __init__(self, meters: list[Meter], rows: dict[Key, Row]) -> None:
        self.meters = meters
        self.rows = rows
        self.extra: list[Row] = []
        self.faults: list[Fault] = []
        self.chance = random.Random(5)  # noqa: S311 - repeatable, not secret
        self._taken: set[tuple[str, int]] = set()
        self._keys = {(stream, (ts - at(0)) // SLOT): (stream, ts) for stream, ts in rows}

    def all_rows(self) -> list[Row]:
        """What the sources tell, faults and all."""
        return [*self.rows.values(), *self.extra]

    def places(
        self, count: int, wanted: Callable[[Meter, int], bool], *, days: int = 1, ways: str = "interval parts power"
    ) -> Iterator[Place]:
        """Asset's days that nothing was seeded in yet, in random order, each asset as seldom as can be."""
        used: dict[str, int] = {}
        fitting = [
            (meter, day)
            for meter in self.meters
            for day in range(FIRST_DAY, LAST_DAY + 2 - days)
            if meter.way in ways.split() and wanted(meter, day)
        ]
        for _ in range(count):
            free = [
                (meter, day)
                for meter, day in fitting
                if not any((meter.asset_id, day + n) in self._taken for n in range(days))
            ]
            assert free, "no place is left for a fault"
            least = min(used.get(meter.asset_id, 0) for meter, _ in free)
            meter, day = self.chance.choice([place for place in free if used.get(place[0].asset_id, 0) == least])
            used[meter.asset_id] = used.get(meter.asset_id, 0) + 1
            self._taken |= {(meter.asset_id, day + n) for n in range(days)}
            yield meter, day

    def slot(self, length: int = 1) -> int:
        """A slot of the day, away from midnight."""
        return self.chance.randrange(8, 88 - length)

    def key(self, meter: Meter, day: int, slot: int, channel: str = "a") -> Key:
        """Of the reading that is of this slot."""
        return self._keys[meter.stream_id(channel), day * PER_DAY + slot]

    def row(self, meter: Meter, day: int, slot: int, channel: str = "a") -> Row:
        return self.rows[self.key(meter, day, slot, channel)]

    def drop(self, meter: Meter, day: int, slots: range, *, channels: list[str] | None = None) -> None:
        """Lose readings."""
        for slot in slots:
            for channel in channels or meter.streams():
                del self.rows[self.key(meter, day, slot, channel)]

    def set_share(self, meter: Meter, day: int, slot: int, share: float) -> None:
        """Let the asset's mean power in a slot be this share of its rated power."""
        channels = meter.streams()
        wh = share * meter.rated_wh / len(channels)
        for channel in channels:
            row = self.row(meter, day, slot, channel)
            row["value"] = round(4 * wh) if row["kind"] == "power" else round(wh)

    def scale(self, meter: Meter, day: int, factor: float) -> None:
        """Multiply a whole day, within what the asset can."""
        most = HIGHEST * meter.rated_wh / len(meter.streams())
        for slot in range(PER_DAY):
            for channel in meter.streams():
                row = self.row(meter, day, slot, channel)
                at_most = 4 * most if row["kind"] == "power" else most
                row["value"] = round(min(factor * row["value"], at_most))

    def expect_reading(self, kind: str, check: Check, stream_id: str, ts: datetime | None) -> None:
        """The finding stands at this very reading."""
        self.faults.append(Fault(kind=kind, check=check, subject=stream_id, first=ts, last=ts))

    def expect_slots(self, kind: str, check: Check, meter: Meter, day: int, slots: range) -> None:
        """A finding stands at one of these slots."""
        first, last = at(day, slots.start), at(day, slots.stop - 1)
        self.faults.append(Fault(kind=kind, check=check, subject=meter.asset_id, first=first, last=last))

    def expect_day(self, kind: str, check: Check, meter: Meter, day: int) -> None:
        """A finding stands in this day."""
        self.expect_slots(kind, check, meter, day, range(PER_DAY))


HIGHEST = 1.15
"""Share of the rated power that no check of power is tripped by."""

HOLIDAYS = {17, 28, 38}
"""Ascension, Whit Monday and Corpus Christi, in days since START."""


def _day_type(day: int) -> str:
    # 2016-04-18 was a Monday.
    return "sunday" if day % 7 == 6 or day in HOLIDAYS else "saturday" if day % 7 == 5 else "workday"


def _like_days(day: int) -> list[int]:
    return [other for other in range(day - 21, day) if _day_type(other) == _day_type(day)]


def _any(_: Meter, __: int) -> bool:
    return True


ALL_WAYS = "register interval parts power"


def _always(**columns: object) -> Callable[[Row], Row]:
    return lambda _: columns


CHANGES: list[tuple[str, Check, str, Callable[[Row], Row]]] = [
    ("unknown kind", Check.KIND_KNOWN, ALL_WAYS, _always(kind="volume")),
    ("other kind", Check.KIND_CONFIGURED, "interval parts", _always(kind="power", unit="W")),
    ("unreadable stamp", Check.KEY_NOT_NULL, ALL_WAYS, _always(ts=None, ts_end=None)),
    ("empty value", Check.VALUE_PRESENT, ALL_WAYS, _always(value=None)),
    ("infinite value", Check.VALUE_FINITE, ALL_WAYS, _always(value=float("inf"))),
    ("device error", Check.QUALITY_USABLE, ALL_WAYS, _always(quality="UNUSABLE")),
    ("interval size", Check.SPAN_LENGTH, "interval parts power", lambda row: {"ts_end": row["ts"] + 2 * SLOT}),
    ("span backwards", Check.SPAN_ORDERED, "interval parts", lambda row: {"ts_end": row["ts"] - SLOT}),
    ("negative", Check.NOT_NEGATIVE, "interval parts power", lambda row: {"value": -1.0 - row["value"]}),
    ("unknown unit", Check.UNIT_KNOWN, ALL_WAYS, _always(unit="kvarh")),
    ("register falls", Check.REGISTER_NOT_FALLING, "register", lambda row: {"value": 0.7 * row["value"]}),
    ("rollover look-alike", Check.REGISTER_NOT_FALLING, "register", _always(value=17.0)),
    ("register leaps", Check.WITHIN_RATED_POWER, "register", lambda row: {"value": row["value"] + 5e6}),
    ("beyond the dials", Check.REGISTER_WITHIN_DIALS, "register", lambda row: {"value": row["value"] + 1e9}),
]
"""Kind, the check meant for it, which meters have it, and what it changes in a reading."""


def seed_readings(seeder: Seeder) -> None:
    """Faults of single readings, as sources and meters make them."""
    _clocks(seeder)
    for kind, check, ways, change in CHANGES:
        for meter, day in seeder.places(12, _any, ways=ways):
            row = seeder.row(meter, day, seeder.slot())
            row |= change(row)
            seeder.expect_reading(kind, check, row["stream_id"], row["ts"])
    for meter, day in seeder.places(12, _any, ways="interval power"):
        row = seeder.row(meter, day, seeder.slot())
        row["value"] = seeder.chance.uniform(1.5, 8.0) * meter.rated_wh * (4 if row["kind"] == "power" else 1)
        seeder.expect_reading("high demand", Check.WITHIN_RATED_POWER, row["stream_id"], row["ts"])
    for meter, day in seeder.places(12, lambda m, d: bool((m.share[d, 40:44] > 0.01).all()), ways="interval power"):
        row = seeder.row(meter, day, 41)
        row["value"] *= 1000
        seeder.expect_reading("factor 1000", Check.WITHIN_RATED_POWER, row["stream_id"], row["ts"])
    _doubles(seeder)


def _clocks(seeder: Seeder) -> None:
    for n, (meter, day) in enumerate(seeder.places(15, _any, ways=ALL_WAYS)):
        row = seeder.rows.pop(seeder.key(meter, day, seeder.slot()))
        ahead = NOW + timedelta(minutes=10 + 37 * n) - row["ts"]
        seeder.extra.append(_moved(row, ahead))
        seeder.expect_reading("clock ahead", Check.NOT_FROM_FUTURE, row["stream_id"], row["ts"] + ahead)
    for n, (meter, day) in enumerate(seeder.places(15, _any, ways=ALL_WAYS)):
        row = seeder.rows.pop(seeder.key(meter, day, seeder.slot()))
        back = datetime(2000, 1, 1, n, tzinfo=UTC) - row["ts"]
        seeder.extra.append(_moved(row, back))
        seeder.expect_reading("clock of another age", Check.NOT_AGES_OLD, row["stream_id"], row["ts"] + back)


def _moved(row: Row, by: timedelta) -> Row:
    return row | {"ts": row["ts"] + by, "ts_end": row["ts_end"] and row["ts_end"] + by}


def _doubles(seeder: Seeder) -> None:
    for meter, day in seeder.places(15, _any, ways=ALL_WAYS):
        row = seeder.row(meter, day, seeder.slot())
        seeder.extra.append(row | {"revision": 1, "value": row["value"] + seeder.chance.randrange(2, 50)})
        seeder.expect_reading("two values", Check.KEY_UNIQUE, row["stream_id"], row["ts"])
    for meter, day in seeder.places(12, _any, ways=ALL_WAYS):
        row = seeder.row(meter, day, seeder.slot())
        later = {"revision": 1, "quality": "ESTIMATED", "received_at": row["received_at"] + timedelta(hours=1)}
        seeder.extra.append(row | later)
        seeder.expect_reading("worse replacement", Check.RANK_NOT_LOWER, row["stream_id"], row["ts"])


def seed_slots(seeder: Seeder) -> None:
    """Faults that show only beside other slots, days, channels or registers."""
    _gaps(seeder)
    _days(seeder)
    _highs(seeder)
    _runs(seeder)


def _gaps(seeder: Seeder) -> None:
    for meter, day in seeder.places(15, _any):
        length = seeder.chance.randrange(1, 9)
        slot = seeder.slot(length)
        seeder.drop(meter, day, range(slot, slot + length))
        for missing in range(slot, slot + length):
            seeder.expect_slots("missing slot", Check.SLOT_COVERED, meter, day, range(missing, missing + 1))
    for meter, day in seeder.places(10, _any):
        seeder.drop(meter, day, range(seeder.slot(40), 88))
        seeder.expect_day("day cut short", Check.SLOTS_IN_DAY, meter, day)
    for meter, day in seeder.places(12, _any, ways="parts"):
        length = seeder.chance.randrange(2, 13)
        slot = seeder.slot(length)
        seeder.drop(meter, day, range(slot, slot + length), channels=[seeder.chance.choice("ab")])
        for missing in range(slot, slot + length):
            seeder.expect_slots("missing sibling", Check.SIBLINGS_PRESENT, meter, day, range(missing, missing + 1))


def _days(seeder: Seeder) -> None:
    def sizeable(meter: Meter, day: int) -> bool:
        return meter.checked and meter.energy_wh[day].sum() > 2_000 and meter.share[day].max() < 1.0

    for n, (meter, day) in enumerate(seeder.places(14, sizeable, ways="interval power")):
        seeder.scale(meter, day, (0.85, 1.1)[n % 2])
        seeder.expect_day("sum off the register", Check.REGISTER_SUM, meter, day)

    def usual(meter: Meter, day: int) -> bool:
        before = [meter.energy_wh[like].sum() for like in _like_days(day)]
        return meter.kind == "load" and 0.85 < meter.energy_wh[day].sum() / np.median(before) < 1.2

    def room_above(meter: Meter, day: int) -> bool:
        before = np.median([meter.share[like].sum() for like in _like_days(day)])
        return meter.kind == "load" and np.minimum(3.0 * meter.share[day], HIGHEST).sum() > 2.2 * before

    for meter, day in seeder.places(12, room_above):
        seeder.scale(meter, day, 3.0)
        seeder.expect_day("high day", Check.DAY_USAGE, meter, day)
    for meter, day in seeder.places(12, usual):
        seeder.scale(meter, day, 0.25)
        seeder.expect_day("low day", Check.DAY_USAGE, meter, day)


def _highs(seeder: Seeder) -> None:
    for meter, day in seeder.places(15, lambda m, d: m.kind in {"load", "pv"} and 0.1 < np.sort(m.share[d])[-2] < 0.35):
        seeder.set_share(meter, day, seeder.slot(), 1.15)
        seeder.expect_day("spike", Check.DAY_SPIKE, meter, day)
    for meter, day in seeder.places(12, _any, ways="parts"):
        slot = seeder.slot()
        seeder.set_share(meter, day, slot, seeder.chance.uniform(1.4, 2.2))
        seeder.expect_slots("channels' demand", Check.SLOT_DEMAND, meter, day, range(slot, slot + 1))
    for meter, day in seeder.places(15, lambda m, d: m.kind in {"load", "pv"} and m.share[d, 8:88].min() < 0.25):
        slot = int(8 + meter.share[day, 8:88].argmin())
        seeder.set_share(meter, day, slot, 1.18)
        seeder.expect_slots("jump", Check.DEMAND_JUMP, meter, day, range(slot, slot + 1))
    for meter, day in seeder.places(20, lambda m, d: m.kind == "load" and _quiet_slot(m, d) is not None):
        slot, share = _quiet_slot(meter, day) or (0, 0.0)
        seeder.set_share(meter, day, slot, share)
        seeder.expect_slots("unusual value", Check.USUAL_RANGE, meter, day, range(slot, slot + 1))


def _quiet_slot(meter: Meter, day: int) -> tuple[int, float] | None:
    """A slot that was much alike in the three weeks before, and a share that is twelve deviations above it."""
    like = _like_days(day)
    around = np.stack([meter.share[like, slot - 2 : slot + 3].ravel() for slot in range(8, 88)])
    wanted = around.mean(axis=1) + 12 * np.maximum(around.std(axis=1), 0.04)
    best = int(wanted.argmin())
    return (8 + best, float(wanted[best])) if wanted[best] < 1.0 else None


def _runs(seeder: Seeder) -> None:
    for meter, day in seeder.places(12, lambda m, d: m.kind in {"load", "pv"} and bool(m.share[d, 44] > 0.1)):
        length = seeder.chance.randrange(10, 20)
        for channel in meter.streams():
            for slot in range(45, 44 + length):
                seeder.row(meter, day, slot, channel)["value"] = seeder.row(meter, day, 44, channel)["value"]
        seeder.expect_slots("stale value", Check.STALE_RUN, meter, day, range(44, 44 + length))
    for kind, count, days in (("heat_pump", 2, 12), ("load", 6, 2), ("pv", 6, 2)):
        for meter, day in seeder.places(count, lambda m, _, kind=kind: m.kind == kind, days=days):
            for n in range(days):
                seeder.scale(meter, day + n, 0.0)
            seeder.expect_slots("zeros", Check.ZERO_RUN, meter, day, range(days * PER_DAY))
    for meter, day in seeder.places(10, _any, days=4):
        for slot in range(4 * PER_DAY):
            for channel in meter.streams():
                seeder.row(meter, day, slot, channel)["quality"] = "ESTIMATED"
        seeder.expect_slots("long estimated", Check.ESTIMATED_RUN, meter, day, range(4 * PER_DAY))


Pair = dict[str, Any]


def _foreign(pair: Pair, meter: Meter, chance: random.Random) -> Pair:
    return {"tried": False, "exchange_wh": chance.uniform(0.61, 0.99) * meter.rated_wh + 0.37}


AT_EXCHANGE: list[tuple[str, Check, Callable[[Pair, Meter, random.Random], Pair]]] = [
    ("exchange lost it", Check.EXCHANGE_PRESENT, lambda *_: {"exchange_wh": None}),
    (
        "exchange changed it",
        Check.EXCHANGE_EQUAL,
        lambda pair, meter, chance: {"exchange_wh": pair["sent_wh"] + chance.uniform(0.05, 0.2) * meter.rated_wh},
    ),
    ("foreign value", Check.EXCHANGE_UNASKED, _foreign),
    (
        "foreign unit",
        Check.EXCHANGE_DEMAND,
        lambda pair, meter, _: {"exchange_wh": 1000 * (pair["sent_wh"] + meter.rated_wh / 100)},
    ),
    ("exchange negative", Check.EXCHANGE_SOUND, lambda pair, *_: {"exchange_wh": -1.0 - pair["sent_wh"]}),
    ("never read back", Check.READ_BACK_FRESH, lambda *_: {"read": False}),
    (
        "no cause",
        Check.DIFFERENCE_EXPLAINED,
        lambda pair, *_: {"exchange_wh": pair["sent_wh"] + 5.0, "listed": False},
    ),
]
"""Kind, the check meant for it, and what it changes between the two sides."""


def seed_exchange(faults: list[Fault], meters: list[Meter], pairs: dict[tuple[str, datetime], Pair]) -> None:
    """Faults of the exchange and of those who write to it.

    Args:
        faults: are appended to.
        meters: all.
        pairs: (asset, slot) -> `sent_wh`, `exchange_wh`, `tried`, `listed`, `read`; changed.
    """
    chance = random.Random(9)  # noqa: S311
    by_id = {meter.asset_id: meter for meter in meters}
    # Every other slot, so that no fault is another's neighbour.
    places = [key for key in pairs if key[1].minute in {0, 30} and key[1] < NOW - timedelta(hours=16)]
    free = chance.sample(places, 20 * len(AT_EXCHANGE))
    for n, (kind, check, change) in enumerate(AT_EXCHANGE):
        for asset_id, slot in free[20 * n : 20 * (n + 1)]:
            pair = pairs[asset_id, slot]
            pair |= change(pair, by_id[asset_id], chance)
            faults.append(Fault(kind=kind, check=check, subject=f"{asset_id}/forecast", first=slot, last=slot))
