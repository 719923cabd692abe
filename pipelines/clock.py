"""The clock that is handed in. Nothing below the flows asks the wall clock itself."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...


class WallClock:
    """This machine's clock."""

    def now(self) -> datetime:
        """The present instant by the system clock."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands until it is set: for tests and replays."""

    def __init__(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)

    def now(self) -> datetime:
        """The instant last set."""
        return self._at

    def set(self, at: datetime) -> None:
        """Move the clock to `at`."""
        self._at = at.astimezone(UTC)


class RunningClock:
    """A clock that was right at one moment and has run on since, deaf to steps of the system clock.

    `--at` starts one at the time asked for, and the exchange's own time is kept by one that
    starts at the time its answer told. While this machine sleeps it runs on, on Linux.
    """

    def __init__(self, started_at: datetime) -> None:
        self._started_at = started_at.astimezone(UTC)
        self._began_s = _passed_s()

    def now(self) -> datetime:
        """The start plus the time that has passed since."""
        return self._started_at + timedelta(seconds=_passed_s() - self._began_s)


def _passed_s() -> float:
    """Seconds since some moment, by a clock that nobody sets.

    The monotonic clock stands while a laptop or a virtual machine sleeps: what was due before would be sent after.
    """
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_time is None else time.clock_gettime(boot_time)
