"""What holds for all three suites."""

from importlib import import_module
from typing import Any

import pytest

from expectations.names import CHECKS, Check, Suite

GX_SEVERITY = {"reject": "critical", "flag": "warning", "inform": "info"}


@pytest.fixture(params=list(Suite))
def suite(request: pytest.FixtureRequest) -> Suite:
    found: Suite = request.param
    return found


def built(suite: Suite) -> Any:
    return import_module(f"expectations.{suite.value}").suite()


def columns_of(expectation: Any) -> list[str]:
    """Every column that an expectation names."""
    named = [getattr(expectation, name, []) for name in ("column", "column_A", "column_B", "column_list")]
    return [one for names in named for one in ([names] if isinstance(names, str) else names)]


def test_suite_asks_for_every_check_and_tells_its_meaning(suite: Suite) -> None:
    expectations = built(suite).expectations
    asked = {expectation.meta["check"] for expectation in expectations}
    assert asked == {check.value for check, meaning in CHECKS.items() if meaning.suite is suite}
    for expectation in expectations:
        meaning = CHECKS[Check(expectation.meta["check"])]
        assert expectation.description == meaning.explanation
        assert expectation.severity == GX_SEVERITY[meaning.severity]
        assert columns_of(expectation)
        assert set(columns_of(expectation)) <= set(import_module(f"expectations.{suite.value}").COLUMNS)


def test_suite_is_the_same_each_time(suite: Suite) -> None:
    first, second = ([dict(e.configuration.kwargs) for e in built(suite).expectations] for _ in range(2))
    assert first == second


def test_page_of_the_suite_explains_every_check(suite: Suite) -> None:
    renderers = import_module("great_expectations.render.renderer.page_renderer")
    page = str(renderers.ExpectationSuitePageRenderer().render(built(suite)).to_json_dict())
    told = [check for check, meaning in CHECKS.items() if meaning.suite is suite and meaning.explanation in page]
    assert told == [check for check, meaning in CHECKS.items() if meaning.suite is suite]
