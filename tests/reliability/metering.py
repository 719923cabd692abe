"""Invariants 6 and 7: energy from the source's readings to slots, and no reading behind a cursor that isn't stored."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from tests.convert.exact_slots import exact_slots
from tests.reliability.violations import Invariant, Violation
from tests.reliability.world import Row, World

USABLE = ("good", "released")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

PRECISION = 1e-9
SHARE = 1e-7
"""Of a quarter hour: a tenth of a millisecond."""

REGISTER_STEP = 2**-50
"""Share of a register's state that the difference of two doubles can't tell."""

ESTIMATED_BY = ("like_day", "linear", "scaled_to_register")
"""Beginnings of the ways by which energy gets into a slot that its own readings don't tell."""


def energy_conserved(world: World) -> list[Violation]:
    """(6) Energy is conserved from readings to slots to 1e-9: computed again in exact rationals.

    Slots that were filled with estimates are left out: no reading tells their energy.
    """
    return [*_altered(world), *_not_counted(world), *_unlike_readings(world), *_unlike_truth(world)]


def cursors_behind(world: World) -> list[Violation]:
    """(7) A cursor never passes a reading that is not stored, nor a slot that was not compared."""
    stored: dict[str, set[datetime]] = defaultdict(set)
    for row in world.readings:
        if row["ts"] is not None:
            stored[row["stream_id"]].add(row["ts"])
    missed = defaultdict(list)
    for reading in world.at_source:
        missed[reading.stream_id].append(reading.ts)
    found = []
    for cursor in world.cursors:
        stream, position = cursor["stream_id"], cursor["position"]
        begun = min(stored[stream], default=position)
        lost = [ts for ts in missed[stream] if begun <= ts <= position and ts not in stored[stream]]
        lost = [ts for ts in lost if not _remembered(world, stream, ts)]
        for ts in sorted(lost):
            seen = f"the cursor stands at {position:%Y-%m-%d %H:%M:%S}; the reading of {ts:%H:%M:%S} is not stored"
            found.append(_of_cursor(stream, seen, ts))
        if position not in stored[stream]:
            newest = max(stored[stream], default=None)
            seen = f"the cursor stands at {position:%Y-%m-%d %H:%M:%S}, where nothing is stored (newest: {newest})"
            found.append(_of_cursor(stream, seen, position))
    return found + list(_not_compared(world))


def _not_compared(world: World) -> Iterator[Violation]:
    """Accepted forecasts that no reconciliation would begin with any more, though nothing is known of them."""
    compared = {row["asset_id"]: row["compared_through"] for row in world.live_assets}
    for (asset, slot_start, quantity), versions in world.submissions.items():
        through = compared.get(asset)
        if quantity != "forecast" or through is None or slot_start >= through:
            continue
        if (asset, slot_start, quantity) not in world.listed and any(row["state"] == "accepted" for row in versions):
            yield Violation(
                invariant=Invariant.CURSORS_BEHIND,
                where=f"table asset, compared_through of {asset}",
                seen=f"compared up to {through:%Y-%m-%d %H:%M}; this one is accepted, and neither confirmed nor listed",
                asset=asset,
                slot_start=slot_start,
                quantity=quantity,
            )


def _of_cursor(stream: str, seen: str, at: datetime) -> Violation:
    return Violation(
        invariant=Invariant.CURSORS_BEHIND,
        where=f"table cursor, stream {stream}",
        seen=seen,
        stream=stream,
        slot_start=at,
    )


def _remembered(world: World, stream: str, ts: datetime) -> bool:
    """A gap that is asked for again is no loss."""
    return any(gap["stream_id"] == stream and gap["starts"] < ts < gap["ends"] for gap in world.gaps)


def _altered(world: World) -> Iterator[Violation]:
    """Readings that aren't stored as the source tells them."""
    newest: dict[tuple[str, datetime], Row] = {}
    for row in sorted(world.readings, key=lambda row: row["revision"]):
        newest[row["stream_id"], row["ts"]] = row
    for reading in world.at_source:
        row = newest.get((reading.stream_id, reading.ts))
        if row is None or row["value"] == reading.value:
            continue
        if None in (row["value"], reading.value) or abs(row["value"] - reading.value) > 1e-12 * abs(reading.value or 0):
            yield _of_reading(row, f"{row['value']} {row['unit']} is stored, the source has {reading.value}")


def _not_counted(world: World) -> Iterator[Violation]:
    """Readings that a settled store has not judged or not made slots of."""
    if not world.settled:
        return
    for row in world.readings:
        if row["verdict"] == "new":
            yield _of_reading(row, "never judged")
        elif row["verdict"] in USABLE and row["slotted_at"] is None:
            yield _of_reading(row, "usable, but no slot has taken account of it")


