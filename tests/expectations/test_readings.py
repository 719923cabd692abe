# ruff: noqa: PLC0415 - Great Expectations takes seconds to import: only the tests that use it wait for it

from typing import Any

import pandas as pd
import pytest

from expectations.names import READING_CHECKS, Check


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


def test_suite_asks_for_every_check_and_tells_its_meaning() -> None:
    from expectations.readings import COLUMNS, suite

    expectations = suite().expectations
    assert {expectation.meta["check"] for expectation in expectations} == set(Check)
    for expectation in expectations:
        meaning = READING_CHECKS[Check(expectation.meta["check"])]
        assert expectation.description == meaning.explanation
        assert expectation.severity == "critical"
        asked = expectation.column_list if hasattr(expectation, "column_list") else [expectation.column]
        assert set(asked) <= set(COLUMNS)


def test_suite_is_the_same_each_time() -> None:
    from expectations.readings import suite

    first, second = ([dict(e.configuration.kwargs) for e in suite().expectations] for _ in range(2))
    assert first == second


def test_page_of_the_suite_explains_every_check() -> None:
    from great_expectations.render.renderer.page_renderer import ExpectationSuitePageRenderer

    from expectations.readings import suite

    page = str(ExpectationSuitePageRenderer().render(suite()).to_json_dict())
    assert [check for check, meaning in READING_CHECKS.items() if meaning.explanation not in page] == []


def test_register_stands_between_the_neighbours_it_has(batches: Any) -> None:
    from expectations.metering import ExpectRegisterNotToFall

    frame = pd.DataFrame(
        {"before": [5.0, 5.0, None, None, None], "wh": [5.0, 4.9, 5.0, 5.1, 0.0], "after": [5.0, None, 5.0, 5.0, None]},
        dtype="float64",
    )
    assert unexpected(batches, frame, ExpectRegisterNotToFall(column_list=["before", "wh", "after"])) == [1, 3]


def test_power_may_reach_the_factor_times_the_rating(batches: Any) -> None:
    from expectations.metering import ExpectPowerToStayWithinRating

    frame = pd.DataFrame({"w": [1500.0, 1500.1, None], "rated": [1000.0] * 3})
    expectation = ExpectPowerToStayWithinRating(column_list=["w", "rated"], factor=1.5)
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

    noon, later = pd.Timestamp("2026-03-02 12:00", tz="UTC"), pd.Timestamp("2026-03-02 12:15", tz="UTC")
    frame = pd.DataFrame(
        [
            ("interval", noon, later),
            ("interval", noon, noon),
            ("interval", noon, None),
            ("power", noon, None),
            ("power", later, noon),
            ("register", later, noon),
        ],
        columns=["kind", "start", "end"],
    )
    assert unexpected(batches, frame, ExpectSpanToBeOrdered(column_list=["kind", "start", "end"])) == [1, 2, 4]
