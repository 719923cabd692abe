"""The sandbox's own paths, and a clock on which waiting costs no time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Condition
from typing import Any
from unittest import mock

import httpx

from pipelines.collect.cloud.http import CloudHttp


@dataclass
class Sandbox:
    """Its clock and its journal."""

    url: str

    def __post_init__(self) -> None:
        self._client = httpx.Client(base_url=f"{self.url}/sandbox")

    def now(self) -> datetime:
        return datetime.fromisoformat(self._client.get("/clock").raise_for_status().json()["now"])

    def move(self, to: datetime) -> None:
        self._client.put("/clock", json={"now": to.isoformat()}).raise_for_status()

    def forget(self) -> None:
        self._client.delete("/requests").raise_for_status()

    def requests(self, vendor: str) -> int:
        """How many arrived since the last `forget`; on a websocket, the connection and each command."""
        counts = self._client.get("/requests/count").raise_for_status().json()
        return sum(counts.get(vendor, {}).values())


@dataclass
class Waits:
    """A clock that stands while anyone asks, and jumps to the next moment when all who ask are waiting.

    The sandbox's clock moves with it, so a request arrives there at the time at which it was counted here.
    """

    sandbox: Sandbox
    total: timedelta = timedelta()
    """By how much waiting has moved it."""

    _changed: Condition = field(default_factory=Condition)
    _sleepers: list[datetime] = field(default_factory=list)
    _asking: int = 0

    def __post_init__(self) -> None:
        self._now = self.sandbox.now()

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        with self._changed:
            until = self._now + timedelta(seconds=seconds)
            self._sleepers.append(until)
            self._jump()
            self._changed.wait_for(lambda: self._now >= until)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """For as long as the block lasts, who asks a vendor is known."""
        ask = CloudHttp._ask

        def watched(http: CloudHttp, *arguments: Any, **named: Any) -> Any:
            with self._changed:
                self._asking += 1
            try:
                return ask(http, *arguments, **named)
            finally:
                with self._changed:
                    self._asking -= 1
                    self._jump()

        with mock.patch.object(CloudHttp, "_ask", watched):
            yield

    def _jump(self) -> None:
        if self._sleepers and len(self._sleepers) >= self._asking:
            next_at = min(self._sleepers)
            self.sandbox.move(next_at)
            self.total += next_at - self._now
            self._now = next_at
            self._sleepers = [until for until in self._sleepers if until > next_at]
            self._changed.notify_all()
