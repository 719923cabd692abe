from typing import Any

import polars as pl
import pytest

from expectations.names import EXCHANGE_CHECKS, Check, Suite
from expectations.thresholds import THRESHOLDS
from pipelines.validate.engine import broken_rows

LIMITED = [check for check in EXCHANGE_CHECKS if check in THRESHOLDS]
WORDS = {"subject", "slot_start", "exchange_number", "accepted", "read_back", "differs", "diagnosis"}


def pair(**changes: object) -> dict[str, Any]:
    """A slot that agrees, as the suite sees it."""
    return {
        "subject": "a/forecast",
        "slot_start": None,
        "wanted_wh": 5.0,
        "exchange_wh": 5.0,
        "exchange_number": "finite",
        "accepted": True,
        "read_back": True,
        "exchange_unasked": None,
        "differs": False,
        "diagnosis": None,
        **{f"{check}{part}": None for check in LIMITED for part in ("", "_low", "_high")},
        **changes,
    }


def broken(*rows: dict[str, Any]) -> dict[Check, list[int]]:
    numbers = [name for name in rows[0] if name not in WORDS]
    frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(
        pl.col(numbers).cast(pl.Float64), pl.col("diagnosis").cast(pl.String)
    )
    found = broken_rows(Suite.EXCHANGE_MATCH, frame, run_id="r")
    return {check: list(rows) for check, rows in found.items() if rows}


def test_exchange_has_a_value_where_it_accepted_one() -> None:
    nothing = {"exchange_wh": None, "exchange_number": None}
    rows = [pair(), pair(**nothing), pair(**nothing, accepted=False), pair(**nothing, read_back=False)]
    assert broken(*rows) == {Check.EXCHANGE_PRESENT: [1]}


def test_exchange_value_is_a_number_not_below_zero() -> None:
    rows = [
        pair(exchange_wh=-0.5),
        pair(exchange_wh=float("inf"), exchange_number="infinite"),
        pair(exchange_wh=float("nan"), exchange_number="NaN", accepted=False),
        pair(exchange_wh=0.0),
    ]
    assert broken(*rows) == {Check.EXCHANGE_SOUND: [0, 1, 2]}


def test_value_that_nobody_sent() -> None:
    assert broken(pair(), pair(exchange_unasked=7.0)) == {Check.EXCHANGE_UNASKED: [1]}


def test_difference_needs_a_cause() -> None:
    rows = [pair(differs=True, diagnosis="late"), pair(differs=True), pair(diagnosis="late")]
    assert broken(*rows) == {Check.DIFFERENCE_EXPLAINED: [1]}


@pytest.mark.parametrize("check", LIMITED)
def test_value_is_compared_with_the_limits_beside_it(check: Check) -> None:
    rows = [pair(**{check: 2.0, f"{check}_high": 2.0}), pair(**{check: 2.1, f"{check}_high": 2.0}), pair(**{check: 9})]
    assert broken(*rows) == {check: [1]}
