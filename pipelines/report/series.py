"""The series behind the charts: known here, sent, at the exchange, per slot or per bucket of slots.

However long the period and however large the community, a chart gets at most BUCKETS places per asset,
and MULTIPLES assets.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, func, select

from pipelines.community import Community
from pipelines.frames import INSTANT, Quantity
from pipelines.report import queries as q
from pipelines.report.figures import AssetStatus
from pipelines.report.grades import grade_expression
from pipelines.report.times import slot_ceil
from pipelines.slots import slots_between
from pipelines.store import read_frame

MULTIPLES = 36
"""Assets that the charts show one by one."""

BUCKETS = 200
"""Places along a chart's time axis, at most (a little more where a day has 25 hours)."""

WINDOW = timedelta(days=7)
"""Slots are read so much at a time: MULTIPLES assets and one-minute slots make 363,000 rows."""

MINUTES = (15, 30, 60, 120, 180, 240, 360, 720)
DAYS = {"1d": 1440, "1w": 10_080, "1mo": 43_800}


@dataclass(frozen=True)
class Buckets:
    """How slots are put together for a chart: `every` is a polars duration; days are local ones."""

    every: str
    zone: str

    def start(self) -> pl.Expr:
        """Start of the bucket that holds `slot_start`."""
        if self.every.endswith("m"):
            return pl.col("slot_start").dt.truncate(self.every)
        local = pl.col("slot_start").dt.convert_time_zone(self.zone)
        return local.dt.truncate(self.every).dt.convert_time_zone("UTC")

    def end(self) -> pl.Expr:
        """End of the bucket that starts at `t`."""
        if self.every.endswith("m"):
            return pl.col("t").dt.offset_by(self.every)
        return pl.col("t").dt.convert_time_zone(self.zone).dt.offset_by(self.every).dt.convert_time_zone("UTC")


def buckets_for(start: datetime, end: datetime, *, slot_minutes: int, zone: str) -> Buckets:
    """The finest buckets of which at most BUCKETS fit in the period; slots themselves where they do."""
    minutes = (end - start) / timedelta(minutes=1)
    fine = [slot_minutes, *(m for m in MINUTES if m > slot_minutes and m % slot_minutes == 0)]
    sizes = {f"{m}m": m for m in fine} | DAYS
    return Buckets(next((every for every, size in sizes.items() if minutes / size <= BUCKETS), "1mo"), zone)


@dataclass(frozen=True, kw_only=True)
class AssetSeries:
    """What the charts of single assets are drawn from. `k` is the asset's place, `t`, `u` a bucket's bounds in ms."""

    cells: pl.DataFrame
    """A row per asset and bucket, without gaps since the asset is live: `s` sent, `e` at the exchange and `w` known
    here, Wh (null: none); `d` discrepancies, open or lost; `c` coverage 0..1, where a slot without a value counts as
    0; `n` slots."""

    parts: pl.DataFrame
    """A row per asset, bucket and grade that occurs in it: `g` the grade, `a`, `b` from where to where its energy is
    stacked, Wh; `n` slots."""

    @property
    def runs(self) -> pl.DataFrame:
        """A row for each stretch of buckets whose worst grade `g` is the same: `k`, `t`, `u`, `g`."""
        worst = self.parts.group_by("k", "t", "u").agg(pl.col("g").max()).sort("k", "t")
        kept = (pl.col("k") == pl.col("k").shift(1)) & (pl.col("g") == pl.col("g").shift(1))
        follows = kept & (pl.col("t") == pl.col("u").shift(1))
        numbered = worst.with_columns(run=(~follows.fill_null(value=False)).cum_sum())
        joined = numbered.group_by("run").agg(pl.col("k", "t", "g").first(), pl.col("u").last())
        return joined.sort("run").select("k", "t", "u", "g")


def asset_series(
    connection: Connection, community: Community, assets: Sequence[AssetStatus], start: datetime, end: datetime
) -> AssetSeries:
    """The slots of these assets in [start, end), put together where they are too many for a chart."""
    length = community.slot_length
    buckets = buckets_for(start, end, slot_minutes=community.community.slot_length, zone=community.community.time_zone)
    live = pl.DataFrame(
        {
            "asset_id": pl.Series([a.uuid for a in assets], dtype=pl.String),
            "live_since": pl.Series([a.live_since for a in assets], dtype=INSTANT),
            "k": pl.Series(range(len(assets)), dtype=pl.Int64),
        }
    )
    cells, parts = [], []
    for window in _windows(slot_ceil(start, length), end):
        scope = q.Scope(asset_ids=tuple(a.uuid for a in assets), start=window[0], end=window[1])
        slots = pl.DataFrame({"slot_start": pl.Series(list(slots_between(*window, length)), dtype=INSTANT)})
        found = live.join(slots, how="cross").filter(pl.col("slot_start") >= pl.col("live_since"))
        for frame in _per_slot(connection, scope):
            found = found.join(frame, on=["asset_id", "slot_start"], how="left")
        found = found.with_columns(g=grade_expression("quality", "c"), t=buckets.start())
        sums = (*map(_sum_or_null, "sew"), pl.col("d", "c").sum(), pl.len().alias("n"))
        cells.append(found.group_by("k", "t").agg(*sums))
        parts.append(found.group_by("k", "t", "g").agg(pl.col("w").sum(), pl.len().alias("n")))
    if not cells:
        return AssetSeries(
            cells=pl.DataFrame(schema=["k", "t", "u", "s", "e", "w", "d", "c", "n"]),
            parts=pl.DataFrame(schema=["k", "t", "u", "g", "a", "b", "n"]),
        )
    whole = pl.concat(cells).group_by("k", "t").agg(*map(_sum_or_null, "sew"), pl.col("d", "c", "n").sum())
    whole = whole.with_columns(c=pl.col("c") / pl.col("n"))
    stacked = pl.concat(parts).group_by("k", "t", "g").agg(pl.col("w", "n").sum()).sort("k", "t", "g")
    stacked = stacked.with_columns(b=pl.col("w").cum_sum().over("k", "t"))
    stacked = stacked.select("k", "t", "g", (pl.col("b") - pl.col("w")).alias("a"), "b", "n")
    return AssetSeries(
        cells=_finished(whole, buckets, start, end).sort("k", "t"),
        parts=_finished(stacked, buckets, start, end).sort("k", "t", "g"),
    )


