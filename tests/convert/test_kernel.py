"""The slot kernel against an integrator in exact rationals, over any sampling, phase and slot length."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.convert.kernel import slot_energy
from pipelines.frames import INSTANT, SLOT_ENERGY, Kind, conform

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
SLOT_LENGTHS = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60]
US = timedelta(microseconds=1)


def micros(instant: datetime) -> int:
    return (instant - EPOCH) // US


def frame(rows: list[dict[str, object]]) -> pl.LazyFrame:
    base = {"asset_id": "a", "stream_id": "s", "sign": 1, "two_way": False, "ts_end": None, "quality": "MEASURED"}
    base["series_start"] = ""
    return pl.LazyFrame(
        [base | row for row in rows],
        schema={
            "asset_id": pl.String(),
            "stream_id": pl.String(),
            "sign": pl.Int32(),
            "two_way": pl.Boolean(),
            "ts": INSTANT,
            "ts_end": INSTANT,
            "kind": pl.String(),
            "value": pl.Float64(),
            "quality": pl.String(),
            "series_start": pl.String(),
        },
    )


def slots(rows: list[dict[str, object]], minutes: int = 15, streams: int = 1) -> dict[datetime, dict[str, object]]:
    counts = pl.LazyFrame({"asset_id": ["a"], "streams": [streams]})
    out = slot_energy(frame(rows), streams_per_asset=counts, slot_length=timedelta(minutes=minutes)).collect()
    conform(out, SLOT_ENERGY, door="test")
    return {row["slot_start"]: row for row in out.iter_rows(named=True)}


def exact(lines: list[tuple[int, int, Fraction, Fraction]], slot_us: int) -> dict[int, Fraction]:
    """Energy per slot number of power that is linear from p0 to p1 (W) over each [t0, t1) in microseconds: Wh."""
    energy: dict[int, Fraction] = defaultdict(Fraction)
    for t0, t1, p0, p1 in lines:
        for number in range(t0 // slot_us, (t1 - 1) // slot_us + 1):
            a, b = max(t0, number * slot_us), min(t1, (number + 1) * slot_us)
            middle = p0 + (p1 - p0) * (Fraction(a + b, 2) - t0) / (t1 - t0)
            energy[number] += middle * (b - a) / Fraction(3_600_000_000)
    return energy


@st.composite
def series(draw: st.DrawFn, *, longest_s: int) -> list[tuple[datetime, float]]:
    """Stamps at irregular distances from a second to `longest_s`, each with a value >= 0, in disorder."""
    at = MONDAY + timedelta(microseconds=draw(st.integers(0, 10**11)))
    points = []
    for _ in range(draw(st.integers(2, 30))):
        points.append((at, draw(st.floats(0, 50_000, allow_subnormal=False))))
        at += timedelta(microseconds=draw(st.integers(1_000_000, longest_s * 1_000_000)))
    return draw(st.permutations(points))


@settings(max_examples=80, deadline=None)
@given(points=series(longest_s=4 * 86_400), start_wh=st.floats(0, 1e8), minutes=st.sampled_from(SLOT_LENGTHS))
def test_registers_conserve_energy_and_match_the_exact_integrator(
    points: list[tuple[datetime, float]], start_wh: float, minutes: int
) -> None:
    state, readings = start_wh, []
    for at, increment in sorted(points):
        state += increment
        readings.append((at, state))
    found = slots([{"ts": at, "kind": Kind.REGISTER, "value": value} for at, value in readings], minutes)

    difference = Fraction(readings[-1][1]) - Fraction(readings[0][1])
    total = sum(Fraction(row["energy_wh"]) for row in found.values())  # type: ignore[arg-type]
    assert abs(total - difference) <= Fraction(1e-9) * max(difference, Fraction(1, 1000))

    slot_us = minutes * 60_000_000
    lines = []
    for (t0, v0), (t1, v1) in pairwise(readings):
        power = (Fraction(v1) - Fraction(v0)) * 3_600_000_000 / (micros(t1) - micros(t0))
        lines.append((micros(t0), micros(t1), power, power))
    for number, energy in exact(lines, slot_us).items():
        row = found[EPOCH + timedelta(microseconds=number * slot_us)]
        assert row["energy_wh"] == pytest.approx(float(energy), rel=1e-9, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(points=series(longest_s=1800), minutes=st.sampled_from(SLOT_LENGTHS))
def test_sampled_power_matches_the_exact_trapezoids(points: list[tuple[datetime, float]], minutes: int) -> None:
    found = slots([{"ts": at, "kind": Kind.POWER, "value": value} for at, value in points], minutes)
    ordered = sorted(points)
    lines = [(micros(t0), micros(t1), Fraction(p0), Fraction(p1)) for (t0, p0), (t1, p1) in pairwise(ordered)]
    slot_us = minutes * 60_000_000
    for number, energy in exact(lines, slot_us).items():
        row = found[EPOCH + timedelta(microseconds=number * slot_us)]
        assert row["energy_wh"] == pytest.approx(float(energy), rel=1e-9, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(points=series(longest_s=7200), minutes=st.sampled_from(SLOT_LENGTHS), gap=st.integers(0, 3600))
def test_intervals_conserve_energy(points: list[tuple[datetime, float]], minutes: int, gap: int) -> None:
    ordered = sorted(points)
    rows: list[dict[str, object]] = []
    for (t0, value), (t1, _) in pairwise(ordered):
        end = max(t0 + timedelta(seconds=1), t1 - timedelta(seconds=gap))
        rows.append({"ts": t0, "ts_end": min(end, t1), "kind": Kind.INTERVAL, "value": value})
    found = slots(rows, minutes)
    total = sum(row["energy_wh"] for row in found.values())  # type: ignore[misc]
    assert total == pytest.approx(sum(row["value"] for row in rows), rel=1e-9, abs=1e-9)  # type: ignore[misc]
    assert all(0 <= row["coverage"] <= 1 for row in found.values())  # type: ignore[operator]


@settings(max_examples=50, deadline=None)
@given(points=series(longest_s=1800), minutes=st.sampled_from([5, 15, 60]), middle=st.floats(0, 50_000))
def test_import_less_export_is_the_net_energy(
    points: list[tuple[datetime, float]], minutes: int, middle: float
) -> None:
    signed = [(at, value - middle) for at, value in points]

    def half(sign: int) -> float:
        rows = [{"ts": at, "kind": Kind.POWER, "value": v, "sign": sign, "two_way": True} for at, v in signed]
        return sum(row["energy_wh"] for row in slots(rows, minutes).values())  # type: ignore[misc]

    ordered = sorted(signed)
    net_wh = sum((p0 + p1) / 2 * ((t1 - t0) / timedelta(hours=1)) for (t0, p0), (t1, p1) in pairwise(ordered))
    gross_wh = half(1) + half(-1)
    # Where power crosses zero the span is cut to the microsecond.
    assert half(1) - half(-1) == pytest.approx(net_wh, abs=1e-9 * gross_wh + 1e-3)


@pytest.mark.parametrize(
    ("day", "quarters"),
    [((2016, 3, 27), 92), ((2016, 10, 30), 100), ((2016, 10, 29), 96)],
    ids=["spring", "autumn", "plain"],
)
def test_clock_change_days_have_exactly_their_quarter_hours(day: tuple[int, int, int], quarters: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(*day, tzinfo=berlin).astimezone(UTC)
    end = (datetime(*day, tzinfo=berlin) + timedelta(days=1)).astimezone(UTC)
    boundaries = [start + i * timedelta(minutes=15) for i in range((end - start) // timedelta(minutes=15) + 1)]
    found = slots([{"ts": at, "kind": Kind.REGISTER, "value": 1000.0 + 7 * i} for i, at in enumerate(boundaries)])
    assert len(found) == quarters
    assert {row["energy_wh"] for row in found.values()} == {7.0}
    assert {row["coverage"] for row in found.values()} == {1.0}
    assert (min(found), max(found)) == (start, end - timedelta(minutes=15))


def test_a_register_is_interpolated_at_the_boundary_and_never_shifts_energy_to_the_neighbour() -> None:
    # 900 W throughout, read at minute 7: each whole slot holds 225 Wh whatever the phase.
    at = [MONDAY + timedelta(minutes=7 + 15 * i) for i in range(4)]
    found = slots([{"ts": t, "kind": Kind.REGISTER, "value": 225.0 * i} for i, t in enumerate(at)])
    whole = [row for row in found.values() if row["coverage"] == 1.0]
    assert [row["energy_wh"] for row in whole] == pytest.approx([225.0, 225.0])
    assert {row["quality"] for row in whole} == {"MEASURED"}
    first = found[MONDAY]
    assert (first["energy_wh"], first["coverage"]) == (pytest.approx(120.0), pytest.approx(8 / 15))


def test_energy_across_a_gap_is_spread_and_marked() -> None:
    rows = [
        {"ts": MONDAY, "kind": Kind.REGISTER, "value": 0.0},
        {"ts": MONDAY + timedelta(hours=1), "kind": Kind.REGISTER, "value": 400.0},
    ]
    found = slots(rows)
    assert [row["energy_wh"] for row in found.values()] == pytest.approx([100.0] * 4)
    assert {(row["quality"], row["method"]) for row in found.values()} == {("SUBSTITUTED", "interpolated")}


def test_energy_across_a_day_without_readings_is_spread_over_it() -> None:
    at = [
        MONDAY,
        MONDAY + timedelta(minutes=15),
        MONDAY + timedelta(days=1, minutes=15),
        MONDAY + timedelta(days=1.0625),
    ]
    values = [0.0, 40.0, 4840.0, 4900.0]
    found = slots([{"ts": t, "kind": Kind.REGISTER, "value": v} for t, v in zip(at, values, strict=True)])
    of_day = [row for start, row in found.items() if at[1] <= start < at[2]]
    assert [row["energy_wh"] for row in of_day] == pytest.approx([50.0] * 96)
    assert {(row["quality"], row["method"], row["coverage"]) for row in of_day} == {
        ("SUBSTITUTED", "interpolated", 1.0)
    }
    assert sum(row["energy_wh"] for row in found.values()) == pytest.approx(4900.0)  # type: ignore[misc]
    assert (found[MONDAY]["energy_wh"], found[MONDAY]["quality"]) == (40.0, "MEASURED")


@pytest.mark.parametrize(("day", "quarters"), [((2016, 3, 27), 92), ((2016, 10, 30), 100)], ids=["spring", "autumn"])
def test_gap_of_a_clock_change_day_is_spread_over_the_quarters_it_has(day: tuple[int, int, int], quarters: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    bounds = [datetime(*day, tzinfo=berlin), datetime(*day, tzinfo=berlin) + timedelta(days=1)]
    start, end = (bound.astimezone(UTC) for bound in bounds)
    rows = [{"ts": at, "kind": Kind.REGISTER, "value": v} for at, v in ((start, 700.0), (end, 700.0 + 9200.0))]
    found = slots(rows)
    assert (len(found), min(found), max(found)) == (quarters, start, end - timedelta(minutes=15))
    assert [row["energy_wh"] for row in found.values()] == pytest.approx([9200.0 / quarters] * quarters)
    assert {row["quality"] for row in found.values()} == {"SUBSTITUTED"}


def test_nothing_is_known_of_the_energy_across_a_reset() -> None:
    for first_of_new in (0.0, 9e6):
        values = [5000.0, 5100.0, first_of_new, first_of_new + 30]
        rows = [
            {"ts": MONDAY + i * timedelta(minutes=15), "kind": Kind.REGISTER, "value": v} for i, v in enumerate(values)
        ]
        rows[2]["series_start"] = "reset"
        found = slots(rows)
        assert [(start - MONDAY) // timedelta(minutes=15) for start in sorted(found)] == [0, 2]
        assert [row["energy_wh"] for _, row in sorted(found.items())] == [100.0, 30.0]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("before", "after", "energy"), [(99_990.0, 30.0, 40.0), (999_999.75, 0.0, 0.25), (9e7, 2e3, 1e7 + 2e3)]
)
def test_a_rollover_conserves_the_energy_through_it(before: float, after: float, energy: float, sign: int) -> None:
    rows = [
        {"ts": MONDAY, "kind": Kind.REGISTER, "value": sign * before, "sign": sign},
        {
            "ts": MONDAY + timedelta(minutes=30),
            "kind": Kind.REGISTER,
            "value": sign * after,
            "sign": sign,
            "series_start": "rollover",
        },
    ]
    found = slots(rows)
    assert [row["energy_wh"] for row in found.values()] == pytest.approx([energy / 2] * 2, rel=1e-12)
    assert {row["quality"] for row in found.values()} == {"SUBSTITUTED"}


@pytest.mark.parametrize("before", [100_500.0, 3.0, 1e12])
def test_a_rollover_from_nowhere_near_a_power_of_ten_is_no_energy(before: float) -> None:
    rows = [
        {"ts": MONDAY, "kind": Kind.REGISTER, "value": before},
        {"ts": MONDAY + timedelta(minutes=15), "kind": Kind.REGISTER, "value": 5.0, "series_start": "rollover"},
    ]
    assert slots(rows) == {}


def test_a_falling_register_is_no_energy_and_leaves_its_stretch_uncovered() -> None:
    values = [5000.0, 5100.0, 0.0, 100.0]
    rows = [{"ts": MONDAY + i * timedelta(minutes=15), "kind": Kind.REGISTER, "value": v} for i, v in enumerate(values)]
    found = slots(rows)
    assert [round(row["energy_wh"]) for _, row in sorted(found.items())] == [100, 100]  # type: ignore[call-overload]
    assert MONDAY + timedelta(minutes=15) not in found


def test_silence_longer_than_half_an_hour_is_a_gap_for_sampled_power() -> None:
    rows = [
        {"ts": MONDAY, "kind": Kind.POWER, "value": 1000.0},
        {"ts": MONDAY + timedelta(minutes=15), "kind": Kind.POWER, "value": 1000.0},
        {"ts": MONDAY + timedelta(minutes=46), "kind": Kind.POWER, "value": 1000.0},
    ]
    assert list(slots(rows)) == [MONDAY]


def test_mean_power_of_a_span_is_its_energy() -> None:
    rows = [{"ts": MONDAY, "ts_end": MONDAY + timedelta(minutes=15), "kind": Kind.POWER, "value": 2000.0}]
    assert slots(rows)[MONDAY]["energy_wh"] == pytest.approx(500.0)


def test_time_told_twice_counts_once() -> None:
    quarter = timedelta(minutes=15)
    rows = [
        {"ts": MONDAY, "ts_end": MONDAY + 2 * quarter, "kind": Kind.INTERVAL, "value": 100.0},
        {"ts": MONDAY + quarter, "ts_end": MONDAY + 3 * quarter, "kind": Kind.INTERVAL, "value": 100.0},
    ]
    found = slots(rows)
    assert sum(row["energy_wh"] for row in found.values()) == pytest.approx(150.0)  # type: ignore[misc]
    assert {row["coverage"] for row in found.values()} == {1.0}


def test_an_asset_of_two_streams_is_their_sum_and_as_covered_as_the_worse() -> None:
    quarter = timedelta(minutes=15)

    def interval(stream: str, slot: int, value: float, quality: str = "MEASURED") -> dict[str, object]:
        ts = MONDAY + slot * quarter
        return {
            "stream_id": stream,
            "ts": ts,
            "ts_end": ts + quarter,
            "kind": Kind.INTERVAL,
            "value": value,
            "quality": quality,
        }

    rows = [interval("s1", 0, 10.0), interval("s2", 0, 5.0, "SUBSTITUTED"), interval("s1", 1, 10.0)]
    found = slots(rows, streams=2)
    both, alone = found[MONDAY], found[MONDAY + quarter]
    assert (both["energy_wh"], both["coverage"], both["quality"]) == (15.0, 1.0, "SUBSTITUTED")
    assert alone["coverage"] == 0.0


def test_readings_that_come_minutes_early_and_late_leave_slots_measured() -> None:
    off_s = (0, 4, -3, 240, -180, 7)
    at = [MONDAY + timedelta(minutes=15 * n, seconds=s) for n, s in enumerate(off_s)]
    found = slots([{"ts": t, "kind": Kind.REGISTER, "value": 100.0 * n} for n, t in enumerate(at)])
    assert {(row["quality"], row["method"]) for row in found.values()} == {("MEASURED", "register")}


def test_one_missed_reading_leaves_two_slots_without_a_shape() -> None:
    minutes = (0, 15, 45, 60)
    at = [MONDAY + timedelta(minutes=m) for m in minutes]
    found = slots([{"ts": t, "kind": Kind.REGISTER, "value": 10.0 * m} for t, m in zip(at, minutes, strict=True)])
    assert [found[start]["quality"] for start in sorted(found)] == [
        "MEASURED",
        "SUBSTITUTED",
        "SUBSTITUTED",
        "MEASURED",
    ]
