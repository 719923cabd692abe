from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import polars as pl
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipelines.collect.database.stamps import LOCAL
from pipelines.collect.local_time import Reach, localise, offset_changes, reach
from pipelines.errors import SourceError

VIENNA = "Europe/Vienna"
AUTUMN = datetime(2016, 10, 30, 1, tzinfo=UTC)
"""Vienna: 03:00 summer time becomes 02:00."""

SPRING = datetime(2016, 3, 27, 1, tzinfo=UTC)
"""Vienna: 02:00 becomes 03:00 summer time."""

ZONES = sorted(zone for zone in available_timezones() if zone not in {"Factory", "localtime"})


def wall(text: str) -> datetime:
    """What a clock on the wall shows."""
    return datetime.fromisoformat(text)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def rows(stamps: Sequence[datetime | str | None], ends: Sequence[datetime | None] | None = None) -> pl.DataFrame:
    """Rows of one stream in true order; a bare clock is one of Vienna's autumn night."""
    local = [wall(f"2016-10-30 {s}") if isinstance(s, str) else s for s in stamps]
    return pl.DataFrame(
        {
            "stream_id": "s/d/-",
            "meter": "d",
            "stamp": pl.Series(local, dtype=LOCAL),
            "stamp_end": pl.Series(ends or [None] * len(local), dtype=LOCAL),
            "order": range(len(local)),
            "late": False,
        }
    )


def instants(
    frame: pl.DataFrame, zone: str = VIENNA, *, now: datetime = datetime(2030, 1, 1, tzinfo=UTC), ordered: bool = True
) -> list[datetime | None]:
    about = frame["stamp"].dt.replace_time_zone("UTC").drop_nulls()[0]
    wanted = Reach(about - timedelta(days=2), about + timedelta(days=2))
    told = localise(frame, zone, wanted=wanted, horizon=now, ordered=ordered, source="meters")
    return told.sort("order")["instant"].to_list()


def utc(*clocks: str | None) -> list[datetime | None]:
    """`29T23:45` -> that time of October 2016, UTC."""
    return [clock if clock is None else datetime.fromisoformat(f"2016-10-{clock}+00:00") for clock in clocks]


def on_the_wall(zone: str, series: Sequence[datetime]) -> list[datetime | None]:
    return [instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for instant in series]


