# ruff: noqa: PLC0415 - Great Expectations takes seconds to import: only the tests that use it wait for it

from typing import Any

import pandas as pd
import pytest


@pytest.fixture(scope="session")
def batches() -> Any:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return (
        context.data_sources.add_pandas("tests").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    )


def unexpected(batches: Any, frame: pd.DataFrame, expectation: Any) -> list[int]:
    result = batches.get_batch(batch_parameters={"dataframe": frame}).validate(expectation, result_format="COMPLETE")
    rows: list[int] = result.result["unexpected_index_list"]
    return rows


def test_register_stands_between_the_neighbours_it_has(batches: Any) -> None:
    from expectations.metering import ExpectRegisterNotToFall

    frame = pd.DataFrame(
        {"before": [5.0, 5.0, None, None, None], "wh": [5.0, 4.9, 5.0, 5.1, 0.0], "after": [5.0, None, 5.0, 5.0, None]},
        dtype="float64",
    )
    assert unexpected(batches, frame, ExpectRegisterNotToFall(column_list=["before", "wh", "after"])) == [1, 3]


def test_value_may_reach_its_limits_and_what_is_absent_breaks_nothing(batches: Any) -> None:
    from expectations.metering import ExpectValueWithinLimits

    frame = pd.DataFrame(
        [
            (1.0, 1.0, 2.0),
            (0.9, 1.0, 2.0),
            (2.0, 1.0, 2.0),
            (2.1, 1.0, 2.0),
            (None, 1.0, 2.0),
            (9.0, 1.0, None),
            (0.9, None, 2.0),
            (0.9, None, None),
        ],
        columns=["value", "low", "high"],
        dtype="float64",
    )
    assert unexpected(batches, frame, ExpectValueWithinLimits(column_list=["value", "low", "high"])) == [1, 3]


def test_replacement_is_of_no_worse_quality_or_says_something_new(batches: Any) -> None:
    from expectations.metering import ExpectReplacementToBeNoWorse

    frame = pd.DataFrame(
        [(0, 0, 0.0), (2, 0, 1.0), (2, 0, 1.1), (0, 2, 0.0), (2, None, None)],
        columns=["rank", "standing", "change"],
        dtype="float64",
    )
    expectation = ExpectReplacementToBeNoWorse(column_list=["rank", "standing", "change"], changed_by=1.0)
    assert unexpected(batches, frame, expectation) == [1]


def test_unit_belongs_to_the_kind_and_one_of_an_unknown_kind_to_any(batches: Any) -> None:
    from expectations.metering import ExpectUnitToFitKind

    frame = pd.DataFrame(
        {"kind": ["power", "power", "register", "odd", "odd"], "unit": ["W", "Wh", "Wh", "W", "kvarh"]}
    )
    expectation = ExpectUnitToFitKind(column_list=["kind", "unit"], unit_of_kind={"power": "W", "register": "Wh"})
    assert unexpected(batches, frame, expectation) == [1, 4]


def test_span_ends_after_it_begins_and_only_intervals_need_one(batches: Any) -> None:
    from expectations.metering import ExpectSpanToBeOrdered

    frame = pd.DataFrame(
        [
            ("interval", 900.0),
            ("interval", 0.0),
            ("interval", None),
            ("power", None),
            ("power", -900.0),
            ("register", -900.0),
        ],
        columns=["kind", "span_s"],
    )
    assert unexpected(batches, frame, ExpectSpanToBeOrdered(column_list=["kind", "span_s"])) == [1, 2, 4]
