"""What the web page tells of assets: energies of a day, what each came from, and who posted last.

Asked for a page of assets at once: a handful of queries however many they are, where `History` asks asset by asset.
"""

import asyncio
import json
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Row, Select, Table, TableValuedAlias, and_, distinct, func, select

from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.engine.twin import LIVE_TYPES, Asset
from pipelines.sandbox.exchange.tables import APPLIED, PROFILE, REPEATED, RUN, SWITCHED
from pipelines.sandbox.profile_reader import UploadedProfile
from pipelines.slots import slots_between

DAY = timedelta(days=1)
_DAY_S = 86_400

PROFILES_REMEMBERED = 2000
"""Uploaded profiles whose values are kept at hand, for a year's text takes half a second to read; ours."""

_Step = Row[Any]
_DayOfProfile = Mapping[int, float]
"""Second of the day -> kWh: of a profile only the time of day counts (see `profile_reader`)."""


class Source(StrEnum):
    """What the energy of a slot came from."""

    FORECAST = "forecast"
    REPEATED = "repeated"
    """A value that was posted without slot time."""

    PROFILE = "profile"
    """The uploaded one."""

    NOTHING = "nothing"
    DOWN = "not running"
    """The exchange was down, or not there yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A slot of an asset."""

    slot: datetime
    energy_kwh: float
    source: Source
    by: str | None = None
    """User name of who posted or uploaded it."""

    at: datetime | None = None


class Measured(NamedTuple):
    """A measured energy, which the exchange takes and shows nowhere."""

    energy_kwh: float
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Of an asset's posts those that counted."""

    by: str | None
    at: datetime | None
    """The last one; None: none is kept."""

    posts: int
    """In the last day, for slots of the last day or later. Posts of one instant count as one, those that were
    overwritten in the slot in which they came count as none."""


def last_day(ctn: Ctn) -> tuple[datetime, datetime]:
    """First slot and end of the day that ends with the slot that runs."""
    end = ctn.market.slot + ctn.market.slot_length
    return end - DAY, end


def measured(ctn: Ctn, asset: str, start: datetime, end: datetime) -> dict[datetime, Measured]:
    """Measured energies that counted for the slots of [start, end)."""
    found = ctn.market.posted(asset, start, end, quantity="measurement")
    return {slot: Measured(*posted) for slot, posted in found.items()}


def activity(ctn: Ctn, uuids: Sequence[str]) -> dict[str, Activity]:
    """Who posted last, and how much, by uuid."""
    now = ctn.clock.now()
    since_s = int((now - DAY).timestamp())
    with ctn.ledger.reading() as connection:
        newest: dict[str, tuple[float, str]] = {}
        posts = dict.fromkeys(uuids, 0)
        for table, slot, quantities in (
            (APPLIED, APPLIED.c.slot_s, ("forecast", "measurement")),
            (REPEATED, REPEATED.c.from_slot_s, (None,)),
        ):
            for quantity in quantities:
                for row in connection.execute(_recent(table, slot, quantity, uuids, since_s)):
                    posts[row.asset] += row.posts
                    newest[row.asset] = max(newest.get(row.asset, (0.0, "")), (row.posted_s, row.username))
                for row in connection.execute(_newest(table, slot, quantity, uuids)):
                    newest[row.asset] = max(newest.get(row.asset, (0.0, "")), (row.posted_s, row.username))
    told = {uuid: (_instant(at_s), by) for uuid, (at_s, by) in newest.items()}
    return {
        uuid: Activity(by=told[uuid][1], at=told[uuid][0], posts=posts[uuid])
        if uuid in told
        else Activity(by=None, at=None, posts=0)
        for uuid in uuids
    }


def with_profile(ctn: Ctn, uuids: Sequence[str]) -> set[str]:
    """Those that a profile was uploaded for."""
    asked = _each(uuids)
    with ctn.ledger.reading() as connection:
        query = select(distinct(PROFILE.c.asset)).select_from(asked.join(PROFILE, PROFILE.c.asset == asked.c.value))
        return set(connection.execute(query).scalars())


