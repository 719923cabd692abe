"""What counted at the market cycles, kept in the ledger for 90 days: who posted which energy, and what was used."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, delete, func, select

from pipelines.sandbox.exchange.engine.twin import LIVE_TYPES, Asset, Twin
from pipelines.sandbox.exchange.ledger import Ledger, put
from pipelines.sandbox.exchange.tables import APPLIED, PROFILE, REPEATED, RUN, SWITCHED
from pipelines.sandbox.profile_reader import UploadedProfile
from pipelines.slots import slots_between

KEPT = timedelta(days=90)
"""How long results are kept (GSy's page on connecting a Canary Test Network)."""

_STATES: tuple[Table, ...] = (REPEATED, SWITCHED, PROFILE)
"""Tables whose rows hold from their slot on until the asset's next one."""


class Posted(NamedTuple):
    """An energy and who sent it."""

    energy_kwh: float
    by: str
    """User name."""

    at: datetime
    """When it was posted, aware."""


Line = tuple[str, datetime, Posted]
"""uuid of the asset, start of the slot, what was posted."""


class History:
    """Writes at the market cycle, answers at any time."""

    def __init__(self, ledger: Ledger, twin: Twin, slot: datetime) -> None:
        """Go on in `slot`, the start of the one that runs. What lies between it and the last run was nobody's."""
        self._ledger = ledger
        self._length = twin.settings.slot_length
        self._pruned: datetime | None = None
        with ledger.writing() as connection:
            self._since_s = self._go_on(connection, _seconds(slot))

    def keep(
        self, until: datetime, *, forecasts: Sequence[Line], measurements: Sequence[Line], repeated: Sequence[Line]
    ) -> None:
        """Write down what counts, up to the slot that begins at `until`: all of it or nothing."""
        on_grid = timedelta(0)
        quantities = (("forecast", forecasts), ("measurement", measurements))
        applied = [
            {"asset": asset, "quantity": quantity, "slot_s": _seconds(slot), **_row(posted)}
            for quantity, lines in quantities
            for asset, slot, posted in lines
            if (slot - datetime(1970, 1, 1, tzinfo=UTC)) % self._length == on_grid
        ]
        driving = [{"asset": asset, "from_slot_s": _seconds(slot), **_row(posted)} for asset, slot, posted in repeated]
        with self._ledger.writing() as connection:
            for table, rows in ((APPLIED, applied), (REPEATED, driving)):
                if rows:
                    put(connection, table, rows)
            put(connection, RUN, [{"from_slot_s": self._since_s, "to_slot_s": _seconds(until)}])
            # Once a day is enough for what is kept 90 of them.
            if self._pruned is None or until - self._pruned >= timedelta(days=1):
                _prune(connection, _seconds(until - KEPT))
                self._pruned = until

    def switch(self, asset: Asset, *, live: bool, begins: datetime) -> None:
        """Note how the live switch stands from `begins` on."""
        with self._ledger.writing() as connection:
            known = select(func.count()).select_from(SWITCHED).where(SWITCHED.c.asset == asset.uuid)
            rows = [{"asset": asset.uuid, "from_slot_s": _seconds(begins), "live": live}]
            if not connection.execute(known).scalar_one():
                rows.insert(0, {"asset": asset.uuid, "from_slot_s": 0, "live": asset.live})
            put(connection, SWITCHED, rows)
        asset.live = live

    def upload(self, asset: Asset, text: str, unit: str, *, begins: datetime, posted: Posted) -> None:
        """Keep a profile that drives the asset from `begins` on while its live switch is off.

        Raises:
            ValueError: it can't be read as one.
        """
        _read(text, unit, self._length)
        row = {"asset": asset.uuid, "from_slot_s": _seconds(begins), "text": text, "unit": unit}
        self._ledger.put(PROFILE, [row | {"username": posted.by, "uploaded_s": posted.at.timestamp()}])

    def has_profile(self, asset: str) -> bool:
        """Whether it was ever given one."""
        with self._ledger.reading() as connection:
            return connection.execute(select(PROFILE.c.asset).where(PROFILE.c.asset == asset)).first() is not None

    def applied(self, asset: str, quantity: str, start: datetime, end: datetime) -> dict[datetime, Posted]:
        """What counted, by slot."""
        row = APPLIED.c
        asked = select(row.slot_s, row.energy_kwh, row.username, row.posted_s).where(
            row.asset == asset, row.quantity == quantity, row.slot_s >= _seconds(start), row.slot_s < _seconds(end)
        )
        with self._ledger.reading() as connection:
            found = connection.execute(asked.order_by(row.slot_s)).tuples().all()
        return {_instant(slot_s): Posted(energy, by, _instant(at_s)) for slot_s, energy, by, at_s in found}

    def used(self, asset: Asset, first: datetime, end: datetime) -> dict[datetime, float]:
        """What the exchange used, in kWh, of the slots in [first, end), as far as they are kept."""
        with self._ledger.reading() as connection:
            runs = [(row.from_slot_s, row.to_slot_s) for row in connection.execute(select(RUN).order_by(RUN.c[0]))]
            repeated = _Steps(connection, REPEATED, "energy_kwh", asset.uuid)
            switched = _Steps(connection, SWITCHED, "live", asset.uuid)
            profiles = _Steps(connection, PROFILE, "text", asset.uuid)
            units = _Steps(connection, PROFILE, "unit", asset.uuid)
        first = max(first, _instant(runs[0][0]), _instant(runs[-1][1]) - KEPT)
        forecasts = {
            _seconds(slot): posted.energy_kwh
            for slot, posted in self.applied(asset.uuid, "forecast", first, end).items()
        }

        def in_slot(slot: datetime) -> float:
            at_s = _seconds(slot)
            if not any(since <= at_s <= until for since, until in runs):
                return 0.0
            if asset.type in LIVE_TYPES and switched.at(at_s, asset.live):
                own = forecasts.get(at_s)
                return own if own is not None else repeated.at(at_s, 0.0)
            text = profiles.at(at_s, None)
            return 0.0 if text is None else _read(text, units.at(at_s, ""), self._length).value_kwh(slot)

        return {slot: in_slot(slot) for slot in slots_between(first, end, self._length)}

    def _go_on(self, connection: Connection, slot_s: int) -> int:
        last = connection.execute(select(RUN).order_by(RUN.c.from_slot_s.desc()).limit(1)).one_or_none()
        if last is not None and last.from_slot_s <= slot_s <= last.to_slot_s + self._length.total_seconds():
            since_s: int = last.from_slot_s
            slot_s = max(slot_s, last.to_slot_s)
        else:
            since_s = slot_s
        put(connection, RUN, [{"from_slot_s": since_s, "to_slot_s": slot_s}])
        return since_s


class _Steps:
    """One column of an asset's rows, each of which holds from its slot on."""

    def __init__(self, connection: Connection, table: Table, column: str, asset: str) -> None:
        asked = select(table.c.from_slot_s, table.c[column]).where(table.c.asset == asset)
        rows = connection.execute(asked.order_by(table.c.from_slot_s)).tuples().all()
        self._from = [row[0] for row in rows]
        self._values = [row[1] for row in rows]

    def at(self, slot_s: int, otherwise: Any) -> Any:  # noqa: ANN401 - a column of any type
        place = bisect_right(self._from, slot_s)
        return self._values[place - 1] if place else otherwise


@lru_cache(maxsize=64)
def _read(text: str, unit: str, length: timedelta) -> UploadedProfile:
    return UploadedProfile(text, unit=unit, slot_length=length)


def _prune(connection: Connection, before_s: int) -> None:
    connection.execute(delete(APPLIED).where(APPLIED.c.slot_s < before_s))
    connection.execute(delete(RUN).where(RUN.c.to_slot_s < before_s))
    for table in _STATES:
        row, later = table.c, table.alias()
        # The last row before the limit still holds beyond it.
        followed = select(later.c.asset).where(
            later.c.asset == row.asset, later.c.from_slot_s > row.from_slot_s, later.c.from_slot_s <= before_s
        )
        connection.execute(delete(table).where(row.from_slot_s < before_s, followed.exists()))


def _row(posted: Posted) -> dict[str, object]:
    return {"energy_kwh": posted.energy_kwh, "username": posted.by, "posted_s": posted.at.timestamp()}


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
