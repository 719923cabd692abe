from datetime import datetime, timedelta

import pytest

from pipelines.store import Store, keep_lead, kept_lead


def keep(store: Store, at: datetime, *leads_s: float, simulation: str = "sim") -> None:
    """One measurement a quarter of an hour, the last of them at `at`."""
    for index, lead in enumerate(reversed(leads_s)):
        measured_at = at - index * timedelta(minutes=15)
        keep_lead(store, simulation, timedelta(seconds=lead), measured_at=measured_at, source="market")


def test_the_median_of_the_last_five_counts(store: Store, noon: datetime) -> None:
    assert kept_lead(store, "sim", now=noon) is None
    keep(store, noon, 500, 500, 500, 7, 6.5, 90, 8, -1)
    keep(store, noon, 33, simulation="other")
    # -1, 6.5, 7, 8, 90
    assert kept_lead(store, "sim", now=noon) == timedelta(seconds=7)


def test_an_even_number_takes_the_middle(store: Store, noon: datetime) -> None:
    keep(store, noon, 6, 9)
    assert kept_lead(store, "sim", now=noon) == timedelta(seconds=7.5)


@pytest.mark.parametrize(("later_s", "kept"), [(86_399, True), (86_400, False), (-60, True), (-61, False)])
def test_a_measurement_is_good_for_a_day(store: Store, noon: datetime, later_s: int, kept: bool) -> None:
    keep(store, noon, 7)
    found = kept_lead(store, "sim", now=noon + timedelta(seconds=later_s))
    assert found == (timedelta(seconds=7) if kept else None)


def test_the_same_instant_told_twice_stands_once(store: Store, noon: datetime) -> None:
    keep(store, noon, 7)
    keep(store, noon, 9)
    assert kept_lead(store, "sim", now=noon) == timedelta(seconds=9)
