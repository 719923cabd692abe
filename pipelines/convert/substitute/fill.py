"""Substitute values for the slots of the windows that are looked at."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import polars as pl
from sqlalchemy import Connection

from pipelines.community import Community
from pipelines.convert.methods import Method
from pipelines.convert.substitute.assemble import assemble
from pipelines.convert.substitute.check_registers import CHECK, free_energy, scale, split
from pipelines.convert.substitute.history import history
from pipelines.convert.substitute.holes import STRETCH, cut, holes, long_spans
from pipelines.convert.substitute.like_days import US, like_day_means
from pipelines.convert.substitute.lines import line_wh, with_lines
from pipelines.convert.substitute.spread import spread
from pipelines.convert.substitute.units import Known, look
from pipelines.frames import SLOT_ENERGY
from pipelines.slots import slot_floor

BATCH = timedelta(days=600)
"""Days of assets that are looked at in one go, so that memory stays bounded however many have gaps."""


def due_until(community: Community, now: datetime) -> datetime:
    """Up to here, silences are estimated: clouds late as usual cause no estimates that are soon thrown away."""
    return slot_floor(now - timedelta(minutes=community.estimation.linear_minutes), community.slot_length)


def fill(connection: Connection, community: Community, windows: pl.DataFrame, *, now: datetime) -> pl.DataFrame:
    """Compute the slots that get a substitute.

    Args:
        connection: inside the run's transaction; the chunk's whole slots are written already.
        community: assets, slot length, `estimation`, time zone and holidays.
        windows: WINDOWS.
        now: slots that end later are not finished.

    Returns:
        SLOT_ENERGY of the windows' slots that changed by being filled or spread anew. Those that can't be filled whole
        are not among them: what readings tell of them stands.
    """
    parts = [_fill_batch(connection, community, batch, now=now) for batch in _batches(windows)]
    if not parts:
        return SLOT_ENERGY.to_frame()
    return pl.concat(parts).unique(["asset_id", "slot_start"], keep="first", maintain_order=True)


def _batches(windows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """At most one window per asset, neighbours in time together."""
    ordered = windows.sort("lo", "asset_id").with_columns(turn=pl.int_range(pl.len()).over("asset_id"))
    days = (pl.col("hi") - pl.col("lo")).dt.total_days() + 1
    for _, turn in ordered.group_by("turn", maintain_order=True):
        parted = turn.with_columns(batch=days.cum_sum() // BATCH.days)
        for _, batch in parted.group_by("batch", maintain_order=True):
            yield batch.drop("turn", "batch")


def _fill_batch(connection: Connection, community: Community, windows: pl.DataFrame, *, now: datetime) -> pl.DataFrame:
    slot_us = community.slot_length // US
    linear = timedelta(minutes=community.estimation.linear_minutes)
    known = look(connection, community, windows, around=linear + 2 * community.slot_length)
    own = known.units.filter(~pl.col("check"))
    own_spans = known.spans.join(own.select("unit"), on="unit", how="semi")
    pieces = _hole_pieces(community, known, own_spans, now=now)
    courses = cut(long_spans(own_spans, longer_than_us=max(linear // US, slot_us)), slot_us=slot_us)
    courses = courses.with_columns(gap=pl.col("gap") + pl.lit(pieces["gap"].max() or 0, dtype=pl.UInt32) + 1)
    lacking = pl.concat(
        [frame.select("unit", "gap", "t0", "slot") for frame in (pieces.filter("asks"), courses)]
    ).unique()
    past = history(connection, community, known, lacking, longest_even=linear)
    back = timedelta(weeks=community.estimation.like_day_weeks)
    likes = like_day_means(lacking, past, community.community, back=back, slot_us=slot_us).drop("t0")
    on = ["unit", "gap", "slot"]
    return assemble(
        known,
        filled=_estimated(pieces.join(likes, on=on, how="left"), slot_us=slot_us),
        spreads=spread(courses.join(likes, on=on, how="left"), slot_us=slot_us),
        now=now,
        length=community.slot_length,
    )


def _hole_pieces(community: Community, known: Known, own_spans: pl.DataFrame, *, now: datetime) -> pl.DataFrame:
    """The holes cut at slots and at check registers' readings.

    Returns:
        STRETCH, asset_id, slot, a, b, line_wh, check, free_wh, allowed (short enough to be estimated), asks (needs like
        days).
    """
    slot_us = community.slot_length // US
    linear_us = timedelta(minutes=community.estimation.linear_minutes) // US
    longest_us = timedelta(days=community.estimation.longest_days) // US
    due_us = _us_of(due_until(community, now))
    own = known.units.filter(~pl.col("check"))
    readings = known.readings.join(own.select("unit"), on="unit", how="semi")
    gaps = holes(readings, own_spans, due_until_us=due_us)
    checks = _checks(known, own_spans, readings, due_us=due_us)
    bounds = own.select(
        "unit", "asset_id", lo=pl.col("see_lo").dt.timestamp("us"), hi=pl.col("see_hi").dt.timestamp("us")
    )
    short = pl.col("closed") & (pl.col("t1") - pl.col("t0") <= linear_us)
    bridged = with_lines(gaps, known.slots, slot_us=slot_us).join(bounds, on="unit")
    inside = bridged.filter((pl.col("t0") < pl.col("hi")) & (pl.col("t1") > pl.col("lo")))
    parts = (
        cut(
            inside.with_columns(
                begin="t0", end="t1", t0=pl.max_horizontal("t0", "lo"), t1=pl.min_horizontal("t1", "hi")
            ),
            slot_us=slot_us,
        )
        .with_columns(t0="begin", t1="end")
        .drop("begin", "end", "lo", "hi")
    )
    near = pl.when("closed").then("t1").otherwise((pl.col("slot") + 1) * slot_us)
    return (
        split(parts, checks)
        .with_columns(line_wh=pl.when(short).then(line_wh()), allowed=near - pl.col("t0") <= longest_us)
        .with_columns(
            asks=(pl.col("line_wh").is_null() & pl.col("allowed"))
            | (pl.col("check").is_not_null() & ~pl.col("allowed"))
        )
        .select(*STRETCH.names(), "asset_id", "slot", "a", "b", "line_wh", "check", "free_wh", "allowed", "asks")
    )


def _checks(known: Known, own_spans: pl.DataFrame, readings: pl.DataFrame, *, due_us: int) -> pl.DataFrame:
    of_checks = known.units.filter("check")
    if of_checks.is_empty():
        return CHECK.to_frame()
    last = readings.group_by("unit").agg(last=pl.max_horizontal(pl.col("ts").max(), pl.col("ts_end").max()))
    known_until = (
        known.units.filter(~pl.col("check"))
        .join(last, on="unit", how="left")
        .group_by("asset_id")
        .agg(known_us=pl.col("last").min())
    )
    seen = of_checks.select("unit", lo=pl.col("see_lo").dt.timestamp("us"), hi=pl.col("see_hi").dt.timestamp("us"))
    whole = known.spans.join(seen, on="unit").filter((pl.col("t0") >= pl.col("lo")) & (pl.col("t1") <= pl.col("hi")))
    return free_energy(whole, own_spans, known.units, due_until_us=due_us, known_until=known_until)


def _estimated(pieces: pl.DataFrame, *, slot_us: int) -> pl.DataFrame:
    """What each piece gets, and by which method: unit, slot, a, b, added_wh (null: nothing), name."""
    like = pl.col("like_wh") * (pl.col("b") - pl.col("a")) / slot_us
    scaled = scale(pieces.with_columns(estimate_wh=pl.coalesce("line_wh", like)))
    name = (
        pl.when(pl.col("scaled_wh").is_not_null())
        .then(pl.lit(Method.SCALED_TO_REGISTER.value))
        .when(pl.col("line_wh").is_not_null())
        .then(pl.lit(Method.LINEAR.value))
        .otherwise(pl.lit(Method.LIKE_DAY.value))
    )
    estimate = pl.when("allowed").then("estimate_wh")
    return scaled.select("unit", "slot", "a", "b", added_wh=pl.coalesce("scaled_wh", estimate), name=name)


def _us_of(instant: datetime) -> int:
    return round(instant.timestamp()) * 1_000_000
