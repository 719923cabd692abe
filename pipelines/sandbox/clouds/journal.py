"""What reached the vendor clouds and what they answered, in order of arrival."""

from collections import Counter, deque
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import count

from pipelines.sandbox.controls import KEPT


@dataclass(slots=True)
class CloudEntry:
    """One request. Neither query nor headers nor body are kept: any of them may hold a secret."""

    seq: int
    at: str
    """Arrival by the sandbox's clock, ISO 8601."""

    vendor: str
    """Name of the emulator's module; empty for a path of none."""

    method: str
    """HTTP method; WEBSOCKET for a connection, and for what is asked over one whatever the emulator calls it."""

    path: str
    """Without query."""

    template: str
    """The path below the vendor's prefix, its parameters' names in place of their values: what is counted by."""

    status: int | None = None
    """HTTP status; None where the connection was closed without an answer, and on a websocket."""

    fault: str | None = None


class CloudJournal:
    """Keeps the newest entries."""

    def __init__(self) -> None:
        self._entries: deque[CloudEntry] = deque(maxlen=KEPT)
        self._numbers = count(1)

    def open_entry(
        self, *, at: datetime, vendor: str, method: str, path: str, template: str | None = None
    ) -> CloudEntry:
        """A new entry for a request that has just arrived; the caller fills in how it ended.

        Emulators use it for what is asked inside a websocket; HTTP requests are entered by the gate.
        """
        entry = CloudEntry(next(self._numbers), at.isoformat(), vendor, method, path, template or path)
        self._entries.append(entry)
        return entry

    def entries(self, vendor: str | None = None) -> list[dict[str, object]]:
        """All that is kept, oldest first; of one vendor where it is named."""
        return [asdict(entry) for entry in self._entries if vendor in {None, entry.vendor}]

    def counts(self) -> dict[str, dict[str, int]]:
        """Vendor -> `METHOD template` -> number of requests."""
        counted = Counter((entry.vendor, f"{entry.method} {entry.template}") for entry in self._entries)
        found: dict[str, dict[str, int]] = {}
        for (vendor, request), number in sorted(counted.items()):
            found.setdefault(vendor, {})[request] = number
        return found

    def clear(self) -> None:
        """Forget every entry; numbers go on."""
        self._entries.clear()
