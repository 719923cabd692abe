"""Picks rows that broke an expectation, so that a reader sees which: asset, time, and what was compared."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from pipelines.validate.docs.words import NOTHING, headline, text

ROWS_SHOWN = 10
"""Rows that a page shows of each expectation."""

ASSETS_SHOWN = 5
"""Assets that a page names with the number of their rows."""

TIME_COLUMNS = ("slot_start", "ts", "day")
"""Where a row's time stands; the first that a frame has."""

BESIDE = ("value", "energy_wh", "wanted_wh", "exchange_wh")
"""Columns that say more of a row, where a frame has them; `value` gets its `unit`."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Rows that broke an expectation, in people's words."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    by_asset: Sequence[tuple[str, int]]
    """Assets with most such rows, and how many."""

    other_assets: int
    """Assets that `by_asset` leaves out."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows that a suite judged."""

    frame: pl.DataFrame
    asset_names: Mapping[str, str]
    """Asset's id -> its name."""

    zone: ZoneInfo

    def examples(self, numbers: Sequence[int], expectation: Mapping[str, Any]) -> Examples:
        """Pick rows: of as many assets as possible, and of each the first ones.

        Args:
            numbers: of the rows that broke the expectation, rising from 0.
            expectation: the expectation's arguments, which name the columns it looks at.
        """
        broken = self.frame[list(numbers)].with_columns(_asset=self._asset())
        picked = (
            broken.with_row_index("_row")
            .with_columns(_turn=pl.int_range(pl.len()).over("_asset"))
            .sort("_turn", "_row")
            .head(ROWS_SHOWN)
            .sort("_row")
        )
        columns = {
            column: title
            for column, title in self._shown(expectation).items()
            # A bound that none of the assets has says nothing.
            if not (column.endswith(("_low", "_high")) and picked[column].null_count() == picked.height)
        }
        counts = broken.group_by("_asset").len().sort("len", "_asset", descending=[True, False])
        return Examples(
            headings=list(columns.values()),
            rows=[[self._said(column, row) for column in columns] for row in picked.iter_rows(named=True)],
            by_asset=[(asset, count) for asset, count in counts.head(ASSETS_SHOWN).iter_rows()],
            other_assets=max(0, counts.height - ASSETS_SHOWN),
        )

    def _said(self, column: str, row: Mapping[str, Any]) -> str:
        said = text(row[column], self.zone)
        return f"{said} {row['unit']}" if column == "value" and said != NOTHING and row.get("unit") else said

    def _asset(self) -> pl.Expr:
        if "asset_id" not in self.frame.columns:
            return pl.lit(NOTHING)
        asset = pl.col("asset_id")
        return asset.replace_strict(self.asset_names, default=asset, return_dtype=pl.String()).fill_null(NOTHING)

    def _shown(self, expectation: Mapping[str, Any]) -> dict[str, str]:
        """Columns to be shown, with their headings."""
        has = self.frame.columns
        shown = {"_asset": "Asset"} if "asset_id" in has else {}
        shown |= {"stream_id": "Stream"} if "stream_id" in has else {}
        shown |= {time: "Time" for time in TIME_COLUMNS if time in has and "Time" not in shown.values()}
        more = dict.fromkeys((*BESIDE, *compared_columns(expectation)))
        return shown | {column: headline(column) for column in more if column in has and column not in shown}


def shown_columns(columns: Iterable[str]) -> list[str]:
    """Columns that can be shown of a row of a suite that looks at `columns`, these among them."""
    return list(dict.fromkeys((*columns, "asset_id", "stream_id", *TIME_COLUMNS, *BESIDE, "unit")))


def compared_columns(expectation: Mapping[str, Any]) -> list[str]:
    """Columns that an expectation with these arguments looks at; none for one that looks at the whole table."""
    named = [expectation.get(argument) for argument in ("column", "column_A", "column_B")]
    return [column for column in (*named, *expectation.get("column_list", ())) if column]
