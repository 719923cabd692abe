"""What reached the sandbox's exchange and what it answered, in order of arrival."""

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import count

from pipelines.sandbox.controls import KEPT

_OPEN_KEYS = frozenset({"energy_Wh", "energy_forecast", "energy_measurement", "transaction_id"})
_BATCH = "batch_commands"
_OPEN_TYPES = frozenset({"set_energy_forecast", "set_energy_measurement"})
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

    answers: dict[str, list[str]] | None = None
    """The same for a batch: asset -> one a command, in their order."""

    fault: str | None = None
    fault_meets: list[str] | None = None
    """Assets of a batch whose energies the fault changes or drops."""


class Journal:
    """Keeps the newest entries, as many as hold `KEPT` energies: one that holds none counts as one."""

    def __init__(self) -> None:
        self._entries: deque[tuple[Entry, int]] = deque()
        self._size = 0
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
        size = max(1, _energies(entry.body))
        self._entries.append((entry, size))
        self._size += size
        while self._size > KEPT and len(self._entries) > 1:
            self._size -= self._entries.popleft()[1]
        return entry

    def entries(self, *, after: int = 0) -> list[dict[str, object]]:
        """What is kept of those with a number above `after`, oldest first."""
        return [asdict(entry) for entry, _ in self._entries if entry.seq > after]


def _shown(body: object) -> dict[str, object] | None:
    if not isinstance(body, Mapping):
        return None
    return {str(key): _opened(key, value) for key, value in body.items()}


def _opened(key: object, value: object) -> object:
    if key == _BATCH and isinstance(value, Mapping):
        return {str(asset): _commands(commands) for asset, commands in value.items()}
    return _flat(value) if key in _OPEN_KEYS else HIDDEN


def _commands(commands: object) -> object:
    return [_command(one) for one in commands] if isinstance(commands, list) else HIDDEN


def _command(command: object) -> object:
    """Type and energies of one command of a batch."""
    if not isinstance(command, Mapping):
        return HIDDEN
    kind = command.get("type")
    shown = {str(key): _flat(value) if key in _OPEN_KEYS else HIDDEN for key, value in command.items()}
    return shown | ({"type": kind} if isinstance(kind, str) and kind in _OPEN_TYPES else {})


def _energies(shown: object) -> int:
    """How many energies an entry holds, at whatever depth."""
    if isinstance(shown, Mapping):
        return sum(map(_energies, shown.values()))
    if isinstance(shown, list):
        return sum(map(_energies, shown))
    return int(isinstance(shown, int | float))


def _flat(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(slot): energy if _plain(energy) else HIDDEN for slot, energy in value.items()}
    return value if _plain(value) else HIDDEN


def _plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)