class Days:
    """Answers what was used; keeps profiles that it has read at hand."""

    def __init__(self, ctn: Ctn) -> None:
        self._ctn = ctn
        self._read: OrderedDict[tuple[object, ...], _DayOfProfile] = OrderedDict()

    async def used(self, assets: Sequence[Asset], start: datetime, end: datetime) -> dict[str, list[Used]]:
        """What the exchange used in every slot of [start, end), by uuid. The same numbers as `Market.profile` gives.

        Args:
            assets: of which.
            start: first slot, on the slots' grid.
            end: no later than the end of the slot that runs.
        """
        with self._ctn.ledger.reading() as connection:
            held = _Held(connection, [asset.uuid for asset in assets], start, end)
        slots = list(slots_between(start, end, self._ctn.market.slot_length))
        found = {}
        for asset in assets:
            days = {_key(profile): await self._day_of(profile) for profile in held.driving(asset, slots)}
            found[asset.uuid] = [held.used(asset, slot, days) for slot in slots]
        return found

    async def _day_of(self, profile: _Step) -> _DayOfProfile:
        key = _key(profile)
        if key not in self._read:
            row = PROFILE.c
            asked = select(row.text).where(row.asset == profile.asset, row.from_slot_s == profile.from_slot_s)
            with self._ctn.ledger.reading() as connection:
                text = connection.execute(asked).scalar_one()
            # Aside, for a long one takes long.
            self._read[key] = await asyncio.to_thread(_day, text, profile.unit, self._ctn.market.slot_length)
            if len(self._read) > PROFILES_REMEMBERED:
                self._read.popitem(last=False)
        return self._read[key]


class _Held:
    """What the ledger holds of some assets' slots in [start, end)."""

    def __init__(self, connection: Connection, uuids: Sequence[str], start: datetime, end: datetime) -> None:
        first_s, end_s = int(start.timestamp()), int(end.timestamp())
        row = APPLIED.c
        asked = _each(uuids)
        matching = and_(
            row.asset == asked.c.value, row.quantity == "forecast", row.slot_s >= first_s, row.slot_s < end_s
        )
        self._forecasts = {
            (found.asset, found.slot_s): found
            for found in connection.execute(select(APPLIED).select_from(asked.join(APPLIED, matching)))
        }
        self._runs = [(r.from_slot_s, r.to_slot_s) for r in connection.execute(select(RUN).order_by(RUN.c.from_slot_s))]
        self._repeated = _steps(connection, REPEATED, uuids, first_s, end_s)
        self._switched = _steps(connection, SWITCHED, uuids, first_s, end_s)
        self.profiles = _steps(connection, PROFILE, uuids, first_s, end_s, leave_out="text")

    def driving(self, asset: Asset, slots: Sequence[datetime]) -> list[_Step]:
        """Uploaded profiles that the exchange used in any of these slots."""
        found: dict[int, _Step] = {}
        for slot in slots if asset.uuid in self.profiles else ():
            at_s = int(slot.timestamp())
            if not self._lives(asset, at_s) and (profile := _at(self.profiles, asset.uuid, at_s)) is not None:
                found[profile.from_slot_s] = profile
        return list(found.values())

    def used(self, asset: Asset, slot: datetime, days: Mapping[tuple[object, ...], _DayOfProfile]) -> Used:
        """What drove the asset; `days` holds those of `driving`."""
        at_s = int(slot.timestamp())
        if not any(since <= at_s <= until for since, until in self._runs):
            return Used(slot=slot, energy_kwh=0.0, source=Source.DOWN)
        if self._lives(asset, at_s):
            if (own := self._forecasts.get((asset.uuid, at_s))) is not None:
                return _used(slot, own.energy_kwh, Source.FORECAST, own.username, own.posted_s)
            if (repeated := _at(self._repeated, asset.uuid, at_s)) is not None:
                return _used(slot, repeated.energy_kwh, Source.REPEATED, repeated.username, repeated.posted_s)
        elif (profile := _at(self.profiles, asset.uuid, at_s)) is not None:
            energy_kwh = days[_key(profile)][at_s % _DAY_S]
            return _used(slot, energy_kwh, Source.PROFILE, profile.username, profile.uploaded_s)
        return Used(slot=slot, energy_kwh=0.0, source=Source.NOTHING)

    def _lives(self, asset: Asset, at_s: int) -> bool:
        switch = _at(self._switched, asset.uuid, at_s)
        return asset.type in LIVE_TYPES and bool(asset.live if switch is None else switch.live)


