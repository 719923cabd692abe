"""Reads weeks of slots fast: the database packs each asset's into one text, and polars unpacks it.

Row by row, Python makes an object of each cell: for three weeks of ten thousand assets more than a hundred million.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, Integer, Table, column, func, select, values

from pipelines.store import SlotEnergyRow, table_of
from pipelines.validate.days.slots import CURRENT

_PACKED = pl.Schema(
    {
        "number": pl.Int64(),
        "slot_start": pl.String(),
        "version": pl.Int64(),
        "energy_wh": pl.Float64(),
        "coverage": pl.Float64(),
        "quality": pl.String(),
        "method": pl.String(),
    }
)


def read_packed_slots(
    connection: Connection, asset_ids: Sequence[str], *, start: datetime, end: datetime
) -> pl.DataFrame:
    """The newest version of each slot that starts in [start, end).

    Args:
        connection: for queries.
        asset_ids: a few thousand at most, for each is a parameter.
        start: instant.
        end: instant.

    Returns:
        A frame of `CURRENT`; energy to 12 digits.
    """
    row = table_of(SlotEnergyRow)
    asked = (
        values(column("number", Integer), column("asset_id", row.c.asset_id.type), name="asked")
        .data(list(enumerate(asset_ids)))
        .cte("asked")
    )
    pack, line = _packing(connection.dialect.name, asked.c.number, row)
    query = (
        select(pack(line, "\n"))
        .select_from(asked.join(row, row.c.asset_id == asked.c.asset_id))
        .where(row.c.slot_start >= start, row.c.slot_start < end)
        .group_by(asked.c.number)
    )
    text = "\n".join(connection.execute(query).scalars())
    if not text:
        return CURRENT.to_frame()
    versions = pl.read_csv(text.encode(), has_header=False, schema=_PACKED, quote_char=None)
    newest = _newest(versions)
    return newest.select(
        asset_id=pl.Series(asset_ids, dtype=pl.String).gather(newest["number"]),
        slot_start=pl.col("slot_start").str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC"),
        energy_wh="energy_wh",
        quality="quality",
        coverage="coverage",
        method=pl.col("method").fill_null(""),
    ).select(CURRENT.names())


def _newest(versions: pl.DataFrame) -> pl.DataFrame:
    """Drop what a later version replaces. Most slots have one version: only the others are looked at."""
    key = ("number", "slot_start")
    later = versions.filter(pl.col("version") > 0).group_by(key).agg(newest=pl.col("version").max())
    if later.is_empty():
        return versions
    return versions.join(later, on=list(key), how="left").filter(
        pl.col("version") == pl.col("newest").fill_null(pl.col("version"))
    )


def _packing(dialect: str, number: ColumnElement[int], row: Table) -> tuple[Any, ColumnElement[str]]:
    """How the database joins lines, and one line of `_PACKED`: one call a line is twice as fast as joining cells."""
    cells = (row.c.version, row.c.energy_wh, row.c.coverage, row.c.quality, row.c.method)
    if dialect == "postgresql":
        instant = func.to_char(func.timezone("UTC", row.c.slot_start), "YYYY-MM-DD HH24:MI:SS")
        return func.string_agg, func.concat_ws(",", number, instant, *cells)
    # SQLite holds instants as such text.
    return func.group_concat, func.printf("%d,%s,%d,%.12g,%.12g,%s,%s", number, row.c.slot_start, *cells)