@st.composite
def nights(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone, and an instant at which its clocks change."""
    zone = draw(st.sampled_from(ZONES))
    year = draw(st.integers(1990, 2025))
    changes = offset_changes(zone, datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
    assume(changes)
    return zone, draw(st.sampled_from(changes)).at


@settings(max_examples=60, deadline=None)
@given(
    night=nights(),
    step=st.sampled_from([1, 5, 10, 15, 20, 30, 40, 45, 60, 90]).map(minutes),
    phase=st.floats(0, 1, exclude_max=True),
)
@example((VIENNA, AUTUMN), minutes(60), 0.0)
@example((VIENNA, AUTUMN), minutes(90), 0.4)
@example(("Australia/Lord_Howe", datetime(2024, 4, 6, 15, tzinfo=UTC)), minutes(15), 0.0)
@example(("Australia/Lord_Howe", datetime(2024, 4, 6, 15, tzinfo=UTC)), minutes(30), 0.0)
@example(("Australia/Lord_Howe", datetime(2024, 4, 6, 15, tzinfo=UTC)), minutes(60), 0.0)
@example(("Australia/Sydney", datetime(2024, 4, 6, 16, tzinfo=UTC)), minutes(15), 0.5)
@example(("America/New_York", datetime(2024, 11, 3, 6, tzinfo=UTC)), minutes(15), 0.0)
def test_a_regular_series_over_any_change_of_clocks_comes_back_as_it_was(
    night: tuple[str, datetime], step: timedelta, phase: float
) -> None:
    zone, at = night
    begin = at - timedelta(hours=12) + timedelta(seconds=int(step.total_seconds() * phase))
    true = [begin + number * step for number in range(timedelta(hours=24) // step)]
    assert instants(rows(on_the_wall(zone, true)), zone) == true


@pytest.mark.parametrize(
    ("zone", "year", "at", "put_back"),
    [
        (VIENNA, 2016, [SPRING, AUTUMN], [minutes(-60), minutes(60)]),
        (
            "Australia/Lord_Howe",
            2024,
            [datetime(2024, 4, 6, 15, tzinfo=UTC), datetime(2024, 10, 5, 15, 30, tzinfo=UTC)],
            [minutes(30), minutes(-30)],
        ),
        ("UTC", 2016, [], []),
    ],
)
def test_changes_of_the_clock(zone: str, year: int, at: list[datetime], put_back: list[timedelta]) -> None:
    changes = offset_changes(zone, datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
    assert ([change.at for change in changes], [change.put_back for change in changes]) == (at, put_back)


def test_first_pass_alone_while_the_second_lies_ahead() -> None:
    frame = rows(["01:45", "02:00", "02:15"])
    now = datetime(2016, 10, 30, 0, 20, tzinfo=UTC)
    assert instants(frame, now=now) == utc("29T23:45", "30T00:00", "30T00:15")


def test_the_very_first_reading_while_the_second_pass_lies_ahead() -> None:
    assert instants(rows(["02:00"]), now=datetime(2016, 10, 30, 0, 5, tzinfo=UTC)) == utc("30T00:00")


def test_first_pass_alone_after_the_second_has_begun_without_data() -> None:
    frame = rows(["01:45", "02:00", "02:15", "02:30", "02:45"])
    now = datetime(2016, 10, 30, 1, 20, tzinfo=UTC)
    assert instants(frame, now=now)[1:] == utc("30T00:00", "30T00:15", "30T00:30", "30T00:45")


def test_a_fall_proves_both_passes_with_gaps_in_each() -> None:
    frame = rows(["01:45", "02:30", "02:45", "02:15", "02:30", "03:00"])
    assert instants(frame) == utc("29T23:45", "30T00:30", "30T00:45", "30T01:15", "30T01:30", "30T02:00")


def test_a_row_said_twice_is_no_second_pass() -> None:
    frame = rows(["01:45", "02:00", "02:00", "02:15", "02:30", "02:45", "02:00", "02:15", "02:30", "02:45", "03:00"])
    assert instants(frame)[1:7] == utc("30T00:00", "30T00:00", "30T00:15", "30T00:30", "30T00:45", "30T01:00")


def test_device_that_fell_silent_in_the_first_pass() -> None:
    frame = rows(["01:30", "01:45", "02:00", "02:15", "05:00", "05:15"])
    assert instants(frame)[2:4] == utc("30T00:00", "30T00:15")


def test_device_that_came_back_in_the_second_pass() -> None:
    frame = rows(["00:00", "00:15", "00:30", "02:30", "02:45", "03:00", "03:15"])
    assert instants(frame)[3:5] == utc("30T01:30", "30T01:45")


@pytest.mark.parametrize(
    "stamps",
    [
        pytest.param(["01:30", "01:45", "02:00", "02:15", "02:30", "02:45", "03:00", "03:15"], id="one pass was lost"),
        pytest.param(["00:45", "01:00", "02:00", "03:00", "03:15", "03:30"], id="silent on both sides"),
        pytest.param(["02:00"], id="nothing else is known"),
        pytest.param(["01:45", "02:00", "02:30", "02:15", "02:45", "02:00", "02:15", "03:00"], id="order isn't true"),
    ],
)
def test_passes_that_cannot_be_told_are_left_open(stamps: list[str]) -> None:
    told = instants(rows(stamps))
    assert [instant for stamp, instant in zip(stamps, told, strict=True) if stamp[:2] == "02"] == [None] * sum(
        stamp[:2] == "02" for stamp in stamps
    )
    assert None not in [instant for stamp, instant in zip(stamps, told, strict=True) if stamp[:2] != "02"]


def test_streams_are_told_apart_each_by_itself() -> None:
    # Two devices whose rows alternate: falls between one's row and the other's say nothing.
    one = rows(["02:00", "02:30", "02:00", "02:30"]).with_columns(order=pl.int_range(pl.len()) * 2)
    two = one.with_columns(stream_id=pl.lit("s/e/-"), order=pl.col("order") + 1)
    told = instants(pl.concat([one, two]))
    assert told[::2] == told[1::2] == utc("30T00:00", "30T00:30", "30T01:00", "30T01:30")


def test_without_order_a_repeated_hour_is_refused_with_both_remedies() -> None:
    with pytest.raises(SourceError) as caught:
        instants(rows(["01:45", "02:00", "02:45", "03:00"]), ordered=False)
    message = str(caught.value)
    for part in ("'meters'", "'d'", "2016-10-30 02:00 to 2016-10-30 02:45", VIENNA, "columns.tie_breaker", "row_order"):
        assert part in message


def test_without_order_any_other_night_passes() -> None:
    assert instants(rows([wall("2016-10-29 02:30")]), ordered=False) == utc("29T00:30")


def test_stamps_that_no_clock_showed_have_no_instant() -> None:
    spring = [wall("2016-03-27 01:45"), wall("2016-03-27 02:00"), wall("2016-03-27 03:00"), None]
    assert instants(rows(spring)) == [SPRING - minutes(15), None, SPRING, None]


def test_a_span_over_the_change_ends_after_it_began() -> None:
    starts = ["01:45", "02:00", "02:45", "02:00", "02:45", "03:00"]
    ends = [wall(f"2016-10-30 {clock}") for clock in ("02:00", "02:15", "02:00", "02:15", "03:00", "03:15")]
    wanted = Reach(AUTUMN - timedelta(days=1), AUTUMN + timedelta(days=1))
    told = localise(rows(starts, ends), VIENNA, wanted=wanted, horizon=wanted.end, ordered=True, source="meters")
    assert told.sort("order")["instant_end"].to_list() == utc(
        "30T00:00", "30T00:15", "30T01:00", "30T01:15", "30T02:00", "30T02:15"
    )


@pytest.mark.parametrize(
    ("start", "end", "begins", "ends"),
    [
        pytest.param(-30, 30, -60 - 180, 60 + 180, id="from the first pass into the second"),
        pytest.param(30, 600, -60 - 180, 600, id="from the second pass on"),
        pytest.param(60, 600, 60, 600, id="from after both"),
        pytest.param(-600, -61, -600, -61, id="until before both"),
        pytest.param(-600, -60, -600, 60 + 180, id="until the first stamp that comes twice"),
    ],
)
def test_what_is_read_begins_and_ends_outside_a_repeated_hour(start: int, end: int, begins: int, ends: int) -> None:
    wider = reach(VIENNA, AUTUMN + minutes(start), AUTUMN + minutes(end))
    assert wider == Reach(AUTUMN + minutes(begins), AUTUMN + minutes(ends))


def test_nothing_is_read_beyond_in_spring() -> None:
    assert reach(VIENNA, SPRING, SPRING + minutes(30)) == Reach(SPRING, SPRING + minutes(30))
