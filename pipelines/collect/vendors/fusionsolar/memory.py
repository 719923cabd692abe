"""What is kept of a FusionSolar account between runs, in a small file of its own."""

from dataclasses import dataclass, field
from pathlib import Path

import orjson


@dataclass(kw_only=True)
class Memory:
    """What is kept of an account between runs: the list of devices may be asked for 24 times a day only."""

    owner: str = ""
    """Whose account it is: the list of another is of no use."""

    listed_at_s: float = 0.0
    devices: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Device -> devTypeId, name."""

    history_at_s: dict[str, float] = field(default_factory=dict)
    """Device -> when a live run last asked for its history."""

    @classmethod
    def parse(cls, body: bytes) -> "Memory":
        """Of a file; an empty one where it can't be read, for all of it can be asked for again."""
        try:
            kept = orjson.loads(body)
            return cls(
                owner=str(kept["owner"]),
                listed_at_s=float(kept["listed_at_s"]),
                devices={str(key): (int(kind), str(name)) for key, (kind, name) in kept["devices"].items()},
                history_at_s={str(key): float(at_s) for key, at_s in kept["history_at_s"].items()},
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()

    @classmethod
    def read(cls, file: Path, owner: str) -> "Memory":
        """Of this owner's account."""
        kept = cls.parse(file.read_bytes()) if file.exists() else cls()
        return kept if kept.owner == owner else cls(owner=owner)

    def keep(self, file: Path) -> None:
        """Write it, whole or not at all.

        Raises:
            OSError: it can't be written.
        """
        fresh = file.with_suffix(".new")
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.write_bytes(orjson.dumps(self))
        fresh.replace(file)
