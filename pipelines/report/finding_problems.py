"""Problems that broken checks, quarantined readings and the exchange's values tell of."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from expectations.names import CHECKS, Check, Severity, Suite
from pipelines.community import Community
from pipelines.report import queries as q
from pipelines.report.assets import AssetFigures
from pipelines.report.broken import Broken
from pipelines.report.faults import WHOLE_DAY, fault_of
from pipelines.report.figures import Status
from pipelines.report.problems import Ground, Problem, named, quoted
from pipelines.report.remedies import remedy_of
from pipelines.report.status import broken_names
from pipelines.report.words import counted
from pipelines.store import Verdict

NO_LOCAL_VALUE = "no local value"
UNMENDABLE = frozenset({"late", NO_LOCAL_VALUE})
"""Diagnoses that nobody can mend any more."""

TOLD_BY_DISCREPANCIES = frozenset({Check.EXCHANGE_PRESENT, Check.EXCHANGE_EQUAL, Check.EXCHANGE_UNASKED})
"""Findings about the exchange's value that a discrepancy of the same asset tells with its cause."""

TONE_OF = {Severity.REJECT: "bad", Severity.FLAG: "warn", Severity.INFORM: "plain"}


def check_problems(ground: Ground, broken: Iterable[Broken]) -> Iterator[Problem]:
    """Broken checks, one problem for each check; what slots, quarantine and discrepancies tell is left out."""
    assets = {asset.status.uuid: asset for asset in ground.figures}
    by_check: dict[tuple[str, str], list[Broken]] = {}
    for one in broken:
        if not _told_elsewhere(one, assets[one.asset_id]):
            by_check.setdefault((one.check, one.severity), []).append(one)
    for (check, severity), rows in by_check.items():
        rows.sort(key=lambda one: -one.rows)
        names = [assets[one.asset_id].status.name for one in rows]
        remedy = remedy_of(check)
        total = sum(one.rows for one in rows)
        yield Problem(
            tone=TONE_OF.get(Severity(severity), "warn"),
            title=f"{named(names)}: {fault_of(check)}",
            since=ground.local(min(one.first for one in rows)),
            size=_size(check, rows, ground),
            rule=CHECKS[Check(check)].explanation if check in CHECKS else "",
            remedy=remedy.words,
            command=remedy.command.replace("{asset}", quoted(names[0])),
            last=max(one.last for one in rows),
            weight=total,
            anchor=ground.anchor([one.asset_id for one in rows], otherwise="checks"),
        )


def _size(check: str, rows: Sequence[Broken], ground: Ground) -> str:
    what = "reading" if rows[0].suite == Suite.READINGS else "day" if check in WHOLE_DAY else "slot"
    told = counted(sum(one.rows for one in rows), what) + (f" of {len(rows):,} assets" if len(rows) > 1 else "")
    first, last = min(one.first for one in rows), max(one.last for one in rows)
    return told if last == first else f"{told}, the last on {ground.local(last)}"


def _told_elsewhere(one: Broken, asset: AssetFigures) -> bool:
    return (
        one.check == Check.SLOT_COVERED
        or (one.suite == Suite.READINGS and one.severity == Severity.REJECT)
        or (one.check in TOLD_BY_DISCREPANCIES and asset.status.open_discrepancies > 0)
    )


