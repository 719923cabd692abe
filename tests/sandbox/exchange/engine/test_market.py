from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from pipelines.gsy_files.tree import Area
from pipelines.sandbox.exchange.engine.market import Market as RealMarket
from pipelines.sandbox.exchange.engine.twin import Twin
from pipelines.sandbox.exchange.ledger import open_ledger
from pipelines.sandbox.exchange.tables import APPLIED, REPEATED

QUARTER = timedelta(minutes=15)
START = datetime(2026, 3, 2, 12, tzinfo=UTC)


def slot(number: float) -> datetime:
    return START + number * QUARTER


KINDS = {"load": "Load", "battery": "Storage"}
NIGHT = [(number % 4 + 1) / 10 for number in range(96)]
PROFILE = "\n".join(f"{n // 4:02}:{n % 4 * 15:02},{energy}" for n, energy in enumerate(NIGHT))
"""A day of 0.1, 0.2, 0.3, 0.4 kWh in every hour."""


def a_twin() -> Twin:
    leaves = tuple(Area(name=uuid.title(), type=kind, uuid=uuid) for uuid, kind in KINDS.items())
    tree = Area(name="Grid", type="Area", uuid="grid", children=leaves)
    return Twin(simulation="sim", name="Grid", tree=tree)


class Market(RealMarket):
    """Posted by Ann at the slot's start, where a test doesn't care."""

    def __init__(self, start: datetime = START, database: Path | None = None) -> None:
        self.ledger = open_ledger(database, simulation="sim")
        self.twin = a_twin()
        self.twin.restore(self.ledger)
        super().__init__(self.twin, self.ledger, start)

    def forecast(self, asset: str, energies_kwh: Mapping[datetime, float], **told: Any) -> None:
        super().forecast(asset, energies_kwh, **{"by": "ann", "at": self.slot} | told)

    def measurement(self, asset: str, energies_kwh: Mapping[datetime, float], **told: Any) -> None:
        super().measurement(asset, energies_kwh, **{"by": "ann", "at": self.slot} | told)

    def repeated_forecast(self, asset: str, energy_kwh: float, **told: Any) -> None:
        super().repeated_forecast(asset, energy_kwh, **{"by": "ann", "at": self.slot} | told)

    def measured(self, asset: str) -> dict[datetime, float]:
        found = self.posted(asset, slot(-9), slot(99), quantity="measurement")
        return {at: posted.energy_kwh for at, posted in found.items()}


OPEN: list[Market] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().ledger.close()


def a_market(start: datetime = START, database: Path | None = None) -> Market:
    OPEN.append(Market(start, database))
    return OPEN[-1]


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


@settings(deadline=None)
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


def test_who_posted_what_counted_is_told() -> None:
    market = a_market()
    at = START + timedelta(minutes=3)
    market.forecast("load", {slot(1): 0.5}, by="bea", at=at)
    market.advance(slot(1))
    told = market.posted("load", slot(0), slot(4))
    assert {found: (posted.energy_kwh, posted.by, posted.at) for found, posted in told.items()} == {
        slot(1): (0.5, "bea", at)
    }


def test_restart_finds_what_counted_and_loses_what_was_buffered(tmp_path: Path) -> None:
    file = tmp_path / "exchange.sqlite"
    market = a_market(START, file)
    market.forecast("load", {slot(1): 0.1, slot(2): 0.2, slot(3): 0.3, slot(7): 0.7})
    market.advance(slot(1))
    market.repeated_forecast("load", 9.0)
    again = a_market(slot(2), file)
    again.advance(slot(3))
    assert again.profile("load", slot(0), slot(9)) == {slot(0): 0.0, slot(1): 0.1, slot(2): 0.2, slot(3): 0.3}


