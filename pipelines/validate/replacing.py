"""What a later revision of a reading would replace. Pure: frames in, a frame out."""

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import polars as pl

from expectations.limits import CHANGED_BY
from pipelines.frames import INSTANT, QUALITY_RANK

KEY = ("stream_id", "ts")

STANDING = pl.Schema(
    {
        "id": pl.Int64(),
        "stream_id": pl.String(),
        "ts": INSTANT,
        "ts_end": INSTANT,
        "value": pl.Float64(),
        "quality": pl.String(),
        "verdict": pl.String(),
    }
)
"""Judged readings that a new or suspect one of the same stamp may replace. Key: id."""

REPLACED = pl.Schema({"row": pl.Int64(), "standing_rank": pl.Int64(), "change": pl.Float64()})
"""For a row that replaces another: the rank of that one's quality, and by how much the values differ, in Wh or W."""


class Version(NamedTuple):
    """One of the readings of a stamp."""

    row: int
    value: float
    ts_end: Any
    rank: int


def replaced(fresh: pl.DataFrame, usable: pl.DataFrame) -> pl.DataFrame:
    """Find what each new reading would replace: the usable one of its stamp, or an older new one that stands.

    A revision that is no better than what stands and says nothing new takes nobody's place, so the next one is
    compared with what stood before: readings that arrive together are judged as if they had come one by one.

    Args:
        fresh: `stream_id`, `ts`, `ts_end`, `value` (Wh or W), `rank` (of `pipelines.frames.QUALITY_RANK`), `row`:
            readings that are sound by themselves, sorted by stream and stamp and, within one stamp, newest first.
        usable: frame of `STANDING`: what energy is computed from till now.

    Returns:
        A frame of `REPLACED`, one row per reading that replaces another of the same span.
    """
    several = fresh.filter(pl.struct(KEY).is_duplicated())
    lonely = fresh.join(usable, on=KEY, how="semi").join(several, on="row", how="anti")
    stored = {
        (stream_id, ts): Version(-1, value, ts_end, QUALITY_RANK[quality])
        for stream_id, ts, ts_end, value, quality in usable.select(*KEY, "ts_end", "value", "quality").iter_rows()
    }
    found: list[tuple[int, int, float]] = []
    rows = pl.concat([several, lonely]).select(*KEY, *Version._fields).iter_rows()
    for key, revisions in groupby(rows, key=itemgetter(0, 1)):
        newest_first = [Version(*row[2:]) for row in revisions]
        found += _compare(stored.get(key), reversed(newest_first))
    return pl.DataFrame(found, schema=REPLACED, orient="row")


def _compare(standing: Version | None, versions: Iterable[Version]) -> Iterable[tuple[int, int, float]]:
    for version in versions:
        # The same value of another span is another statement.
        if standing and standing.ts_end == version.ts_end:
            change = abs(version.value - standing.value)
            yield version.row, standing.rank, change
            if version.rank > standing.rank and change <= CHANGED_BY:
                continue
        standing = version
