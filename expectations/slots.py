"""Expectations of slots that Great Expectations doesn't have itself, for its pandas engine.

Each is a pair: a metric that marks the good rows, and the expectation that demands them.
"""
# As in `expectations.metering`: Great Expectations ships no usable types, and hands a metric the class.
# mypy: allow-subclassing-any, allow-untyped-decorators
# ruff: noqa: N805

from typing import ClassVar, Literal

import pandas as pd  # type: ignore[import-untyped]
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import MulticolumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    MulticolumnMapMetricProvider,
    multicolumn_condition_partial,
)


class _AllPresent(MulticolumnMapMetricProvider):
    condition_metric_name = "multicolumn_values.all_present"

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, **_: object) -> pd.Series:
        found, expected = (column_list[name] for name in column_list.columns)
        # A comparison with what isn't there is false: rows that weren't looked at break nothing.
        return ~(found < expected)


class ExpectAllToBePresent(MulticolumnMapExpectation):
    """Expect as many to be there as there should be. `column_list`: how many were found, how many are expected.

    A row in which either is null is good.
    """

    map_metric: ClassVar[str] = "multicolumn_values.all_present"

    ignore_row_if: Literal["never"] = "never"


class _AcceptedValueHeld(MulticolumnMapMetricProvider):
    condition_metric_name = "multicolumn_values.accepted_value_held"

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, **_: object) -> pd.Series:
        accepted, read_back, energy = (column_list[name] for name in column_list.columns)
        return ~(accepted.astype(bool) & read_back.astype(bool) & energy.isna())


class ExpectAcceptedValueToBeHeld(MulticolumnMapExpectation):
    """Expect the exchange to have a value where it accepted one. `column_list`: accepted, read back, its energy.

    A slot that hasn't been read back is good: nothing is known of it.
    """

    map_metric: ClassVar[str] = "multicolumn_values.accepted_value_held"

    ignore_row_if: Literal["never"] = "never"


class _DifferenceHasCause(MulticolumnMapMetricProvider):
    condition_metric_name = "multicolumn_values.difference_has_cause"

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, **_: object) -> pd.Series:
        differs, cause = (column_list[name] for name in column_list.columns)
        return ~(differs.astype(bool) & cause.isna())


class ExpectDifferenceToHaveCause(MulticolumnMapExpectation):
    """Expect a cause beside each difference. `column_list`: whether there is a difference, its cause."""

    map_metric: ClassVar[str] = "multicolumn_values.difference_has_cause"

    ignore_row_if: Literal["never"] = "never"
