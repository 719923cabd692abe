"""Good slots of the weeks before a gap, from the store."""

from datetime import UTC, datetime, timedelta

import polars as pl
from sqlalchemy import Connection, select

from pipelines.community import Community
from pipelines.convert.methods import Method
from pipelines.convert.standing import CURRENT, newest_versions, slots_within
from pipelines.convert.substitute.like_days import BIN, US, good_history, instants, with_bins
from pipelines.convert.substitute.units import Known, load_units, unit_slots
from pipelines.store import SlotEnergyRow, read_frame, table_of

FEW = 400
"""Up to so many instants are asked for one by one: a silence that grows needs one slot of each like day."""

HISTORY = ["unit", "slot", "energy_wh", "quality", "coverage", "method"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def history(
    connection: Connection, community: Community, known: Known, pieces: pl.DataFrame, *, longest_even: timedelta
) -> pl.DataFrame:
    """What may stand for the pieces: unit, slot, energy_wh of good slots.

    An asset of one stream has its slots in the store. Where it is the sum of several, the store tells only the sum, so
    those of the stream are computed from its readings. Slots that the batch has computed anew count instead of stored
    ones.

    Args:
        connection: inside the run's transaction.
        community: time zone, holidays, slot length and how many weeks count.
        known: of the batch.
        pieces: unit, t0 (begin of the gap), slot.
        longest_even: spans up to which evenly spread energy still has the day's shape.
    """
    slot_us = community.slot_length // US
    back_us = timedelta(weeks=community.estimation.like_day_weeks) // US
    needs = (
        pieces.group_by("unit")
        .agg(a=pl.col("t0").min() - back_us, b=pl.col("t0").max())
        .join(known.units, on="unit")
        .sort("unit")
    )
    if needs.is_empty():
        return pl.DataFrame(schema={"unit": pl.String(), "slot": pl.Int64(), "energy_wh": pl.Float64()})
    alone, others = needs.filter("alone"), needs.filter(~pl.col("alone"))
    older = [
        _stored(connection, community, alone, _wanted(needs, pieces, community)),
        _read_anew(connection, community, others),
    ]
    fresh = known.slots.select(HISTORY)
    stored = pl.concat(older).join(fresh, on=["unit", "slot"], how="anti")
    return good_history(pl.concat([stored, fresh]), longest_even_slots=longest_even // US // slot_us)


def _wanted(needs: pl.DataFrame, pieces: pl.DataFrame, community: Community) -> list[datetime]:
    """Starts of all slots that may be like one of the pieces."""
    slot_us = community.slot_length // US
    low, high = needs.select(pl.col("a").min() // slot_us, pl.col("b").max() // slot_us).row(0)
    candidates = pl.DataFrame({"slot": pl.int_range(low, high + 1, eager=True)})
    bins = with_bins(pieces.select("slot").unique(), community.community, slot_us=slot_us).select(BIN).unique()
    like = with_bins(candidates, community.community, slot_us=slot_us).join(bins, on=BIN, how="semi")
    return like.select(instants("slot", slot_us)).to_series().sort().to_list()


def _stored(connection: Connection, community: Community, units: pl.DataFrame, wanted: list[datetime]) -> pl.DataFrame:
    """The highest version of the stored slots of units that are their asset's only one: HISTORY."""
    asset_ids = units["asset_id"].to_list()
    if not asset_ids:
        return _numbered(CURRENT.to_frame(), units, community)
    ranges = [(asset, _instant(a), _instant(b)) for asset, a, b in units.select("asset_id", "a", "b").iter_rows()]
    if len(wanted) > FEW:
        return _numbered(slots_within(connection, ranges), units, community)
    table = table_of(SlotEnergyRow)
    query = select(*(table.c[name] for name in CURRENT.names()))
    query = query.where(table.c.asset_id.in_(asset_ids), table.c.slot_start.in_(wanted))
    some = newest_versions(read_frame(connection, query, CURRENT))
    # Whether an evenly spread slot has a shape is told by its neighbours.
    uncertain = set(some.filter(pl.col("method") == Method.INTERPOLATED)["asset_id"])
    if uncertain:
        whole = slots_within(connection, [one for one in ranges if one[0] in uncertain])
        some = pl.concat([some.filter(~pl.col("asset_id").is_in(list(uncertain))), whole])
    return _numbered(some, units, community)


def _numbered(slots: pl.DataFrame, units: pl.DataFrame, community: Community) -> pl.DataFrame:
    slot_us = community.slot_length // US
    return (
        slots.join(units.select("asset_id", "unit"), on="asset_id")
        .with_columns(slot=pl.col("slot_start").dt.timestamp("us") // slot_us)
        .select(HISTORY)
    )


def _read_anew(connection: Connection, community: Community, units: pl.DataFrame) -> pl.DataFrame:
    """Slots of single streams of assets that are a sum: HISTORY."""
    if units.is_empty():
        return pl.DataFrame(
            schema=dict.fromkeys(HISTORY, pl.String())
            | {"slot": pl.Int64(), "energy_wh": pl.Float64(), "coverage": pl.Float64()}
        )
    bounds = units.select("unit", "stream_id", "sign", "two_way", first=instants("a", 1), end=instants("b", 1))
    found = unit_slots(load_units(connection, bounds), bounds["unit"], length=community.slot_length)
    return found.select(HISTORY)


def _instant(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)
