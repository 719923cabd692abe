from datetime import UTC, date, datetime

import polars as pl
import pytest

from pipelines.community import Community
from pipelines.validate.days.calendar import Days, last_finished_day, slots_of


@pytest.mark.parametrize(("day", "slots"), [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100), (date(2026, 7, 1), 96)])
def test_day_has_the_slots_of_the_clock_on_the_wall(berlin: Community, day: date, slots: int) -> None:
    found = slots_of(Days(first=day, last=day), berlin)
    assert found.height == slots
    assert found["local_day"].unique().to_list() == [day]


def test_daylight_is_a_sun_well_up(berlin: Community) -> None:
    day = Days(first=date(2026, 6, 21), last=date(2026, 6, 21))
    light = slots_of(day, berlin).filter("daylight")["slot_start"]
    # Berlin's longest day: the sun rises at 4:43 and sets at 21:33 (CEST), and climbs 10 degrees in about 1 h 20 min.
    assert datetime(2026, 6, 21, 3, 45, tzinfo=UTC) <= light.min() <= datetime(2026, 6, 21, 4, 30, tzinfo=UTC)
    assert datetime(2026, 6, 21, 17, 45, tzinfo=UTC) <= light.max() <= datetime(2026, 6, 21, 18, 30, tzinfo=UTC)


def test_where_the_place_is_unknown_it_is_always_light(berlin: Community) -> None:
    section = berlin.community.model_copy(update={"time_zone": "UTC"})
    nowhere = berlin.model_copy(update={"community": section})
    assert (
        slots_of(Days(first=date(2026, 1, 1), last=date(2026, 1, 1)), nowhere).select(pl.col("daylight").all()).item()
    )


def test_days_are_split_and_yesterday_is_the_last_that_is_over() -> None:
    days = Days(first=date(2026, 3, 1), last=date(2026, 3, 9))
    assert [(part.first.day, part.last.day) for part in days.split(4)] == [(1, 4), (5, 8), (9, 9)]
    assert last_finished_day(datetime(2026, 3, 1, 22, 59, tzinfo=UTC), "Europe/Berlin") == date(2026, 2, 28)
    assert last_finished_day(datetime(2026, 3, 1, 23, 0, tzinfo=UTC), "Europe/Berlin") == date(2026, 3, 1)
