from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from pipelines.validate.docs.words import headline, period, share, text

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "\N{EN DASH}"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (1234567.0, "1,234,567"),
        (0.5, "0.5"),
        (1234.5678, "1,234.568"),
        (0.00012345, "0.000123"),
        (0.0, "0"),
        (float("nan"), "NaN"),
        (float("-inf"), "-infinite"),
        ("kWh", "kWh"),
        (date(2026, 3, 2), "Mon 02 Mar 2026"),
        (datetime(2016, 10, 30, 0, 15, tzinfo=UTC), "Sun 30 Oct 2016 02:15 CEST"),
        (datetime(2016, 10, 30, 1, 15, 7, tzinfo=UTC), "Sun 30 Oct 2016 02:15:07 CET"),
    ],
)
def test_values_read_as_people_write_them(value: object, expected: str) -> None:
    assert text(value, BERLIN) == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("register_before_wh", "Register before (Wh)"),
        ("span_s", "Span (s)"),
        ("ts", "Time stamp"),
        ("kind", "Kind"),
        ("slot_covered", "Share of the slot that readings back"),
        ("slot_covered_low", "Lowest good"),
        ("slot_demand_high", "Highest good"),
    ],
)
def test_columns_have_headings(column: str, expected: str) -> None:
    assert headline(column) == expected


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (0, 0, "0 %"),
        (0, 5, "0 %"),
        (1, 8, "12.5 %"),
        (3, 288, "1.04 %"),
        (1, 100_000, "less than 0.01 %"),
        (99_999, 100_000, "more than 99.99 %"),
        (5, 5, "100 %"),
    ],
)
def test_few_are_not_none_and_almost_all_not_all(part: int, whole: int, expected: str) -> None:
    assert share(part, whole) == expected


def test_a_period_is_told_in_local_days() -> None:
    start = datetime(2026, 3, 1, 23, tzinfo=UTC)
    assert period(start, datetime(2026, 3, 2, 23, tzinfo=UTC), BERLIN) == "Mon 02 Mar 2026"
    assert period(start, datetime(2026, 3, 4, 23, tzinfo=UTC), BERLIN) == "Mon 02 Mar 2026 to Wed 04 Mar 2026"
    assert period(start, datetime(2026, 3, 3, 5, tzinfo=UTC), BERLIN) == "Mon 02 Mar 2026 to Tue 03 Mar 2026"