def quarantine_problems(
    connection: Connection, community: Community, ground: Ground, *, start: datetime, end: datetime
) -> Iterator[Problem]:
    """Readings that wait for a person, one problem for each expectation that they broke first."""
    assets: dict[str, list[str]] = {}
    for asset in community.assets:
        for stream in (*asset.streams, *asset.check_registers):
            assets.setdefault(stream.stream_id, []).append(asset.name)
    row = q.READING
    query = (
        select(
            row.c.stream_id,
            row.c.broken,
            func.count().label("rows"),
            func.min(row.c.ts).label("first"),
            func.max(row.c.received_at).label("last"),
        )
        .where(q.undecided(connection, assets, start, end), row.c.verdict == Verdict.QUARANTINED)
        .group_by(row.c.stream_id, row.c.broken)
    )
    by_check: dict[str, list[Any]] = {}
    for found in connection.execute(query):
        by_check.setdefault((broken_names(found.broken) or ["unknown"])[0], []).append(found)
    for check, rows in by_check.items():
        names = list(dict.fromkeys(name for one in rows for name in assets[one.stream_id]))
        remedy = remedy_of(check)
        first = min((one.first for one in rows if one.first is not None), default=None)
        total = sum(one.rows for one in rows)
        yield Problem(
            tone="bad",
            title=f"{named(names)}: {fault_of(check)}",
            since="no readable time" if first is None else ground.local(first),
            size=f"{counted(total, 'reading')} in quarantine, from which no energy is computed",
            rule=CHECKS[Check(check)].explanation if check in CHECKS else "",
            remedy=remedy.words,
            command=remedy.command.replace("{asset}", quoted(names[0])),
            last=min(max(one.last for one in rows), ground.over),
            weight=total,
            anchor="quarantine",
        )


def discrepancy_problems(connection: Connection, scope: q.Scope, ground: Ground) -> Iterator[Problem]:
    """Slots in which the exchange has another value, one problem for each diagnosis."""
    names = {asset.status.uuid: asset.status.name for asset in ground.figures}
    row = q.DISCREPANCY
    query = (
        select(
            row.c.diagnosis,
            row.c.asset_id,
            func.count().label("rows"),
            func.min(row.c.slot_start).label("first"),
            func.max(row.c.slot_start).label("last"),
            func.sum(q.APART_WH).label("wh"),
            func.min(row.c.repair).label("repair"),
            func.min(row.c.evidence).label("evidence"),
        )
        .where(scope.of(connection, row), q.OPEN)
        .group_by(row.c.diagnosis, row.c.asset_id)
    )
    by_cause: dict[str, list[Any]] = {}
    silent = {asset.status.uuid: asset.silent_since for asset in ground.figures if asset.silent_since is not None}
    for found in connection.execute(query):
        # Of a silent asset nothing can be sent: that is the same problem.
        if not (found.diagnosis == NO_LOCAL_VALUE and found.first >= silent.get(found.asset_id, ground.over)):
            by_cause.setdefault(found.diagnosis, []).append(found)
    for cause, rows in by_cause.items():
        rows.sort(key=lambda one: -one.rows)
        total, first = sum(one.rows for one in rows), min(one.first for one in rows)
        yield Problem(
            tone="warn" if cause in UNMENDABLE else "bad",
            title=f"{named([names[one.asset_id] for one in rows])}: the exchange has another value ({cause})",
            since=ground.local(first),
            size=f"{counted(total, 'slot')}, {sum(one.wh or 0.0 for one in rows) / 1000:,.2f} kWh apart",
            cause=rows[0].evidence,
            remedy=rows[0].repair or "See the table of differences below.",
            last=max(one.last for one in rows),
            weight=total,
            anchor="discrepancies",
        )


def unaccounted_problem(status: Status, ground: Ground) -> Iterator[Problem]:
    """Slots that the exchange neither confirmed nor anybody explained."""
    if status.accounted:
        return
    first = status.unaccounted.first[0]
    names = list(dict.fromkeys(key.asset for key in status.unaccounted.first))
    among = "among others " if status.unaccounted.count > len(status.unaccounted.first) else ""
    yield Problem(
        tone="bad",
        title=f"{counted(status.unaccounted.count, 'slot')} at the exchange not proven yet",
        where=among + named(names),
        since=ground.local(min(key.slot_start for key in status.unaccounted.first)),
        size=f"{counted(status.unaccounted.count, 'slot')} neither confirmed nor explained",
        remedy="Read the exchange's results back once more; what is still open then has a cause.",
        command=f"slotfeed reconcile --start {ground.day(first.slot_start)}",
        last=max(key.slot_start for key in status.unaccounted.first),
        weight=status.unaccounted.count,
        anchor="unaccounted",
    )
