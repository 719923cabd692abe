"""Days and weeks as the other verbs leave them in the store."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from pipelines.store import Store, finish_run, start_run
from tests.report.days import START, Day, day_of, faulty_day


@pytest.fixture(scope="session")
def make_day() -> Callable[..., Day]:
    """Makes days without a fault, of any size."""
    return day_of


@pytest.fixture(scope="session")
def make_real_day() -> Callable[[], Day]:
    """Makes the day with its faults."""
    return faulty_day


@pytest.fixture
def real_day() -> Day:
    """The day with its faults, for one test alone."""
    return faulty_day()


@pytest.fixture
def log_runs() -> Callable[[Store], None]:
    """Records two runs of `feed`, the later one failed, and one of `reconcile`."""

    def write(store: Store) -> None:
        for command, minutes, outcome in (("feed", 0, "ok"), ("feed", 15, "failed"), ("reconcile", 1500, "ok")):
            at = START + timedelta(minutes=minutes)
            finish_run(store, start_run(store, command, logical_time=at, now=at), outcome=outcome, summary={}, now=at)

    return write