def community_series(
    connection: Connection, community: Community, groups: dict[str, tuple[str, ...]], start: datetime, end: datetime
) -> pl.DataFrame:
    """Sums over all assets of each group: `g` group, `t`, `u`, `s`, `e` and `w` as in `AssetSeries`.

    Args:
        connection: to read with.
        community: gives slot length and zone.
        groups: name -> asset_ids.
        start: of the period.
        end: of the period.
    """
    length = community.slot_length
    buckets = buckets_for(start, end, slot_minutes=community.community.slot_length, zone=community.community.time_zone)
    slots = pl.DataFrame(
        {"slot_start": pl.Series(list(slots_between(slot_ceil(start, length), end, length)), dtype=INSTANT)}
    )
    parts = []
    for name, asset_ids in groups.items():
        scope = q.Scope(asset_ids=asset_ids, start=start, end=end)
        sums = slots
        for column, table, condition in (*_energies(connection, scope), _known(connection, scope)):
            query = (
                select(table.c.slot_start, func.sum(table.c.energy_wh)).where(condition).group_by(table.c.slot_start)
            )
            sums = sums.join(
                read_frame(connection, query, pl.Schema({"slot_start": INSTANT, column: pl.Float64()})),
                on="slot_start",
                how="left",
            )
        parts.append(sums.group_by(t=buckets.start()).agg(*map(_sum_or_null, "sew")).with_columns(g=pl.lit(name)))
    if not parts:
        return pl.DataFrame(schema=["g", "t", "u", "s", "e", "w"])
    return _finished(pl.concat(parts), buckets, start, end).sort("g", "t")


def _energies(connection: Connection, scope: q.Scope) -> Iterable[tuple[str, Any, ColumnElement[bool]]]:
    """Column, table and condition of what was sent and of what the exchange used."""
    yield "s", q.SUBMISSION, scope.of(connection, q.SUBMISSION) & q.sent_forecast()
    yield "e", q.EXCHANGE, scope.of(connection, q.EXCHANGE) & (q.EXCHANGE.c.quantity == Quantity.FORECAST)


def _known(connection: Connection, scope: q.Scope) -> tuple[str, Any, ColumnElement[bool]]:
    return "w", q.SLOT, scope.of(connection, q.SLOT) & q.newest_slot()


def _per_slot(connection: Connection, scope: q.Scope) -> Iterator[pl.DataFrame]:
    """Frames keyed by asset_id and slot_start, with the further columns s; e; c, quality, w; d."""
    key = {"asset_id": pl.String(), "slot_start": INSTANT}
    for column, table, condition in _energies(connection, scope):
        query = select(table.c.asset_id, table.c.slot_start, table.c.energy_wh).where(condition)
        yield read_frame(connection, query, pl.Schema({**key, column: pl.Float64()}))
    columns = (q.SLOT.c[name] for name in ("asset_id", "slot_start", "coverage", "quality", "energy_wh"))
    slots = select(*columns).where(scope.of(connection, q.SLOT), q.newest_slot())
    yield read_frame(
        connection, slots, pl.Schema({**key, "c": pl.Float64(), "quality": pl.String(), "w": pl.Float64()})
    )
    differing = (
        select(q.DISCREPANCY.c.asset_id, q.DISCREPANCY.c.slot_start, func.count())
        .where(scope.of(connection, q.DISCREPANCY), q.STANDING)
        .group_by(q.DISCREPANCY.c.asset_id, q.DISCREPANCY.c.slot_start)
    )
    yield read_frame(connection, differing, pl.Schema({**key, "d": pl.Int64()}))


def _windows(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        yield start, min(start + WINDOW, end)
        start += WINDOW


def _sum_or_null(column: str) -> pl.Expr:
    """Sum of what is there; null, not 0, where nothing is."""
    return pl.when(pl.col(column).count() > 0).then(pl.col(column).sum()).alias(column)


def _finished(frame: pl.DataFrame, buckets: Buckets, start: datetime, end: datetime) -> pl.DataFrame:
    """Bounds cut to the period and in ms; numbers short enough for a page."""
    bounded = frame.with_columns(u=buckets.end().clip(upper_bound=end), t=pl.col("t").clip(lower_bound=start))
    return bounded.with_columns(pl.col("t", "u").dt.epoch("ms"), pl.col(pl.Float64).fill_nan(None).round(4))
