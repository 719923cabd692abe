"""Measured history, a few assets at a time: years of ten thousand assets don't fit into memory at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
import polars as pl
from sqlalchemy import BigInteger, ColumnElement, Connection, Integer, cast, func, select

from pipelines.community import Asset, AssetType, Community
from pipelines.convert.forecast.features import TYPES
from pipelines.convert.forecast.windows import Energies, Grid
from pipelines.convert.standing import CURRENT, sendable
from pipelines.frames import INSTANT, QUALITY_RANK
from pipelines.store import CHUNK, SlotEnergyRow, Store, read_frame, table_of

SLOTS_AT_ONCE = 400_000
"""Slots of all assets together that are held at a time; about 200 MB while they are read."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What the forecast must know of an asset."""

    asset_id: str
    type: AssetType
    full_wh: float
    """Energy of a slot at rated power."""

    @property
    def type_number(self) -> int:
        """In `features.TYPES`."""
        return TYPES.index(self.type)


def subject_of(asset: Asset, length: timedelta) -> Subject:
    """The forecast's view of an asset."""
    full_wh = asset.rated_power_kw * 1000 * (length / timedelta(hours=1))
    return Subject(asset_id=asset.asset_id, type=asset.type, full_wh=full_wh)


class History(Protocol):
    """Where measured slots come from."""

    def grids(self, asset_ids: Sequence[str]) -> Iterator[Grid]:
        """The assets' slots, some assets at a time, in the order of `asset_ids`."""


@dataclass(frozen=True)
class GridHistory:
    """Of one grid in memory."""

    grid: Grid

    def grids(self, asset_ids: Sequence[str]) -> Iterator[Grid]:
        """The assets one by one."""
        for asset_id in asset_ids:
            column = self.grid.asset_ids.index(asset_id)
            yield Grid(
                first_us=self.grid.first_us,
                length_us=self.grid.length_us,
                asset_ids=[asset_id],
                energy_wh=self.grid.energy_wh[:, [column]],
                rank=self.grid.rank[:, [column]],
            )


@dataclass(frozen=True, kw_only=True)
class StoredHistory:
    """Of the store: slots that start in [start, end) and are whole and good enough to be sent."""

    store: Store
    start: datetime
    end: datetime
    length: timedelta

    def grids(self, asset_ids: Sequence[str]) -> Iterator[Grid]:
        """As many assets at a time as fit."""
        per_asset = max(1, (self.end - self.start) // self.length)
        at_once = max(1, min(CHUNK, SLOTS_AT_ONCE // per_asset))
        for i in range(0, len(asset_ids), at_once):
            chosen = asset_ids[i : i + at_once]
            with self.store.reading() as connection:
                slots = read_slots(connection, chosen, [(self.start, self.end - self.length)])
            yield grid_of(slots, chosen, start=self.start, end=self.end, length=self.length)


def read_slots(
    connection: Connection,
    asset_ids: Sequence[str],
    spans: Sequence[tuple[datetime, datetime]],
    *,
    posting: frozenset[str] = frozenset(),
) -> pl.DataFrame:
    """The highest version of each slot that starts in one of the spans, both ends included, if it can be sent: CURRENT.

    Spans don't overlap. Each is one range of the primary key per asset, so that a long history costs nothing.
    `posting` is as of `standing.sendable`.
    """
    table = table_of(SlotEnergyRow)
    names = [name for name in CURRENT.names() if name != "slot_start"]
    columns = [*(table.c[name] for name in names), _epoch_s(connection, table.c.slot_start)]
    schema = pl.Schema({**{name: CURRENT[name] for name in names}, "at_s": pl.Int64()})
    parts = [
        read_frame(
            connection,
            select(*columns).where(
                table.c.asset_id.in_(asset_ids[i : i + CHUNK]), table.c.slot_start.between(first, last)
            ),
            schema,
        )
        for i in range(0, len(asset_ids), CHUNK)
        for first, last in spans
    ]
    found = pl.concat(parts) if parts else schema.to_frame()
    found = found.with_columns(slot_start=pl.from_epoch("at_s").dt.replace_time_zone("UTC").cast(INSTANT))
    newest = found.filter(pl.col("version") == pl.col("version").max().over("asset_id", "slot_start"))
    return sendable(newest.select(CURRENT.names()), posting=posting)


def _epoch_s(connection: Connection, column: ColumnElement[datetime]) -> ColumnElement[int]:
    """An instant as seconds since 1970, made by the database: a million instants in Python's own form take seconds."""
    if connection.dialect.name == "sqlite":
        return cast(func.strftime("%s", column), Integer)
    return cast(func.extract("epoch", column), BigInteger)


def grid_of(
    slots: pl.DataFrame, asset_ids: Sequence[str], *, start: datetime, end: datetime, length: timedelta
) -> Grid:
    """Slots as a grid over [start, end), both of them slot boundaries.

    Args:
        slots: asset_id, slot_start, energy_wh, quality.
        asset_ids: the grid's columns.
        start: of the first slot.
        end: of the last slot.
        length: of a slot.
    """
    length_us = length // timedelta(microseconds=1)
    first_us = int(pl.Series([start], dtype=INSTANT).dt.timestamp("us").item())
    shape = ((end - start) // length, len(asset_ids))
    energy_wh: Energies = np.full(shape, np.nan)
    rank = np.zeros(shape, dtype=np.int8)
    columns = {asset_id: number for number, asset_id in enumerate(asset_ids)}
    placed = slots.select(
        "energy_wh",
        row=(pl.col("slot_start").dt.timestamp("us") - first_us) // length_us,
        column=pl.col("asset_id").replace_strict(columns, default=-1, return_dtype=pl.Int64),
        rank=pl.col("quality").replace_strict(QUALITY_RANK, return_dtype=pl.Int8),
    ).filter(pl.col("row").is_between(0, shape[0] - 1) & (pl.col("column") >= 0))
    at = (placed["row"].to_numpy(), placed["column"].to_numpy())
    energy_wh[at] = placed["energy_wh"].to_numpy()
    rank[at] = placed["rank"].to_numpy()
    return Grid(first_us=first_us, length_us=length_us, asset_ids=asset_ids, energy_wh=energy_wh, rank=rank)


def stored_span(store: Store, community: Community) -> tuple[datetime, datetime] | None:
    """Start of the first and end of the last slot that the store has of the community's assets; None: has none."""
    table = table_of(SlotEnergyRow)
    ids = [asset.asset_id for asset in community.assets]
    low: datetime | None = None
    high: datetime | None = None
    with store.reading() as connection:
        for i in range(0, len(ids), CHUNK):
            query = select(func.min(table.c.slot_start), func.max(table.c.slot_start)).where(
                table.c.asset_id.in_(ids[i : i + CHUNK])
            )
            first, last = connection.execute(query).one()
            if first is not None:
                low, high = min(low or first, first), max(high or last, last)
    return None if low is None or high is None else (low, high + community.slot_length)
