from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.frames import INSTANT
from pipelines.report.series import BUCKETS, buckets_for
from pipelines.report.times import local_expression, local_text, slot_ceil, ticks, to_ms, utc_text

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"])
HOURS = st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1)).map(  # noqa: DTZ001 - made aware at once
    lambda naive: naive.replace(minute=0, second=0, microsecond=0, tzinfo=UTC)
)


def test_both_hours_of_the_doubled_one_are_labelled() -> None:
    start = datetime(2016, 10, 29, 22, tzinfo=UTC)
    marked = ticks(start, start + timedelta(hours=25), BERLIN, at_most=14)
    assert [(tick.at_ms, tick.lines) for tick in marked[:4]] == [
        (1477778400000, ("00:00", "30 Oct", "CEST")),
        (1477785600000, ("02:00", "CEST")),
        (1477789200000, ("02:00", "CET")),
        (1477796400000, ("04:00",)),
    ]


def test_the_spring_night_skips_the_hour_that_is_not() -> None:
    start = datetime(2017, 3, 25, 23, tzinfo=UTC)
    marked = ticks(start, start + timedelta(hours=5), BERLIN, at_most=14)
    assert [tick.lines for tick in marked] == [
        ("00:00", "26 Mar", "CET"),
        ("01:00",),
        ("03:00", "CEST"),
        ("04:00",),
        ("05:00",),
    ]


def test_a_year_is_marked_by_months() -> None:
    marked = ticks(datetime(2016, 1, 1, tzinfo=UTC), datetime(2017, 1, 1, tzinfo=UTC), BERLIN, at_most=14)
    assert [tick.lines for tick in marked][:2] == [("01 Feb",), ("01 Mar",)]
    assert marked[0].at_ms == to_ms(datetime(2016, 1, 31, 23, tzinfo=UTC))


@settings(max_examples=40, deadline=None)
@given(start=HOURS, hours=st.integers(1, 24 * 60), zone=ZONES, at_most=st.integers(4, 20))
def test_ticks_stand_in_order_inside_the_period_and_are_few(start, hours, zone, at_most) -> None:
    end = start + timedelta(hours=hours)
    places = [tick.at_ms for tick in ticks(start, end, ZoneInfo(zone), at_most=at_most)]
    assert places == sorted(set(places))
    assert all(to_ms(start) <= place < to_ms(end) for place in places)
    assert len(places) <= at_most + 3


def test_expression_changes_the_offset_at_the_instant_of_the_clock_change() -> None:
    start = datetime(2016, 10, 29, 22, tzinfo=UTC)
    assert local_expression("t", start, start + timedelta(hours=25), BERLIN) == (
        "(t < 1477789200000 ? utcFormat(t + 7200000, '%a %d %b %H:%M') + ' CEST' : "
        "utcFormat(t + 3600000, '%a %d %b %H:%M') + ' CET')"
    )


def test_texts_of_instants() -> None:
    second_quarter_past_two = datetime(2016, 10, 30, 1, 15, tzinfo=UTC)
    assert local_text(second_quarter_past_two, BERLIN) == "Sun 30 Oct 2016 02:15 CET"
    assert local_text(second_quarter_past_two - timedelta(hours=1), BERLIN) == "Sun 30 Oct 2016 02:15 CEST"
    assert utc_text(second_quarter_past_two) == "2016-10-30 01:15"


def test_slots_begin_at_or_after() -> None:
    quarter = timedelta(minutes=15)
    at = datetime(2026, 3, 2, 12, 15, tzinfo=UTC)
    assert slot_ceil(at, quarter) == at
    assert slot_ceil(at + timedelta(microseconds=1), quarter) == at + quarter


@settings(max_examples=60, deadline=None)
@given(start=HOURS, hours=st.integers(1, 24 * 500), slot=st.sampled_from([5, 12, 15, 30, 60]), zone=ZONES)
def test_every_slot_lies_in_one_bucket_and_buckets_are_few(start, hours, slot, zone) -> None:
    end = start + timedelta(hours=hours)
    buckets = buckets_for(start, end, slot_minutes=slot, zone=zone)
    slots = pl.datetime_range(start, end, f"{slot}m", closed="left", eager=True).cast(INSTANT).alias("slot_start")
    placed = slots.to_frame().with_columns(t=buckets.start()).with_columns(u=buckets.end())
    assert placed.filter((pl.col("slot_start") < pl.col("t")) | (pl.col("slot_start") >= pl.col("u"))).is_empty()
    assert placed["t"].n_unique() <= BUCKETS + 2
    bounds = placed.select("t", "u").unique().sort("t")
    assert (bounds["u"][:-1] <= bounds["t"][1:]).all()
