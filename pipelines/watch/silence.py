"""Meters and sources that no longer tell anything."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from pipelines.community import Asset, AssetType, Community, Stream
from pipelines.daylight import Place, light_hours, place_of
from pipelines.store import AccountRow, AssetRow, Cursor, table_of
from pipelines.watch.alarms import Alarm, Kind

LIGHT_LOOKED_AT = timedelta(days=3)
"""A PV plant is silent after this, however short the days are (ours)."""


def silent(connection: Connection, community: Community, *, now: datetime, after: timedelta) -> Iterator[Alarm]:
    """An alarm for each source of which nothing is heard, and for each asset that is silent by itself.

    A stream is silent when its newest reading is older than `after`. Of a PV plant only hours of daylight count: many
    inverters sleep at night. Of an account that is asked seldom, because a month's requests are few, the time until it
    was asked last counts.

    Args:
        connection: to read.
        community: its live assets.
        now: the run's time.
        after: how long a stream may say nothing.
    """
    heard = _heard(connection, community)
    asked = _asked(connection, now)
    place = place_of(community.community.latitude, community.community.longitude, community.community.time_zone)
    silent_by: dict[str, list[tuple[Asset, Stream, datetime]]] = {}
    speaking: set[str] = set()
    for asset in community.assets:
        for stream in asset.streams:
            last = heard.get((asset.asset_id, stream.stream_id))
            if last is None:
                continue
            until = asked.get(stream.source, now)
            if _is_silent(asset, last, until, after=after, place=place):
                silent_by.setdefault(stream.source, []).append((asset, stream, last))
            else:
                speaking.add(stream.source)
    told: set[str] = set()
    for source, streams in silent_by.items():
        if source not in speaking:
            newest = max(last for _, _, last in streams)
            words = f"nothing new from any of its {len(streams):,} streams since {newest:%Y-%m-%d %H:%M} UTC"
            yield Alarm(kind=Kind.SOURCE_SILENT, subject=f"source '{source}'", told=words)
            continue
        for asset, stream, last in streams:
            if asset.asset_id not in told:
                told.add(asset.asset_id)
                words = f"nothing new from {stream.stream_id} since {last:%Y-%m-%d %H:%M} UTC"
                yield Alarm(kind=Kind.ASSET_SILENT, subject=subject_of(asset), told=words)


def subject_of(asset: Asset) -> str:
    """An asset as an alarm names it: names aren't unique at the exchange."""
    return f"asset '{asset.name}' ({asset.asset_id})"


def _heard(connection: Connection, community: Community) -> Mapping[tuple[str, str], datetime]:
    """(asset, stream) -> the newest reading, or since when the asset is live; nothing of assets that aren't."""
    cursor, asset_row = table_of(Cursor), table_of(AssetRow)
    newest = {row.stream_id: row.position for row in connection.execute(select(cursor.c.stream_id, cursor.c.position))}
    since = {
        row.asset_id: row.live_since for row in connection.execute(select(asset_row.c.asset_id, asset_row.c.live_since))
    }
    return {
        (asset.asset_id, stream.stream_id): newest.get(stream.stream_id, since[asset.asset_id])
        for asset in community.assets
        if asset.live and asset.asset_id in since
        for stream in asset.streams
    }


def _asked(connection: Connection, now: datetime) -> Mapping[str, datetime]:
    """Source -> when it was asked last, of those that are to be asked later."""
    row = table_of(AccountRow)
    query = select(row.c.account, row.c.polled_at).where(row.c.next_poll_at > now, row.c.polled_at.is_not(None))
    return dict(connection.execute(query).tuples().all())


def _is_silent(asset: Asset, last: datetime, until: datetime, *, after: timedelta, place: Place | None) -> bool:
    if until - last <= after:
        return False
    if asset.type is not AssetType.PV or until - last > LIGHT_LOOKED_AT:
        return True
    return light_hours(place, last, until) > after / timedelta(hours=1)
