"""Energies and registers of one meter: 100, 200, … 800 Wh in the quarter hours from noon to two."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pipelines.sandbox.clouds.defects import Defect
from pipelines.sandbox.clouds.fleet import Fleet, Unit

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=9)
QUARTER = timedelta(minutes=15)
START_WH = 5 * 400 * 1000

Make = Callable[..., tuple[Fleet, Unit]]


def at(text: str) -> datetime:
    hour, minute = text.split(":")
    return NOON.replace(hour=int(hour), minute=int(minute))


def defect(what: str, **more: Any) -> Defect:
    times = {key: f"2026-03-02T{more[key]}:00Z" for key in ("start", "end", "at", "from") if key in more}
    return TypeAdapter(Defect).validate_python({"what": what, "device": "m-1", **more, **times})


def energies(fleet: Fleet, unit: Unit, now: datetime = LATER) -> list[float | None]:
    """Of the eight quarter hours."""
    return [fleet.energy_wh(unit, "import", NOON + n * QUARTER, NOON + (n + 1) * QUARTER, now) for n in range(8)]


def registers(fleet: Fleet, unit: Unit, now: datetime = LATER) -> list[float | None]:
    """At the nine quarters from noon to two, less what the register showed when it was new to the community."""
    states = [fleet.register_wh(unit, "import", NOON + n * QUARTER, now) for n in range(9)]
    first = Fleet({"any": (unit,)}).register_wh(unit, "import", NOON, now)
    assert first is not None
    return [None if state is None else state - first for state in states]


TRUE_WH = [100, 200, 300, 400, 500, 600, 700, 800]
TRUE_STATES = [0, 100, 300, 600, 1000, 1500, 2100, 2800, 3600]


def test_without_defects_the_meter_tells_what_flowed(two_hours: Make) -> None:
    fleet, unit = two_hours()
    assert energies(fleet, unit) == TRUE_WH
    assert registers(fleet, unit) == TRUE_STATES
    state = fleet.register_wh(unit, "import", NOON, LATER)
    assert START_WH <= state < START_WH + 100_000, "a used meter"
    assert fleet.register_wh(unit, "export", LATER.replace(hour=13), LATER) == 0, "that never fed in"


def test_nothing_is_told_before_it_is_known(two_hours: Make) -> None:
    fleet, unit = two_hours()
    now = at("12:35")
    assert energies(fleet, unit, now) == [100, 200, *[None] * 6]
    assert registers(fleet, unit, now) == [0, 100, 300, *[None] * 6]
    assert fleet.energy_wh(unit, "import", at("12:30"), now, now) == pytest.approx(100)
    assert fleet.last_seen(unit, now) == now
    assert fleet.last_seen(unit, LATER) == at("14:00")
    assert fleet.last_seen(unit, at("11:59")) is None
    assert fleet.register_wh(unit, "import", at("11:59"), now) is None


def test_offline_holds_everything_back_until_its_end(two_hours: Make) -> None:
    fleet, unit = two_hours(defect("offline", start="12:30", end="13:30"))
    for now in ("12:45", "13:29"):
        assert energies(fleet, unit, at(now)) == [100, 200, *[None] * 6]
        assert registers(fleet, unit, at(now)) == [0, 100, 300, *[None] * 6]
        assert fleet.last_seen(unit, at(now)) == at("12:30")
    assert energies(fleet, unit, at("13:30")) == [*TRUE_WH[:6], None, None]


def test_hole_is_never_filled_but_the_register_has_counted_on(two_hours: Make) -> None:
    fleet, unit = two_hours(defect("hole", start="12:20", end="13:00"))
    assert energies(fleet, unit) == [100, None, None, None, 500, 600, 700, 800]
    assert registers(fleet, unit) == [0, 100, None, None, 1000, 1500, 2100, 2800, 3600]
    assert fleet.last_seen(unit, at("12:50")) == at("12:20")


def test_reset_starts_the_register_anew_and_leaves_the_energy(two_hours: Make) -> None:
    fleet, unit = two_hours(defect("reset", at="12:30", to_wh=7))
    states = [fleet.register_wh(unit, "import", NOON + n * QUARTER, LATER) for n in range(2, 5)]
    assert states == [7, 307, 707]
    assert registers(fleet, unit)[:2] == [0, 100]
    assert energies(fleet, unit) == TRUE_WH


def test_second_reset_counts_from_its_own_start(two_hours: Make) -> None:
    fleet, unit = two_hours(defect("reset", at="13:00", to_wh=50), defect("reset", at="12:15"))
    states = [fleet.register_wh(unit, "import", NOON + n * QUARTER, LATER) for n in range(1, 6)]
    assert states == [0, 200, 500, 50, 550]


def test_drop_reads_zero_and_comes_back(two_hours: Make) -> None:
    fleet, unit = two_hours(defect("drop", start="12:30", end="13:00", channel="import"))
    states = [fleet.register_wh(unit, "import", NOON + n * QUARTER, LATER) for n in (2, 3)]
    assert states == [0, 0]
    assert registers(fleet, unit)[4:6] == [1000, 1500]
    assert energies(fleet, unit) == TRUE_WH


def test_rollover_shows_the_rest(two_hours: Make) -> None:
    fleet, unit = two_hours(defect("reset", at="12:00", to_wh=9_700), defect("rollover", at_wh=10_000))
    states = [fleet.register_wh(unit, "import", NOON + n * QUARTER, LATER) for n in range(5)]
    assert states == [9_700, 9_800, 0, 300, 700]
    assert energies(fleet, unit) == TRUE_WH


def test_spike_is_one_absurd_sample(two_hours: Make) -> None:
    fleet, unit = two_hours(defect("spike", at="12:40", factor=1000))
    assert energies(fleet, unit) == [100, 200, 300_000, 400, 500, 600, 700, 800]
    plain = two_hours()[0]
    for n in range(9):
        instant = NOON + n * QUARTER
        state = plain.register_wh(unit, "import", instant, LATER)
        assert fleet.register_wh(unit, "import", instant, LATER) == (1000 * state if n == 2 else state)


def test_revision_is_told_from_its_instant_on(two_hours: Make) -> None:
    fleet, unit = two_hours(defect("revise", start="12:30", end="13:00", factor=0.5, **{"from": "13:30"}))
    assert energies(fleet, unit, at("13:29"))[:5] == [100, 200, 300, 400, 500]
    assert energies(fleet, unit, at("13:30"))[:5] == [100, 200, 150, 200, 500]
    assert registers(fleet, unit) == TRUE_STATES


def test_frozen_value_stands_and_catches_up(two_hours: Make) -> None:
    fleet, unit = two_hours(defect("frozen", start="12:30", end="13:15"))
    assert registers(fleet, unit) == [0, 100, 300, 300, 300, 1500, 2100, 2800, 3600]
    assert energies(fleet, unit) == [100, 200, 0, 0, 1200, 600, 700, 800]
    assert fleet.last_seen(unit, at("13:00")) == at("12:30")
    assert fleet.last_seen(unit, at("13:15")) == at("13:15")


def test_negative_energy_lowers_the_register(two_hours: Make) -> None:
    fleet, unit = two_hours(defect("negative", at="12:15", wh=-3))
    assert energies(fleet, unit) == [100, -3, 300, 400, 500, 600, 700, 800]
    assert registers(fleet, unit)[:4] == [0, 100, 97, 397]


def test_defects_replace_each_other(two_hours: Make) -> None:
    fleet, unit = two_hours(defect("hole", start="12:00", end="14:00"))
    fleet.replace_defects([defect("hole", start="12:00", end="12:15")])
    assert energies(fleet, unit) == [None, *TRUE_WH[1:]]
    fleet.replace_defects([])
    assert energies(fleet, unit) == TRUE_WH


def test_defect_of_one_channel_leaves_the_others(two_hours: Make) -> None:
    fleet, unit = two_hours(defect("offline", start="12:30", end="13:30", channel="export"))
    assert energies(fleet, unit, at("13:00")) == [100, 200, 300, 400, *[None] * 4]
    assert fleet.register_wh(unit, "export", at("12:45"), at("13:00")) is None


@pytest.mark.parametrize("wrong", [{"device": "m-2"}, {"channel": "production"}])
def test_defect_of_what_the_fleet_does_not_have_is_refused_and_changes_nothing(
    two_hours: Make, wrong: dict[str, str]
) -> None:
    fleet, unit = two_hours(defect("hole", start="12:00", end="12:15"))
    with pytest.raises(ValueError, match=next(iter(wrong.values()))):
        fleet.replace_defects([defect("drop", start="12:00", end="12:15", **wrong)])
    assert energies(fleet, unit)[0] is None


def test_spell_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValidationError, match="is not after start"):
        defect("hole", start="13:00", end="12:00")


def test_two_units_with_one_id_are_refused(two_hours: Make) -> None:
    unit = two_hours()[1]
    with pytest.raises(ValueError, match="share a device id"):
        Fleet({"one": (unit,), "other": (unit,)})


minutes = st.integers(0, 120 * 60).map(lambda seconds: NOON + timedelta(seconds=seconds))


@given(
    energy_wh=st.lists(st.floats(0, 5000), min_size=8, max_size=8),
    spells=st.lists(st.tuples(minutes, minutes), max_size=2),
    span=st.tuples(minutes, minutes),
)
def test_register_difference_is_the_energy_of_the_span(
    energy_wh: list[float], spells: list[tuple[datetime, datetime]], span: tuple[datetime, datetime]
) -> None:
    unit = Unit(
        device="m-1", name="M", kind="meter", site="h", rated_power_kw=5, energy_wh={"import": energy_wh}, first=NOON
    )
    fleet = Fleet({"any": (unit,)})
    frozen = [
        {"what": "frozen", "device": "m-1", "start": min(two), "end": max(two)} for two in spells if two[0] != two[1]
    ]
    fleet.replace_defects(TypeAdapter(list[Defect]).validate_python(frozen))
    start, end = sorted(span)
    before, after = (fleet.register_wh(unit, "import", instant, LATER) for instant in (start, end))
    told = fleet.energy_wh(unit, "import", start, end, LATER)
    assert told == pytest.approx(after - before, abs=1e-6)
    if not frozen:
        spread = sum(
            wh * max((min(end, slot + QUARTER) - max(start, slot)) / QUARTER, 0)
            for slot, wh in ((NOON + n * QUARTER, wh) for n, wh in enumerate(energy_wh))
        )
        assert told == pytest.approx(spread, abs=1e-6)
