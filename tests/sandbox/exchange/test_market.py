from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sandbox.exchange.market import Market

QUARTER = timedelta(minutes=15)
START = datetime(2026, 3, 2, 12, tzinfo=UTC)


def slot(number: float) -> datetime:
    return START + number * QUARTER


def a_market() -> Market:
    return Market(QUARTER, START, {"load": "Load", "battery": "Storage"})


def test_measurements_count_for_the_running_slot_and_the_past_and_not_for_the_future() -> None:
    market = a_market()
    market.advance(slot(4))
    market.measurement("load", {slot(1): 0.1, slot(4): 0.4, slot(5): 0.5, slot(1.5): 9.0})
    assert market.measured("load") == {}
    market.advance(slot(5))
    assert market.measured("load") == {slot(1): 0.1, slot(4): 0.4}
    market.forecast("load", {})
    market.advance(slot(6))
    assert slot(5) not in market.measured("load"), "a measurement sent too early isn't kept for later"


def test_asset_of_another_type_uses_nothing() -> None:
    market = a_market()
    market.forecast("battery", {slot(1): 1.0})
    market.measurement("battery", {slot(0): 1.0})
    market.repeated_forecast("battery", 1.0)
    market.advance(slot(2))
    assert market.profile("battery", slot(0), slot(3)) == {slot(0): 0.0, slot(1): 0.0, slot(2): 0.0}
    assert market.measured("battery") == {}


def test_profile_starts_with_the_market_and_ends_with_the_running_slot() -> None:
    market = a_market()
    market.advance(slot(1) + timedelta(minutes=1))
    assert list(market.profile("load", slot(-9), slot(9))) == [slot(0), slot(1)]


def test_profile_holds_the_slots_that_start_within_the_span() -> None:
    market = a_market()
    market.advance(slot(9))
    assert list(market.profile("load", slot(1.2), slot(3))) == [slot(2)]
    assert list(market.profile("load", slot(1), slot(3.2))) == [slot(1), slot(2), slot(3)]
    assert market.profile("load", slot(3), slot(3)) == {}


def test_time_does_not_run_back() -> None:
    market = a_market()
    market.advance(slot(3))
    market.advance(slot(1))
    assert market.slot == slot(3)


def test_unknown_asset_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        a_market().forecast("nobody", {})


SLOTS = st.integers(min_value=-2, max_value=12)
ENERGY = st.floats(min_value=0, max_value=5)
STEP = st.one_of(
    st.tuples(st.just("forecast"), st.dictionaries(SLOTS, ENERGY, max_size=4)),
    st.tuples(st.just("repeated"), ENERGY),
    st.tuples(st.just("advance"), st.integers(min_value=0, max_value=4)),
)


@given(steps=st.lists(STEP, max_size=25))
def test_every_slot_uses_what_a_cycle_by_cycle_reading_of_the_rules_gives(steps: list[tuple[str, object]]) -> None:
    market, now = a_market(), 0
    told: list[tuple[int, str, object]] = []
    for kind, value in steps:
        if kind == "advance":
            now += value
            market.advance(slot(now))
        elif kind == "forecast":
            market.forecast("load", {slot(number): energy for number, energy in value.items()})
            told.append((now, kind, value))
        else:
            market.repeated_forecast("load", value)
            told.append((now, kind, value))

    def expected(number: int) -> float:
        # Only what arrived in an earlier slot can count; the last word does, and a keyed one before a repeated one.
        keyed = [v[number] for at, kind, v in told if kind == "forecast" and at < number and number in v]
        repeated = [v for at, kind, v in told if kind == "repeated" and at < number]
        return (keyed or repeated or [0.0])[-1]

    assert market.profile("load", slot(0), slot(100)) == {slot(n): expected(n) for n in range(now + 1)}