def _of_reading(row: Row, seen: str) -> Violation:
    return Violation(
        invariant=Invariant.ENERGY_CONSERVED,
        where=f"table reading, row {row['id']}",
        seen=seen,
        stream=row["stream_id"],
        slot_start=row["ts"],
    )


def _unlike_readings(world: World) -> Iterator[Violation]:
    """Slots whose energy isn't that of the readings they were made of."""
    length = world.community.slot_length
    slot_us = length // MICROSECOND
    rows = _by_use(world)
    exact = exact_slots(rows, slot_us)
    streams = {asset.asset_id: len(asset.streams) for asset in world.community.assets}
    largest: dict[str, float] = defaultdict(float)
    for row in rows:
        if row["kind"] == "register":
            largest[row["asset_id"]] = max(largest[row["asset_id"]], abs(row["value"]))
    finished = max(world.converted_at, default=EPOCH) - length
    for (asset, number), parts in exact.items():
        slot_start = EPOCH + number * length
        whole = len(parts) == streams[asset] and all(part.covered_us >= Fraction(slot_us) for part in parts.values())
        if whole and slot_start <= finished and (asset, slot_start) not in world.slots:
            yield _of_slot(asset, slot_start, "readings cover it whole, and there is no energy for it")
    for (asset, slot_start), versions in world.slots.items():
        if any(way.startswith(ESTIMATED_BY) for way in versions[-1]["method"].split("+")):
            continue
        parts = exact.get((asset, (slot_start - EPOCH) // length), {})
        backed = float(min(part.covered_us for part in parts.values())) if len(parts) == streams.get(asset) else 0.0
        if abs(versions[-1]["coverage"] - min(backed / slot_us, 1.0)) > SHARE:
            seen = f"version {versions[-1]['version']} has coverage {versions[-1]['coverage']:.6f}"
            yield _of_slot(asset, slot_start, f"{seen}; its readings back {backed / slot_us:.6f}")
        energy_wh = float(sum(part.energy_wh for part in parts.values()))
        yield from _apart(versions[-1], energy_wh, "its readings make", largest[asset])


def _unlike_truth(world: World) -> Iterator[Violation]:
    """Whole measured slots whose energy isn't what really flowed."""
    states = {
        asset.asset_id: max(
            # What was refused says nothing of how finely the others can tell.
            (
                abs(r["value"])
                for r in world.readings
                if r["kind"] == "register" and r["stream_id"] in ids and r["verdict"] in USABLE
            ),
            default=0.0,
        )
        for asset in world.community.assets
        if (ids := {stream.stream_id for stream in asset.streams})
    }
    for key, energy_wh in world.truth.items():
        row = world.slots.get(key, [None])[-1]
        if row is not None and row["quality"] == "MEASURED" and row["coverage"] >= 1 - PRECISION:
            yield from _apart(row, energy_wh, "in truth", states.get(key[0], 0.0))


def _apart(row: Row, energy_wh: float, words: str, register_wh: float) -> Iterator[Violation]:
    if abs(row["energy_wh"] - energy_wh) > PRECISION * max(energy_wh, 1.0) + REGISTER_STEP * register_wh:
        seen = f"version {row['version']} has {row['energy_wh']:.9f} Wh; {words} {energy_wh:.9f} Wh"
        yield _of_slot(row["asset_id"], row["slot_start"], seen)


def _of_slot(asset: str, slot_start: datetime, seen: str) -> Violation:
    return Violation(
        invariant=Invariant.ENERGY_CONSERVED,
        where="table slot_energy",
        seen=seen,
        asset=asset,
        slot_start=slot_start,
    )


def _by_use(world: World) -> list[Row]:
    """Usable readings as the exact integrator takes them: one row for each use of a stream by an asset."""
    of_stream: dict[str, list[Row]] = defaultdict(list)
    for row in world.readings:
        if row["verdict"] in USABLE:
            of_stream[row["stream_id"]].append(row)
    return [
        {
            "asset_id": asset.asset_id,
            "stream_id": stream.stream_id,
            "sign": stream.sign,
            "two_way": stream.two_way,
            "ts": (row["ts"] - EPOCH) // MICROSECOND,
            "ts_end": None if row["ts_end"] is None else (row["ts_end"] - EPOCH) // MICROSECOND,
            "kind": row["kind"],
            "value": row["value"],
            "quality": row["quality"],
            "series_start": row["series_start"],
        }
        for asset in world.community.assets
        for stream in asset.streams
        for row in of_stream[stream.stream_id]
    ]
