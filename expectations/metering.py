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
        kind, start, end = _columns(column_list)
        unordered = (end <= start) & (kind != "register")
        endless = end.isna() & (kind == "interval")
        return ~(unordered | endless)


class ExpectSpanToBeOrdered(MulticolumnMapExpectation):
    """Expect intervals to have an end, and every span to end after it begins. `column_list`: kind, start, end.

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


class _PowerWithinRating(MulticolumnMapMetricProvider):
    condition_metric_name = "multicolumn_values.power_within_rating"
    condition_value_keys = ("factor",)

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, factor: float, **_: object) -> pd.Series:
        power_w, rated_power_w = _columns(column_list)
        return power_w <= rated_power_w * factor


class ExpectPowerToStayWithinRating(MulticolumnMapExpectation):
    """Expect the power to be at most `factor` times the rated power. `column_list`: power, rated power, in W."""

    map_metric: ClassVar[str] = "multicolumn_values.power_within_rating"
    success_keys: ClassVar[tuple[str, ...]] = ("factor", "mostly")

    factor: float
    ignore_row_if: Literal["any_value_is_missing"] = "any_value_is_missing"


def _columns(column_list: pd.DataFrame) -> list[pd.Series]:
    return [column_list[name] for name in column_list.columns]
