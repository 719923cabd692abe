"""Days and weeks as the other verbs leave them in the store."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from pipelines.report.run import write_report
from pipelines.store import Store, finish_run, open_store, start_run
from tests.report import weeks
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


def _written(folder: Path, told: weeks.Weeks) -> Path:
    store = open_store(f"sqlite:///{folder / 'slotfeed.sqlite'}")
    told.write(store)
    weeks.log_runs(store)
    path = folder / "report.html"
    write_report(store, told.community, start=weeks.START, end=told.end, now=told.end + timedelta(minutes=5), path=path)
    store.close()
    return path


@pytest.fixture(scope="session")
def weeks_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two days with all that goes wrong, and of eight weeks before."""
    return _written(tmp_path_factory.mktemp("weeks"), weeks.real_weeks())


@pytest.fixture(scope="session")
def few_days_page() -> Callable[[Path, int], Path]:
    """Writes the page of a small community that has so many days behind it."""

    def write(folder: Path, days: int) -> Path:
        told = weeks.weeks_of(2, weeks.SLOTS[:12])
        told.days = [
            weeks.quality_day(told.uuid(n), weeks.LAST_DAY - timedelta(days=back), exchange_differs=3)
            for n in range(2)
            for back in range(days)
        ]
        return _written(folder, told)

    return write
