"""Which fee holds when, over clock changes and midnights."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.community import MarketFees
from pipelines.fees import fee_at, next_change

VIENNA = ZoneInfo("Europe/Vienna")
SLOT = timedelta(minutes=15)


def fees(*spans: tuple[str, str, float] | tuple[str, str, float, list[str]]) -> MarketFees:
    schedule: list[dict[str, Any]] = []
    for start, end, cents, *days in spans:
        schedule.append({"from": start, "to": end, "cents_per_kwh": cents} | ({"days": days[0]} if days else {}))
    return MarketFees.model_validate({"market": "Grid", "uuid": "m-1", "cents_per_kwh": 1, "schedule": schedule})


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NIGHT = fees(("22:00", "06:00", 5, ["sat"]), ("12:00", "14:00", 3), ("13:00", "15:00", 4))


@pytest.mark.parametrize(
    ("instant", "cents", "why"),
    [
        ("2026-03-07 20:59", 1, "Saturday, 21:59 in Vienna"),
        ("2026-03-07 21:00", 5, "Saturday, 22:00"),
        ("2026-03-08 04:59", 5, "Sunday, 05:59: from lay on Saturday"),
        ("2026-03-08 05:00", 1, "Sunday, 06:00: the end isn't in it"),
        ("2026-03-07 04:00", 1, "Saturday, 05:00: from would lie on Friday"),
        ("2026-03-08 21:30", 1, "Sunday, 22:30"),
        ("2026-03-09 12:30", 3, "13:30: the first span that holds counts"),
        ("2026-03-09 13:00", 4, "14:00: only the later one is left"),
    ],
)
def test_a_span_over_midnight_belongs_to_the_day_on_which_it_begins(instant: str, cents: float, why: str) -> None:
    assert fee_at(NIGHT, utc(instant), VIENNA) == cents, why


def test_the_repeated_hour_of_an_autumn_night_holds_twice_and_the_skipped_one_never() -> None:
    second = fees(("02:00", "03:00", 9))
    autumn = [fee_at(second, utc("2026-10-24 23:00") + n * timedelta(minutes=30), VIENNA) for n in range(8)]
    # 01:00, 01:30, then 02:00 and 02:30 in summer time and once more in winter time, then 03:00.
    assert autumn == [1, 1, 9, 9, 9, 9, 1, 1]
    spring = [fee_at(second, utc("2026-03-29 00:00") + n * timedelta(minutes=30), VIENNA) for n in range(4)]
    assert spring == [1, 1, 1, 1]


def test_from_and_to_alike_are_a_whole_day() -> None:
    sunday = fees(("00:00", "00:00", 0, ["sun"]))
    held = [fee_at(sunday, utc("2026-03-07 22:45") + n * SLOT, VIENNA) for n in range(1 + 96 + 1)]
    assert held == [1, *[0] * 96, 1]


def test_the_next_change_is_the_first_slot_with_another_fee() -> None:
    change = next_change(NIGHT, utc("2026-03-09 14:00"), VIENNA, slot_length=SLOT)
    assert change is not None
    assert (change.at, change.cents_per_kwh) == (utc("2026-03-10 11:00"), 3)
    assert next_change(fees(), utc("2026-03-09 14:00"), VIENNA, slot_length=SLOT) is None
    weekly = fees(("10:00", "11:00", 7, ["mon"]))
    change = next_change(weekly, utc("2026-03-09 10:00"), VIENNA, slot_length=SLOT)
    assert change is not None
    assert change.at == utc("2026-03-16 09:00"), "a week on, and no further"


times = st.times().map(lambda at: f"{at:%H:%M}")
spans = st.tuples(times, times, st.integers(2, 9), st.lists(st.sampled_from(["mon", "wed", "sun"]), unique=True))


@given(
    plan=st.lists(spans, max_size=4),
    hours=st.integers(0, 24 * 366),
    minutes=st.integers(0, 59),
    zone=st.sampled_from(["Europe/Vienna", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_a_fee_is_what_a_wall_clock_walked_minute_by_minute_says(
    plan: list[Any], hours: int, minutes: int, zone: str
) -> None:
    """The oracle walks from each span's beginning, as a person reads it: begin at `from`, end when `to` shows."""
    instant = utc("2026-01-01 00:00") + timedelta(hours=hours, minutes=minutes)
    local = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    expected = 1.0
    for start, end, cents, days in reversed(plan):
        for back in (0, 1):
            day = (local - timedelta(days=back)).date()
            begins = datetime.fromisoformat(f"{day}T{start}")
            ends = datetime.fromisoformat(f"{day}T{end}")
            ends += timedelta(days=1) if ends <= begins else timedelta(0)
            if begins <= local < ends and (not days or f"{day:%a}".lower() in days):
                expected = cents
    assert fee_at(fees(*plan), instant, ZoneInfo(zone)) == expected
