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
