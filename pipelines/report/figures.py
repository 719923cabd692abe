"""The numbers of a status, ready for people (the page) and programs (JSON)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SlotKey:
    """One slot of one asset, and how it stands."""

    asset_id: str
    asset: str
    slot_start: datetime
    quantity: str
    state: str
    """Of the newest submission, or "not planned"."""


@dataclass(frozen=True, kw_only=True)
class Keys:
    """How many there are, and the first of them."""

    count: int
    first: tuple[SlotKey, ...]


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """The latest run of a command."""

    outcome: str
    logical_time: datetime


@dataclass(frozen=True, kw_only=True)
class AssetStatus:
    """One live asset in the period."""

    name: str
    uuid: str
    type: str
    live_since: datetime
    slots: int
    """Slots of the period since the asset is live."""

    slots_over: int
    """Those among them that have ended."""

    sent_wh: float
    """Forecasts that the exchange has taken."""

    confirmed: int
    """Slots whose forecast was read back as sent."""

    open_discrepancies: int
    last_accepted_slot: datetime | None
    last_measured_slot: datetime | None
    coverage: float
    """Mean share, of its slots that are over, that readings back, 0..1; a slot without a value counts as 0."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """The whole community in the period. Energies in Wh, instants in UTC."""

    community: str
    start: datetime | None
    end: datetime | None
    """Period [start, end); both None while no asset is live."""

    assets: int
    """Live ones."""

    slots: int
    """Slots of all live assets together."""

    slots_over: int
    """Those among them that have ended, so that their result can be known."""

    submissions: Mapping[str, Mapping[str, int]]
    """quantity -> state -> rows: of each slot the newest version; superseded rows in their own number."""

    energy_sent_wh: float
    energy_confirmed_wh: float
    open_discrepancies: int
    discrepancies: Mapping[str, int]
    """diagnosis -> open rows."""

    closed_discrepancies: Mapping[str, int]
    """diagnosis -> closed rows."""

    lost_discrepancies: int
    """Rows that were given up: what the market counted there stays."""

    lost_wh: float
    """By how much it counted wrongly there."""

    quarantined: int
    quarantined_by_expectation: Mapping[str, int]
    """expectation -> rows; a row that broke two counts for both."""

    suspect: int
    """Register readings that break their series; later readings decide about them."""

    not_final: Keys
    accounted: bool
    """Every slot that is over is confirmed, delivered as a measurement, or explained by a diagnosis."""

    unaccounted: Keys
    last_run: Mapping[str, LastRun]
    """By command."""

    per_asset: tuple[AssetStatus, ...]
    """In the order of the community file."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON: instants become ISO 8601 texts ending in Z."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def _plain(value: Any) -> Any:  # noqa: ANN401 - any part of a JSON document
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case dict():
            return {name: _plain(part) for name, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
        case _:
            return value
