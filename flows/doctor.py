"""`slotfeed doctor`: tries all that a feed needs, as it stands now, and says what to do.

Every look is taken, whatever the ones before have found, as far as it can be: a person who mends one thing at a time
shouldn't have to ask ten times.
"""

import shutil
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy import select
from sqlmodel import col

from flows.logged_in import logged_in
from flows.trial import try_assets, try_sources
from pipelines.check import check_community
from pipelines.clock import Clock, WallClock
from pipelines.community import Community, resolve_sqlite_path
from pipelines.errors import ConfigurationError, Issue, Severity, SlotfeedError
from pipelines.settings import Secrets
from pipelines.store import RunRow, Store, kept_lead
from pipelines.store.own import open_own_store

FULL_BYTES = 256 << 20
"""With less room left, the next runs may fail in the midst of a write. Ours."""

SCARCE_BYTES = 2 << 30
"""A year of a thousand assets needs more. Ours."""

SAME_TIME = timedelta(seconds=2)
"""The exchange tells whole seconds, and its answer was a while on its way. Ours."""

OVERDUE = 2
"""Slots without a feed after which nobody seems to run it. Ours."""


class Found(StrEnum):
    """What a look has found."""

    FINE = "fine"
    NOTICE = "notice"
    """Feeds run, and it is worth knowing."""

    FAULT = "fault"
    """Something is lost until a person acts."""

    SKIPPED = "not tried"
    """It needs something that is at fault."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """One thing that was tried."""

    what: str
    found: Found
    told: str
    """What is there, or what is wrong, in words."""

    remedy: str = ""
    """What to do; empty where nothing is to be done."""


def fine(what: str, told: str) -> Look:
    """All is well."""
    return Look(what=what, found=Found.FINE, told=told)


def of_issues(what: str, issues: Iterable[Issue], *, otherwise: str) -> list[Look]:
    """A look for each issue, and one that tells `otherwise` where none is a fault."""
    found = list(issues)
    looks = [
        Look(
            what=what,
            found=Found.FAULT if issue.severity is Severity.FAULT else Found.NOTICE,
            told=f"{issue.where}, {issue.field}: {issue.problem}" if issue.field else f"{issue.where}: {issue.problem}",
            remedy=issue.remedy,
        )
        for issue in found
    ]
    faults = any(look.found is Found.FAULT for look in looks)
    return looks if faults else [fine(what, otherwise), *looks]


async def examine(path: Path) -> list[Look]:
    """Take every look.

    Args:
        path: of the community file.
    """
    clock = WallClock()
    community, issues = check_community(path)
    faults = [issue for issue in issues if issue.severity is Severity.FAULT]
    assets = 0 if community is None else len(community.assets)
    notices = f", {len(issues)} notices that `slotfeed check` tells" if issues else ""
    looks = of_issues("community file", faults, otherwise=f"{path} is sound: {assets} assets{notices}")
    if community is None:
        return [*looks, Look(what="all else", found=Found.SKIPPED, told="the community file tells what to try")]
    folder = path.resolve().parent
    secrets = Secrets(folder)
    looks += disk_looks(community, folder)
    try:
        store = open_own_store(community, folder, secrets)
    except ConfigurationError as error:
        looks += of_issues("database", error.issues, otherwise="")
    except SlotfeedError as error:
        remedy = "Correct `database` or its password, or see that the database can be reached and has room"
        looks.append(Look(what="database", found=Found.FAULT, told=str(error), remedy=remedy))
    else:
        with closing(store):
            looks.append(fine("database", f"{store.engine.dialect.name}, schema up to date"))
            looks += _feeds(store, community, now=clock.now())
            found = await try_sources(community, folder, secrets, store, clock)
            looks += of_issues("sources", found, otherwise=_answer(len(community.sources)))
            looks += await _exchange(community, folder, clock, store)
    if all(look.what != "sources" for look in looks):
        looks.append(Look(what="sources, exchange", found=Found.SKIPPED, told="they need the database"))
    return looks


def _answer(sources: int) -> str:
    return f"{'the source answers' if sources == 1 else f'all {sources} sources answer'} and have what the file names"


def disk_looks(community: Community, folder: Path) -> list[Look]:
    """Room where the store's file and the pages are written; a database server's disk isn't this machine's."""
    places = {folder}
    if community.database.startswith("sqlite:///"):
        places.add(Path(resolve_sqlite_path(community.database, folder).removeprefix("sqlite:///")).parent)
    looks = []
    for place in sorted(place for place in places if place.is_dir()):
        free = shutil.disk_usage(place).free
        found = Found.FAULT if free < FULL_BYTES else Found.NOTICE if free < SCARCE_BYTES else Found.FINE
        remedy = "" if found is Found.FINE else f"Make room on the disk of {place}, or move the folder"
        looks.append(Look(what="disk", found=found, told=f"{free / 1e9:,.1f} GB free in {place}", remedy=remedy))
    return looks


def _feeds(store: Store, community: Community, *, now: datetime) -> list[Look]:
    """Whether somebody runs the feed."""
    query = (
        select(RunRow.logical_time, RunRow.outcome)  # type: ignore[call-overload]
        .where(col(RunRow.command) == "feed")
        .order_by(col(RunRow.started_at).desc())
        .limit(1)
    )
    with store.reading() as connection:
        last = connection.execute(query).first()
    if last is None:
        remedy = "Run `slotfeed feed` once by hand, then deploy it"
        return [Look(what="feed", found=Found.NOTICE, told="none has run yet", remedy=remedy)]
    told = f"the last was at {last.logical_time:%Y-%m-%d %H:%M} UTC and ended `{last.outcome}`"
    if now - last.logical_time > OVERDUE * community.slot_length:
        remedy = "See that a Prefect worker runs, and that the deployment's schedule is active"
        return [Look(what="feed", found=Found.FAULT, told=f"{told}; each slot since has had none", remedy=remedy)]
    if last.outcome in {"failed", "incomplete"}:
        return [Look(what="feed", found=Found.NOTICE, told=told, remedy="Read what the run told; the next tries again")]
    return [fine("feed", told)]


async def _exchange(community: Community, folder: Path, clock: Clock, store: Store) -> list[Look]:
    section, simulation = community.exchange, community.community.simulation_uuid
    try:
        async with logged_in(section.base_url, folder, allow_http=community.allow_http) as client:
            ahead = client.http_clock.now() - clock.now()
            looks = [
                fine("exchange", f"{section.base_url} takes the login"),
                skew_look(ahead, margin=community.margin),
                _lead(kept_lead(store, simulation, now=client.http_clock.now())),
            ]
            found = await try_assets(community, client)
            otherwise = f"the exchange knows all {len(community.assets)}"
            return looks + of_issues("assets", found, otherwise=otherwise)
    except ConfigurationError as error:
        return of_issues("exchange", error.issues, otherwise="")
    except SlotfeedError as error:
        remedy = "Correct `exchange.base_url` or the secrets, or try again later"
        return [Look(what="exchange", found=Found.FAULT, told=str(error), remedy=remedy)]


def skew_look(ahead: timedelta, *, margin: timedelta) -> Look:
    """This machine's clock beside the exchange's; a run asks its own for which slot is the coming one."""
    seconds = abs(ahead.total_seconds())
    if abs(ahead) <= SAME_TIME:
        return fine("clock", "this machine's and the exchange's agree")
    told = f"this machine is {seconds:,.0f} s {'behind' if ahead > timedelta(0) else 'ahead of'} the exchange"
    if abs(ahead) > margin:
        told += ", more than the margin: runs near a slot's end plan for the wrong slot"
    found = Found.FAULT if abs(ahead) > margin else Found.NOTICE
    return Look(what="clock", found=found, told=told, remedy="Let this machine's clock follow a time server (NTP)")


def _lead(lead: timedelta | None) -> Look:
    if lead is None:
        told = "how far the market is ahead of the exchange's clock wasn't measured within a day"
        remedy = "Run `slotfeed listen`, or deploy it; without, `exchange.margin_s` has to do"
        return Look(what="market's clock", found=Found.NOTICE, told=told, remedy=remedy)
    return fine("market's clock", f"{lead.total_seconds():+.1f} s beside the exchange's, as measured within a day")
