"""What reached the sandbox's exchange and what it answered, in order of arrival."""

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import count

from pipelines.sandbox.controls import KEPT

_OPEN_KEYS = frozenset({"energy_Wh", "energy_forecast", "energy_measurement", "transaction_id"})
HIDDEN = "…"


@dataclass(slots=True)
class Entry:
    """One request. What isn't known (yet) is None."""

    seq: int
    at: str
    """Arrival by the sandbox's clock, ISO 8601."""

    method: str
    path: str
    asset: str | None
    body: dict[str, object] | None
    status: int | None = None
    """HTTP status; None where the connection was closed without an answer."""

    answer: str | None = None
    """`ready` or `error`, for a command."""

    fault: str | None = None


class Journal:
    """Keeps the newest entries."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._numbers = count(1)

    def open_entry(self, *, at: datetime, method: str, path: str, asset: str | None, body: object) -> Entry:
        """A new entry for a request that has just arrived; the caller fills in how it ended.

        Args:
            at: aware instant.
            method: HTTP method.
            path: without query.
            asset: uuid the path names.
            body: parsed JSON. Only the keys of live data are shown with their values, so neither a
                password nor a token can get in, wherever a client puts it.
        """
        entry = Entry(next(self._numbers), at.isoformat(), method, path, asset, _shown(body))
        self._entries.append(entry)
        return entry

    def entries(self) -> list[dict[str, object]]:
        """All that is kept, oldest first."""
        return [asdict(entry) for entry in self._entries]


def _shown(body: object) -> dict[str, object] | None:
    if not isinstance(body, Mapping):
        return None
    return {str(key): _flat(value) if key in _OPEN_KEYS else HIDDEN for key, value in body.items()}


def _flat(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(slot): energy if _plain(energy) else HIDDEN for slot, energy in value.items()}
    return value if _plain(value) else HIDDEN


def _plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)
