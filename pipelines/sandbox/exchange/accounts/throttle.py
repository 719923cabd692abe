"""Slows down whoever guesses passwords."""

import math
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256

from fastapi import HTTPException

from pipelines.clock import Clock

WINDOW = timedelta(minutes=5)
"""Failures count for so long, by the sandbox's clock; ours."""

FAILURES_PER_NAME = 5
"""Ours."""

FAILURES = 100
"""Of all names together: guessing one password for many names doesn't go faster; ours."""


class Throttle:
    """Counts failed logins by user name, whether the name exists or not."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: deque[tuple[datetime, bytes]] = deque(maxlen=FAILURES)

    def check(self, username: str) -> None:
        """Let a login be tried.

        Raises:
            HTTPException: 429, in the words of Django REST framework, with the seconds to wait in Retry-After.
        """
        now, digest = self._clock.now(), _digest(username)
        while self._failures and now - self._failures[0][0] >= WINDOW:
            self._failures.popleft()
        own = [failure for failure in self._failures if failure[1] == digest]
        ends = [*_end(own, FAILURES_PER_NAME), *_end(self._failures, FAILURES)]
        if ends:
            wait_s = math.ceil((max(ends) - now).total_seconds())
            detail = f"Request was throttled. Expected available in {wait_s} seconds."
            raise HTTPException(429, detail, {"Retry-After": str(wait_s)})

    def failed(self, username: str) -> None:
        """Count a failure."""
        self._failures.append((self._clock.now(), _digest(username)))

    def succeeded(self, username: str) -> None:
        """Forget the name's failures."""
        digest = _digest(username)
        self._failures = deque((each for each in self._failures if each[1] != digest), maxlen=FAILURES)


def _end(failures: Iterable[tuple[datetime, bytes]], limit: int) -> list[datetime]:
    """When there will be fewer than `limit` of them; empty: there are."""
    times = [at for at, _ in failures]
    return [times[-limit] + WINDOW] if len(times) >= limit else []


def _digest(username: str) -> bytes:
    # Of one size, however long a name is sent; and who mistakes the fields leaves no password in memory.
    return sha256(username.encode("utf-8", "surrogatepass")).digest()
