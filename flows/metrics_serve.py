"""Metrics at an address that Prometheus asks: read from the stores as they are then, whoever did the work."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from flows.textfile import read_figures
from pipelines.check import read_community
from pipelines.clock import Clock
from pipelines.community import Community
from pipelines.errors import SlotfeedError
from pipelines.metrics.exposition import metrics
from pipelines.metrics.sample import Sample, sample
from pipelines.settings import Secrets
from pipelines.store import Store
from pipelines.store.own import open_own_store

log = logging.getLogger("slotfeed")

FRESH_S = 30.0
"""How long figures are told again before the stores are read anew: two servers that ask don't double the work. Ours."""


@dataclass
class Place:
    """One community: its file, read again when it changes, and its store, open while it works."""

    file: Path
    community: Community | None = None
    _store: Store | None = None
    _written: int = 0

    @property
    def name(self) -> str:
        """The community's, or its file's as long as that couldn't be read."""
        return self.file.stem if self.community is None else self.community.community.name

    def figures(self, clock: Clock) -> list[Sample]:
        """What is known now; where it can't be read, only that."""
        try:
            community, store = self._opened()
            return read_figures(store, community, self.file.resolve().parent, now=clock.now())
        except (SlotfeedError, OSError) as error:
            log.warning("No metrics of %s: %s", self.file, error)
            self.close()
            return [sample("up", 0)]

    def close(self) -> None:
        """Give the store back; the next figures open it anew."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _opened(self) -> tuple[Community, Store]:
        written = self.file.stat().st_mtime_ns
        if self.community is None or written != self._written:
            self.close()
            self.community, self._written = read_community(self.file), written
        if self._store is None:
            folder = self.file.resolve().parent
            self._store = open_own_store(self.community, folder, Secrets(folder))
        return self.community, self._store


@dataclass(eq=False)
class Figures(Collector):
    """All communities' figures, as a registry of Prometheus' library asks for them."""

    places: Sequence[Place]
    clock: Clock
    fresh_s: float = FRESH_S
    _read: dict[str, list[Sample]] = field(default_factory=dict)
    _read_at: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def describe(self) -> Iterator[Metric]:
        """Nothing ahead: a registry asks when it takes it, and the stores are read when somebody wants to know."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Each metric with its series."""
        return metrics(self.read())

    def read(self) -> dict[str, list[Sample]]:
        """Community -> its figures; one that can't be read doesn't hold up the others."""
        with self._lock:
            if time.monotonic() - self._read_at >= self.fresh_s:
                found = [(place, place.figures(self.clock)) for place in self.places]
                names = Counter(place.name for place, _ in found)
                # Two series of the same labels would spoil the whole answer.
                self._read = {
                    place.name if names[place.name] == 1 else f"{place.name} ({place.file})": figures
                    for place, figures in found
                }
                self._read_at = time.monotonic()
            return self._read

    def close(self) -> None:
        """Give all stores back."""
        for place in self.places:
            place.close()


@contextmanager
def serving(figures: Figures, *, host: str, port: int) -> Iterator[int]:
    """Answer at this address while the block lasts; the port, which is a free one where 0 is asked for.

    Raises:
        OSError: the address can't be had.
    """
    registry = CollectorRegistry()
    registry.register(figures)
    server, thread = start_http_server(port, addr=host, registry=registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        figures.close()
