# ruff: noqa: PLC0415 - Great Expectations takes seconds to import: only the tests that use it wait for it

from typing import Any

import polars as pl
import pytest

from expectations.names import SLOT_CHECKS, Check, Suite
from expectations.thresholds import THRESHOLDS
from pipelines.validate.engine import broken_rows

LIMITED = [check for check in SLOT_CHECKS if check in THRESHOLDS]


def slot(**changes: object) -> dict[str, Any]:
    """A good slot as the suite sees it: nothing to compare it with."""
    limits = {f"{check}{part}": None for check in LIMITED for part in ("", "_low", "_high")}
    return {
        "asset_id": "a",
        "slot_start": None,
        "energy_wh": 12.5,
        "energy_number": "finite",
        "coverage": 1.0,
        "quality": "MEASURED",
        "slots_found": None,
        "slots_expected": None,
        "siblings_present": None,
        "siblings_configured": 2.0,
        **limits,
        **changes,
    }


def broken(*rows: dict[str, Any]) -> dict[Check, list[int]]:
    numbers = [name for name in rows[0] if name not in {"asset_id", "slot_start", "energy_number", "quality"}]
    frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.col(numbers).cast(pl.Float64))
    found = broken_rows(Suite.SLOT_ENERGY, frame, run_id="r")
    return {check: list(rows) for check, rows in found.items() if rows}


def test_suite_asks_for_every_check_and_tells_its_meaning() -> None:
    from expectations.slot_energy import COLUMNS, suite

    expectations = suite().expectations
    assert {expectation.meta["check"] for expectation in expectations} == set(SLOT_CHECKS)
    for expectation in expectations:
        meaning = SLOT_CHECKS[Check(expectation.meta["check"])]
        assert expectation.description == meaning.explanation
        assert expectation.severity == {"flag": "warning", "inform": "info"}[meaning.severity]
        named = getattr(expectation, "column_list", None) or [expectation.column]
        assert set(named) <= set(COLUMNS)


def test_page_of_the_suite_explains_every_check() -> None:
    from great_expectations.render.renderer.page_renderer import ExpectationSuitePageRenderer

    from expectations.slot_energy import suite

    page = str(ExpectationSuitePageRenderer().render(suite()).to_json_dict())
    assert [check for check, meaning in SLOT_CHECKS.items() if meaning.explanation not in page] == []


def test_good_slots_break_nothing() -> None:
    missing = slot(energy_wh=None, energy_number=None, coverage=0.0, quality=None)
    assert broken(slot(), slot(energy_wh=0.0, quality="ESTIMATED", coverage=0.0), missing) == {}


def test_energy_coverage_and_quality_make_sense() -> None:
    rows = [
        slot(energy_wh=-0.1),
        slot(energy_wh=float("nan"), energy_number="NaN"),
        slot(energy_wh=float("inf"), energy_number="infinite"),
        slot(coverage=1.1),
        slot(quality="MISSING"),
        slot(),
    ]
    assert broken(*rows) == {Check.SLOT_SOUND: [0, 1, 2, 3, 4]}


@pytest.mark.parametrize("check", LIMITED)
def test_value_is_compared_with_the_limits_beside_it(check: Check) -> None:
    low, high = f"{check}_low", f"{check}_high"
    rows = [
        slot(**{check: 2.0, low: 2.0, high: 3.0}),
        slot(**{check: 1.9, low: 2.0, high: 3.0}),
        slot(**{check: 3.1, low: 2.0, high: 3.0}),
        slot(**{check: float("inf"), high: 3.0}),
        slot(**{check: 99.0}),
        slot(**{low: 2.0, high: 3.0}),
    ]
    assert broken(*rows) == {check: [1, 2, 3]}


def test_fewer_slots_or_channels_than_there_should_be() -> None:
    rows = [
        slot(slots_found=96.0, slots_expected=96.0, siblings_present=2.0),
        slot(slots_found=91.0, slots_expected=92.0),
        slot(siblings_present=1.0),
    ]
    assert broken(*rows) == {Check.SLOTS_IN_DAY: [1], Check.SIBLINGS_PRESENT: [2]}