def test_slots_in_which_it_was_down_are_zero_and_stay_so(tmp_path: Path) -> None:
    file = tmp_path / "exchange.sqlite"
    market = a_market(START, file)
    market.repeated_forecast("load", 0.5)
    market.forecast("load", {slot(3): 3.0, slot(6): 6.0})
    market.advance(slot(2))
    again = a_market(slot(5), file)
    again.advance(slot(7))
    expected = [0.0, 0.5, 0.5, 0.0, 0.0, 0.5, 6.0, 0.5]
    assert again.profile("load", slot(0), slot(9)) == {slot(n): energy for n, energy in enumerate(expected)}
    third = a_market(slot(7), file)
    assert list(third.profile("load", slot(0), slot(9)).values()) == expected


def test_switched_off_the_profile_drives_it_and_posts_are_ignored() -> None:
    market = a_market()
    market.upload("load", PROFILE, "ENERGY_KWH", by="ann", at=START)
    market.forecast("load", {slot(n): 5.0 for n in range(9)})
    market.advance(slot(1))
    market.switch("load", live=False)
    market.advance(slot(2))
    market.forecast("load", {slot(n): 7.0 for n in range(9)})
    market.advance(slot(4))
    market.switch("load", live=True)
    market.advance(slot(6))
    # Until the switch counts, 5; then the profile's third, fourth and first quarter; then the forecasts of before.
    expected = {slot(0): 0.0, slot(1): 5.0, slot(2): 0.3, slot(3): 0.4, slot(4): 0.1, slot(5): 5.0, slot(6): 5.0}
    assert market.profile("load", slot(0), slot(9)) == expected


def test_switched_off_without_a_profile_is_zero() -> None:
    market = a_market()
    market.repeated_forecast("load", 1.0)
    market.switch("load", live=False)
    market.advance(slot(2))
    assert market.profile("load", slot(0), slot(9)) == {slot(0): 0.0, slot(1): 0.0, slot(2): 0.0}


def test_new_profile_does_not_change_the_past() -> None:
    market = a_market()
    market.switch("load", live=False)
    market.upload("load", "12:15,1.0\n12:30,1.0", "ENERGY_KWH", by="ann", at=START)
    market.advance(slot(1))
    market.upload("load", "12:15,2.0\n12:30,2.0", "ENERGY_KWH", by="ann", at=START)
    market.advance(slot(2))
    assert market.profile("load", slot(1), slot(3)) == {slot(1): 1.0, slot(2): 2.0}


def test_profile_that_can_not_be_read_is_refused_and_the_old_one_stays() -> None:
    market = a_market()
    market.upload("battery", PROFILE, "ENERGY_KWH", by="ann", at=START)
    with pytest.raises(ValueError, match="empty line"):
        market.upload("battery", "12:15,1\n\n12:30,1", "ENERGY_KWH", by="ann", at=START)
    market.advance(slot(1))
    assert market.profile("battery", slot(1), slot(2)) == {slot(1): 0.2}


def test_a_year_costs_no_more_than_a_slot_and_90_days_are_kept() -> None:
    market = a_market()
    market.repeated_forecast("load", 0.25)
    market.forecast("load", {slot(1): 1.0})
    market.advance(slot(1))
    year = START + timedelta(days=365)
    market.advance(year)
    held = market.profile("load", START, year + QUARTER)
    assert (len(held), set(held.values())) == (90 * 96 + 1, {0.25})
    assert min(held) == year - timedelta(days=90)
    with market.ledger.reading() as connection:
        rows = [connection.execute(select(func.count()).select_from(table)).scalar() for table in (APPLIED, REPEATED)]
    assert rows == [0, 1], "the value that still drives the slots is kept"


def test_values_are_posted_for_months_and_what_is_old_goes() -> None:
    market = a_market()
    for day in range(100):
        market.repeated_forecast("load", float(day))
        market.forecast("load", {market.slot + QUARTER: float(day)})
        market.advance(market.slot + QUARTER)
        market.advance(START + timedelta(days=day + 1))
    with market.ledger.reading() as connection:
        rows = [connection.execute(select(func.count()).select_from(table)).scalar() for table in (APPLIED, REPEATED)]
    assert 90 <= rows[0] <= 91
    assert 90 <= rows[1] <= 92
