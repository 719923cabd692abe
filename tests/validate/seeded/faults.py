"""Faults of many kinds, each seeded many times over different assets and times."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np

from expectations.names import Check
from tests.validate.seeded.seeder import HIGHEST, Seeder
from tests.validate.seeded.world import NOW, PER_DAY, SLOT, Meter, Row

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
