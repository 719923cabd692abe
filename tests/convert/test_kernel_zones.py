"""Local days of every zone at its clock changes: as many slots as the day has, none lost, none twice."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.convert.kernel import slot_energy
from pipelines.frames import INSTANT

QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)
YEARS = (2023, 2024)
ZONES = sorted(available_timezones())


def midnight(zone: ZoneInfo, day: date) -> datetime:
    """Where a clock change leaves midnight out, the instant of the change."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


@cache
def changes(name: str, years: tuple[int, int] = YEARS) -> list[date]:
    """Days that are not of 24 hours."""
    zone, first = ZoneInfo(name), date(years[0], 1, 1)
    days = [first + n * DAY for n in range((date(years[1] + 1, 1, 1) - first).days + 1)]
    offsets = [datetime(day.year, day.month, day.day, tzinfo=zone).utcoffset() for day in days]
    return [day for day, (before, after) in zip(days, pairwise(offsets), strict=False) if before != after]


def registers(rows: list[tuple[str, datetime, float]]) -> pl.LazyFrame:
    frame = pl.DataFrame(
        rows, schema={"asset_id": pl.String(), "ts": INSTANT, "value": pl.Float64()}, orient="row"
    ).with_columns(
        stream_id=pl.lit("s"),
        sign=pl.lit(1),
        two_way=pl.lit(value=False),
        ts_end=pl.lit(None, INSTANT),
        kind=pl.lit("register"),
        quality=pl.lit("MEASURED"),
        series_start=pl.lit(""),
    )
    return frame.sample(fraction=1.0, shuffle=True, seed=1).lazy()


def slots(rows: list[tuple[str, datetime, float]], length: timedelta = QUARTER) -> pl.DataFrame:
    counts = pl.LazyFrame({"asset_id": sorted({row[0] for row in rows})}).with_columns(streams=pl.lit(1))
    return (
        slot_energy(registers(rows), streams_per_asset=counts, slot_length=length)
        .sort("asset_id", "slot_start")
        .collect()
    )


def test_clock_changes_of_all_zones_are_among_the_cases() -> None:
    shifts = {
        (midnight(ZoneInfo(name), day + DAY) - midnight(ZoneInfo(name), day)) // QUARTER
        for name in ZONES
        for day in changes(name)
    }
    # Lord Howe's clocks go by half an hour.
    assert {92, 94, 98, 100} <= shifts
    assert len([name for name in ZONES if changes(name)]) > 150


def test_every_changed_day_of_every_zone_has_its_slots_and_its_energy() -> None:
    # An asset for each day that a zone's clocks change, read at each of the day's quarters and four beyond both ends.
    days: dict[str, tuple[datetime, datetime]] = {}
    for name in ZONES:
        zone = ZoneInfo(name)
        days |= {f"{name} {day}": (midnight(zone, day), midnight(zone, day + DAY)) for day in changes(name)}
    assert len(days) > 500
    rows, expected = [], {}
    for asset, (start, end) in days.items():
        shown_wh, at = 1000.0, start - 4 * QUARTER
        while at < end + 4 * QUARTER:
            rows.append((asset, at, shown_wh))
            if start <= at < end:
                expected[asset, at] = float(len(expected) % 97 + 1)
            shown_wh += expected.get((asset, at), 0.5)
            at += QUARTER
    found = slots(rows)
    assert not found.select("asset_id", "slot_start").is_duplicated().any()
    bounds = pl.DataFrame(
        [(asset, *bound) for asset, bound in days.items()],
        schema={"asset_id": pl.String(), "start": INSTANT, "end": INSTANT},
        orient="row",
    )
    of_days = found.join(bounds, on="asset_id").filter(
        (pl.col("slot_start") >= pl.col("start")) & (pl.col("slot_start") < pl.col("end"))
    )
    got = {(row["asset_id"], row["slot_start"]): row["energy_wh"] for row in of_days.to_dicts()}
    assert got == expected
    assert of_days["coverage"].to_list() == [1.0] * len(expected)
    counted = dict(of_days.group_by("asset_id").len().iter_rows())
    assert counted == {asset: (end - start) // QUARTER for asset, (start, end) in days.items()}


@settings(max_examples=60, deadline=None)
@given(
    which=st.tuples(st.sampled_from(ZONES), st.integers(1995, 2037), st.integers(0, 10**6)),
    minutes=st.sampled_from([1, 3, 5, 15]),
    gaps_s=st.lists(st.integers(1, 5 * 3600), min_size=1, max_size=20),
    phase_s=st.integers(0, 899),
    watts=st.integers(1, 20_000),
)
def test_a_steady_load_gives_each_slot_of_a_local_day_the_same_whatever_the_reading_s_rhythm(
    which: tuple[str, int, int], minutes: int, gaps_s: list[int], phase_s: int, watts: int
) -> None:
    name, year, pick = which
    zone, changed = ZoneInfo(name), changes(name, (year, year))
    day = changed[pick % len(changed)] if changed else date(year, 1, 1) + (pick % 364) * DAY
    start, end = midnight(zone, day), midnight(zone, day + DAY)
    length = timedelta(minutes=minutes)
    at, rows = start - timedelta(seconds=phase_s), []
    number = 0
    while not rows or rows[-1][1] < end:
        rows.append(("a", at, watts * ((at - start) / timedelta(hours=1)) + 1e5))
        at += timedelta(seconds=gaps_s[number % len(gaps_s)])
        number += 1
    found = slots(rows, length).filter((pl.col("slot_start") >= start) & (pl.col("slot_start") < end))
    assert found["slot_start"].to_list() == [start + n * length for n in range((end - start) // length)]
    assert found["energy_wh"].to_list() == pytest.approx([watts * minutes / 60] * found.height, rel=1e-9, abs=1e-9)
    assert found["coverage"].to_list() == [1.0] * found.height
    assert found["energy_wh"].sum() == pytest.approx(watts * ((end - start) / timedelta(hours=1)), rel=1e-9)
