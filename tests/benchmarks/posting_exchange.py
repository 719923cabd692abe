"""A local exchange of so many loads, in a process of its own, and what it noted."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from pipelines.sandbox.exchange.process import exchange_process

USERNAME, PASSWORD = "bench", "hush-hush-4711"
SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
SLOT = timedelta(minutes=15)
CLOCK_START = datetime(2026, 3, 2, 12, 5, tzinfo=UTC)
"""Five minutes into a slot: the next one's values may leave in every protocol."""

POSTED = "/external-connection/"
LOGIN = "/api-token-auth/"
EVERY_READ = 200
"""Assets whose energy is read back, evenly spread; all of them where there are no more."""


@dataclass
class Exchange:
    """Its clock, its faults and its journal."""

    url: str
    assets: Sequence[str]
    """Uuids."""

    _seen: int = 0
    _http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self._http = httpx.Client(base_url=self.url, timeout=60)
        self._reader = self.token()

    def next_slot(self) -> datetime:
        now = datetime.fromisoformat(self._http.get("/sandbox/clock").raise_for_status().json()["now"])
        return now.replace(minute=0, second=0, microsecond=0) + (now.minute // 15 + 1) * SLOT

    def delay(self, seconds: float) -> None:
        """Answer every post and read so much later; the login isn't delayed."""
        rules = [{"do": "delay", "seconds": seconds, "path": POSTED}] if seconds else []
        self._http.put("/sandbox/faults", json=rules).raise_for_status()

    def begin(self, slot: datetime) -> None:
        """Move the clock into the slot: what was buffered for it counts now."""
        to = slot + timedelta(minutes=5)
        self._http.put("/sandbox/clock", json={"now": to.isoformat()}).raise_for_status()

    def noted(self) -> tuple[int, int]:
        """Requests that carried energy, and logins, since this was last asked."""
        entries = self._http.get("/sandbox/journal").raise_for_status().json()
        new = [one for one in entries if one["seq"] > self._seen and one["method"] == "POST"]
        self._seen = max((one["seq"] for one in entries), default=self._seen)
        posts = sum("energy" in one["path"] or "batch-commands" in one["path"] for one in new)
        return posts, sum(one["path"] == LOGIN for one in new)

    def aggregators(self) -> dict[str, str]:
        """Name -> uuid."""
        path = f"/external-connection/aggregator-api/{SIMULATION}/list-aggregators/"
        found = self._http.get(path, headers={"Authorization": f"JWT {self._reader}"}).raise_for_status().json()
        return {one["name"]: one["uuid"] for one in found}

    def token(self) -> str:
        """Log in."""
        credentials = {"username": USERNAME, "password": PASSWORD}
        token: str = self._http.post(LOGIN, json=credentials).raise_for_status().json()["access"]
        return token

    def check(self, slot: datetime, energy_wh: Sequence[float], *, first: int | None = None) -> int:
        """Whether the exchange used for the slot what was sent.

        Args:
            slot: it has begun.
            energy_wh: by asset, in order.
            first: so many assets only.

        Returns:
            How many were read.

        Raises:
            RuntimeError: one has another value.
        """
        count = len(self.assets) if first is None else first
        headers = {"Authorization": f"JWT {self._reader}"}
        indices = range(0, count, max(1, count // EVERY_READ))
        for index in indices:
            path = f"/historical-data/assets/{SIMULATION}/{self.assets[index]}/{_told(slot)}/{_told(slot + SLOT)}"
            found = self._http.get(path, headers=headers).raise_for_status().json()
            used_kwh = next(iter(found[_told(slot)].values()))
            if abs(used_kwh - energy_wh[index] / 1000) > 1e-8:  # it answers with eight decimals
                raise RuntimeError(f"asset {index}, slot {slot}: {used_kwh} kWh used, {energy_wh[index]} Wh sent")
        return len(indices)


@contextmanager
def open_exchange_of(count: int, folder: Path, *, tick_s: float | None = None) -> Iterator[Exchange]:
    """An exchange of so many loads, all live.

    Its clock stands until it is moved, and it answers at once; with `tick_s`, it lives by this machine's clock and
    answers at the next tick.
    """
    assets = [f"00000000-0000-4000-8000-{number:012d}" for number in range(count)]
    leaves = [{"name": f"Load {number}", "type": "Load", "uuid": uuid} for number, uuid in enumerate(assets)]
    config = {
        "username": USERNAME,
        "name": "Bench",
        "uuid": SIMULATION,
        "domain_name": "http://127.0.0.1",
        "web_socket_domain_name": "ws://127.0.0.1",
        "global_settings": {"slot_length": "15m"},
        "registry": {"name": "Grid", "type": "Area", "uuid": "grid", "children": leaves},
    }
    source = folder / f"registry_{count}.json"
    source.write_text(json.dumps(config))
    start = CLOCK_START if tick_s is None else None
    with exchange_process(source, username=USERNAME, password=PASSWORD, clock_start=start, tick_s=tick_s) as url:
        yield Exchange(url, assets)


def _told(slot: datetime) -> str:
    return f"{slot:%Y-%m-%dT%H:%M}"
