"""Gathers the rows of a suite for the Data Docs, in bounded memory."""

from importlib import import_module
from typing import Any, Protocol

import numpy as np
import polars as pl

from expectations.names import Suite
from pipelines.validate.docs.examples import shown_columns

ROWS_AT_MOST = 100_000
"""Rows of one suite that the docs judge; of more they judge a random sample, and say so."""

SEED = 0
"""The same rows are drawn each time, so that a site built twice is the same."""


class Definition(Protocol):
    """What the modules of `expectations` that define a suite have."""

    COLUMNS: tuple[str, ...]

    def suite(self) -> Any:  # noqa: ANN401 - untyped library
        """A new Great Expectations suite."""


class Judged:
    """A suite with the rows of the period that it judges.

    Not every nth row is kept of too many: rows come by quarter hours, and of each hour always the same one would be
    judged.
    """

    def __init__(self, suite: Suite, definition: Definition | None = None, *, rows_at_most: int = ROWS_AT_MOST) -> None:
        """Start without a row.

        Args:
            suite: which.
            definition: what a good row is; None: the module `expectations.<suite>`, whose import takes seconds.
            rows_at_most: rows to keep.
        """
        self.suite = suite
        self.definition: Any = definition or import_module(f"expectations.{suite.value}")
        self.rows_in_period = 0
        self._at_most = rows_at_most
        self._draws = np.random.default_rng(SEED)
        self._kept: pl.DataFrame | None = None

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows of the period, prepared for the suite.

        Args:
            rows: has the definition's `COLUMNS`. To be shown beside them, where it has them: `asset_id`,
                `stream_id`, the time (`slot_start`, `ts` or `day`), `value`, `unit`, `energy_wh`, `wanted_wh`,
                `exchange_wh`.
        """
        columns = [name for name in shown_columns(self.definition.COLUMNS) if name in rows.columns]
        fresh = rows.select(columns).with_columns(
            _row=pl.int_range(self.rows_in_period, self.rows_in_period + rows.height, dtype=pl.Int64),
            _draw=pl.Series(self._draws.random(rows.height)),
        )
        self.rows_in_period += rows.height
        kept = fresh if self._kept is None else pl.concat([self._kept, fresh], how="vertical_relaxed")
        self._kept = kept if kept.height <= self._at_most else kept.bottom_k(self._at_most, by="_draw")

    @property
    def rows(self) -> pl.DataFrame:
        """All rows, or the sample, in the order in which they came."""
        if self._kept is None:
            return pl.DataFrame(schema=dict.fromkeys(self.definition.COLUMNS, pl.Null()))
        return self._kept.sort("_row").drop("_row", "_draw")
