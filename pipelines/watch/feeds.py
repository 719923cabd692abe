"""Feeds that don't run, run twice, or run by different rules."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from pipelines.community import Community
from pipelines.slots import slot_floor
from pipelines.store import RunRow, table_of
from pipelines.watch.alarms import Alarm, Kind

MISSED = 2
"""Slots without a feed; ours. One may be late."""

DOUBLED = 4
"""Slots in a row with more than one feed of the same share; ours. One may be by hand, or after a worker's death."""

REST = "rest"
"""In the summary of a feed that `feed-rest` began, after another that failed, died, or left something: no doubling."""

LOGIN = "AuthenticationError"


def feeds(connection: Connection, community: Community, *, now: datetime) -> Iterator[Alarm]:
    """Alarms about the feeds of the last slots.

    One where a feed has not run for a while (where workers carry shares: for each share), where the last one was
    refused at the exchange's door, where several run in each slot, and where shares or releases don't fit together.
    """
    length = community.slot_length
    last = _last(connection)
    if last is None:
        return
    recent = _recent(connection, since=slot_floor(now, length) - DOUBLED * length, until=now)
    yield from _missing(connection, last, now=now, length=length)
    if last.outcome == "failed" and last.summary.get("error_type") == LOGIN:
        yield Alarm(kind=Kind.LOGIN_REFUSED, subject="", told=str(last.summary.get("error", "")))
    yield from _doubled(recent, now=now, length=length)
    yield from _mixed(recent, since=now - MISSED * length)


def _last(connection: Connection) -> Any:  # noqa: ANN401 - a row of the run log
    row = table_of(RunRow)
    query = select(row).where(row.c.command == "feed").order_by(row.c.started_at.desc()).limit(1)
    return connection.execute(query).first()


def _recent(connection: Connection, *, since: datetime, until: datetime) -> Sequence[Any]:
    row = table_of(RunRow)
    within = (row.c.logical_time >= since, row.c.logical_time <= until)
    wanted = (row.c.logical_time, row.c.share, row.c.release, row.c.summary)
    query = select(*wanted).where(row.c.command == "feed", *within)
    return connection.execute(query.order_by(row.c.started_at)).all()


def _missing(connection: Connection, last: Any, *, now: datetime, length: timedelta) -> Iterator[Alarm]:  # noqa: ANN401
    """Of each share of as many as the last feed's: none since two slots."""
    if now - last.logical_time > MISSED * length:
        words = f"the last was at {last.logical_time:%Y-%m-%d %H:%M} UTC"
        yield Alarm(kind=Kind.FEED_MISSING, subject="", told=words)
        return
    of = int(last.share.partition("/")[2])
    row = table_of(RunRow)
    since = now - MISSED * length
    ran = select(row.c.share, row.c.logical_time).where(row.c.command == "feed", row.c.share.like(f"%/{of}"))
    # The first feed of as many shares may be younger than two slots: the others have still time.
    begun = connection.execute(ran.where(row.c.logical_time <= since).limit(1)).first() is not None
    fresh = set(connection.execute(ran.where(row.c.logical_time > since)).scalars())
    for number in range(1, of + 1):
        share = f"{number}/{of}"
        if begun and share not in fresh:
            words = f"none has begun since {since:%Y-%m-%d %H:%M} UTC, while those of other shares have"
            yield Alarm(kind=Kind.FEED_MISSING, subject=f"share {share}", told=words)


def _doubled(recent: Sequence[Any], *, now: datetime, length: timedelta) -> Iterator[Alarm]:
    """More than one feed of a share in each of the last slots that are over."""
    newest = slot_floor(now, length)
    counts = Counter((one.share, slot_floor(one.logical_time, length)) for one in recent if REST not in one.summary)
    for share in sorted({one.share for one in recent}):
        found = [counts[share, newest - number * length] for number in range(1, DOUBLED + 1)]
        if min(found) > 1:
            of_share = "" if share == "1/1" else f"share {share}"
            words = f"{min(found)} or more in each of the last {DOUBLED} slots of {length / timedelta(minutes=1):g} min"
            yield Alarm(kind=Kind.FEED_DOUBLED, subject=of_share, told=words)


def _mixed(recent: Sequence[Any], *, since: datetime) -> Iterator[Alarm]:
    """Feeds that part the community in different ways, or of different releases, side by side."""
    fresh = [one for one in recent if one.logical_time > since]
    counts = sorted({int(one.share.partition("/")[2]) for one in fresh})
    if len(counts) > 1:
        words = f"feeds of the last {MISSED} slots part the community into {' and '.join(map(str, counts))}"
        yield Alarm(kind=Kind.SHARES_MIXED, subject="", told=words)
    releases = sorted({one.release for one in fresh if one.release})
    if len(releases) > 1:
        words = f"feeds of the last {MISSED} slots are of slotfeed {' and '.join(releases)}"
        yield Alarm(kind=Kind.RELEASES_MIXED, subject="", told=words)
