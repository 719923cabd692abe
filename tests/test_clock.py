from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from pipelines.clock import Clock, FixedClock, RunningClock, WallClock

VIENNA_SUMMER = timezone(timedelta(hours=2))


def test_the_wall_clock_tells_this_machine_s_time_in_utc() -> None:
    before = datetime.now(UTC)
    told = WallClock().now()
    assert before <= told <= datetime.now(UTC)
    assert told.utcoffset() == timedelta(0)


def test_a_fixed_clock_stands_until_it_is_set(noon: datetime) -> None:
    clock = FixedClock(noon)
    assert clock.now() == clock.now() == noon
    clock.set(datetime(2026, 7, 1, 14, tzinfo=VIENNA_SUMMER))
    assert clock.now() == datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("make", [FixedClock, RunningClock])
def test_clocks_tell_utc_whatever_zone_they_were_set_in(make: type[FixedClock | RunningClock]) -> None:
    clock: Clock = make(datetime(2026, 7, 1, 14, tzinfo=VIENNA_SUMMER))
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.now().hour == 12


@pytest.mark.parametrize("has_boot_time", [True, False])
def test_a_running_clock_runs_on_by_the_time_passed_alone(
    noon: datetime, monkeypatch: pytest.MonkeyPatch, has_boot_time: bool
) -> None:
    passed_s, slept_s, boot_time = 1000.0, 0.0, 7
    clocks = SimpleNamespace(monotonic=lambda: passed_s)
    if has_boot_time:
        told = {boot_time: lambda: passed_s + slept_s}
        clocks = SimpleNamespace(CLOCK_BOOTTIME=boot_time, clock_gettime=lambda which: told[which]())
    monkeypatch.setattr("pipelines.clock.time", clocks)
    clock = RunningClock(noon)
    assert clock.now() == noon
    passed_s += 901.25
    assert clock.now() == datetime(2026, 3, 2, 12, 15, 1, 250_000, tzinfo=UTC)
    # The machine sleeps: the boot time's clock alone runs on.
    slept_s += 3600
    assert clock.now().hour == (13 if has_boot_time else 12)