def _steps(
    connection: Connection, table: Table, uuids: Sequence[str], first_s: int, end_s: int, *, leave_out: str = ""
) -> dict[str, tuple[list[int], list[_Step]]]:
    """By asset, the rows that hold from a slot on, of those that hold anywhere in [first_s, end_s)."""
    asked, row, earlier = _each(uuids), table.c, table.alias()
    began = (
        select(func.max(earlier.c.from_slot_s))
        .where(earlier.c.asset == asked.c.value, earlier.c.from_slot_s <= first_s)
        .scalar_subquery()
    )
    matching = and_(
        row.asset == asked.c.value, row.from_slot_s < end_s, row.from_slot_s >= func.coalesce(began, first_s)
    )
    columns = [column for column in row if column.name != leave_out]
    found: dict[str, tuple[list[int], list[_Step]]] = {}
    query = select(*columns).select_from(asked.join(table, matching)).order_by(row.asset, row.from_slot_s)
    for step in connection.execute(query):
        since, steps = found.setdefault(step.asset, ([], []))
        since.append(step.from_slot_s)
        steps.append(step)
    return found


def _at(steps: Mapping[str, tuple[list[int], list[_Step]]], uuid: str, at_s: int) -> _Step | None:
    since, rows = steps.get(uuid, ([], []))
    place = bisect_right(since, at_s)
    return rows[place - 1] if place else None


def _recent(table: Table, slot: Column[int], quantity: str | None, uuids: Sequence[str], since_s: int) -> Select[Any]:
    """Posts of a day by asset, and when the last one came."""
    row, asked = table.c, _each(uuids)
    matching = [row.asset == asked.c.value, slot >= since_s, row.posted_s >= since_s]
    if quantity is not None:
        matching.append(row.quantity == quantity)
    # With max() alone, SQLite takes the other columns from the row that holds it.
    columns = (
        row.asset,
        func.count(distinct(row.posted_s)).label("posts"),
        func.max(row.posted_s).label("posted_s"),
        row.username,
    )
    return select(*columns).select_from(asked.join(table, and_(*matching))).group_by(row.asset)


def _newest(table: Table, slot: Column[int], quantity: str | None, uuids: Sequence[str]) -> Select[Any]:
    """Who posted for the newest slot, by asset, however long ago."""
    row, asked, latest = table.c, _each(uuids), table.alias()
    newest = select(func.max(latest.c[slot.name])).where(latest.c.asset == asked.c.value)
    matching = [row.asset == asked.c.value]
    if quantity is not None:
        newest = newest.where(latest.c.quantity == quantity)
        matching.append(row.quantity == quantity)
    found = asked.join(table, and_(*matching, slot == newest.scalar_subquery()))
    return select(row.asset, row.posted_s, row.username).select_from(found)


def _each(uuids: Sequence[str]) -> TableValuedAlias:
    """The uuids as a table, which SQLite walks through, looking each up in an index."""
    return func.json_each(json.dumps(list(uuids))).table_valued("value", name="asked")


def _key(profile: _Step) -> tuple[object, ...]:
    return profile.asset, profile.from_slot_s, profile.uploaded_s


def _day(text: str, unit: str, slot_length: timedelta) -> _DayOfProfile:
    profile = UploadedProfile(text, unit=unit, slot_length=slot_length)
    midnight = datetime(1970, 1, 1, tzinfo=UTC)
    return {
        int(slot.timestamp()): profile.value_kwh(slot) for slot in slots_between(midnight, midnight + DAY, slot_length)
    }


def _used(slot: datetime, energy_kwh: float, source: Source, by: str, at_s: float) -> Used:
    return Used(slot=slot, energy_kwh=energy_kwh, source=source, by=by, at=_instant(at_s))


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
