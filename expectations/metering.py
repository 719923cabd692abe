"""Expectations of metering data that Great Expectations doesn't have itself, for its pandas engine.

Each is a pair: a metric that marks the good rows, and the expectation that demands them.
"""
# Great Expectations ships no usable types, so its base classes and decorators are Any to mypy; and its
# decorators hand a metric the class.
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


class _ValueWithinLimits(MulticolumnMapMetricProvider):
    condition_metric_name = "multicolumn_values.value_within_limits"

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, **_: object) -> pd.Series:
        value, low, high = _columns(column_list)
        # A comparison with what isn't there is false, so it can't break anything.
        return ~((value < low) | (value > high))


class ExpectValueWithinLimits(MulticolumnMapExpectation):
    """Expect each value to lie within the limits that stand beside it, both included. `column_list`: value, low, high.

    A null value is good; a null low or high is no bound.
    """

    map_metric: ClassVar[str] = "multicolumn_values.value_within_limits"

    ignore_row_if: Literal["never"] = "never"


class _UnitFitsKind(MulticolumnMapMetricProvider):
    condition_metric_name = "multicolumn_values.unit_fits_kind"
    condition_value_keys = ("unit_of_kind",)

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, unit_of_kind: dict[str, str], **_: object) -> pd.Series:
        kind, unit = _columns(column_list)
        expected = kind.map(unit_of_kind)
        # A row of unknown kind breaks the check of kinds; its unit need only be one of those known.
        return (unit == expected) | (expected.isna() & unit.isin(list(unit_of_kind.values())))


class ExpectUnitToFitKind(MulticolumnMapExpectation):
    """Expect each unit to be the one that belongs to the row's kind. `column_list`: kind, unit."""

    map_metric: ClassVar[str] = "multicolumn_values.unit_fits_kind"
    success_keys: ClassVar[tuple[str, ...]] = ("unit_of_kind", "mostly")

    unit_of_kind: dict[str, str]
    ignore_row_if: Literal["never"] = "never"


class _SpanOrdered(MulticolumnMapMetricProvider):
    condition_metric_name = "multicolumn_values.span_ordered"

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, **_: object) -> pd.Series:
        kind, span_s = _columns(column_list)
        unordered = (span_s <= 0) & (kind != "register")
        endless = span_s.isna() & (kind == "interval")
        return ~(unordered | endless)


class ExpectSpanToBeOrdered(MulticolumnMapExpectation):
    """Expect intervals to have an end, and every span to end after it begins. `column_list`: kind, length of the span.

    Registers have no span; a power may be of an instant.
    """

    map_metric: ClassVar[str] = "multicolumn_values.span_ordered"

    ignore_row_if: Literal["never"] = "never"


class _RegisterNotFalling(MulticolumnMapMetricProvider):
    condition_metric_name = "multicolumn_values.register_not_falling"

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, **_: object) -> pd.Series:
        before, register, after = _columns(column_list)
        # Comparisons with a neighbour that isn't there are false, so it can't break anything.
        return ~((register < before) | (after < register))


class ExpectRegisterNotToFall(MulticolumnMapExpectation):
    """Expect a register to stand between its neighbours in time, of which either may be absent.

    `column_list`: register before, register, register after, in Wh.
    """

    map_metric: ClassVar[str] = "multicolumn_values.register_not_falling"

    ignore_row_if: Literal["never"] = "never"


class _ReplacementNoWorse(MulticolumnMapMetricProvider):
    condition_metric_name = "multicolumn_values.replacement_no_worse"
    condition_value_keys = ("changed_by",)

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, changed_by: float, **_: object) -> pd.Series:
        rank, standing_rank, change = _columns(column_list)
        return ~((rank > standing_rank) & (change <= changed_by))


class ExpectReplacementToBeNoWorse(MulticolumnMapExpectation):
    """Expect a value that replaces another to be of no worse quality, or to differ by more than `changed_by`.

    `column_list`: rank of its quality (0 is best), rank of the quality it replaces, difference of the two values. Where
    the last two are null, nothing is replaced.
    """

    map_metric: ClassVar[str] = "multicolumn_values.replacement_no_worse"
    success_keys: ClassVar[tuple[str, ...]] = ("changed_by", "mostly")

    changed_by: float
    ignore_row_if: Literal["never"] = "never"


def _columns(column_list: pd.DataFrame) -> list[pd.Series]:
    return [column_list[name] for name in column_list.columns]
