"""What commissioning keeps in the store: changes in how assets stand, and certificates."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update

from pipelines.commission.certificate import stamp
from pipelines.commission.names import Terms
from pipelines.commission.verdicts import AssetStanding, Certified, Change, broken_at
from pipelines.report.queries import among
from pipelines.store import CertificateRow, CommissionChangeRow, insert_rows, table_of

CERTIFICATE = table_of(CertificateRow)
CHANGE = table_of(CommissionChangeRow)

REPLACED = ""
"""`ended_because` of a certificate that held until a new one took its place."""


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A certificate as it goes into the store."""

    asset_id: str
    document: Mapping[str, Any]
    period_start: datetime
    period_end: datetime


def newest_certificates(connection: Connection, asset_ids: Sequence[str]) -> dict[str, Certified]:
    """asset_id -> its newest certificate."""
    newest = (
        select(CERTIFICATE.c.asset_id, func.max(CERTIFICATE.c.issued_at).label("issued_at"))
        .where(among(connection, CERTIFICATE.c.asset_id, asset_ids))
        .group_by(CERTIFICATE.c.asset_id)
        .subquery()
    )
    columns = ("asset_id", "number", "slots", "issued_at", "period_start", "period_end", "held_until", "ended_at")
    query = select(*(CERTIFICATE.c[name] for name in columns), CERTIFICATE.c.ended_because).join(
        newest,
        (CERTIFICATE.c.asset_id == newest.c.asset_id) & (CERTIFICATE.c.issued_at == newest.c.issued_at),
    )
    return {row.asset_id: _certified(row) for row in connection.execute(query)}


def _certified(row: Row[Any]) -> Certified:
    return Certified(
        number=row.number,
        slots=row.slots,
        issued_at=row.issued_at,
        period_start=row.period_start,
        period_end=row.period_end,
        held_until=row.held_until,
        ended_because=row.ended_because,
        holds=row.ended_at is None,
    )


def enough(certified: Certified, terms: Terms) -> bool:
    """Whether the certificate rests on as many slots as are asked now."""
    return certified.slots >= terms.slots


def newest_changes(connection: Connection, asset_ids: Sequence[str]) -> dict[str, Change]:
    """asset_id -> how it stood when that last changed."""
    newest = (
        select(func.max(CHANGE.c.id)).where(among(connection, CHANGE.c.asset_id, asset_ids)).group_by(CHANGE.c.asset_id)
    )
    query = select(CHANGE.c.asset_id, CHANGE.c.at, CHANGE.c.outcome, CHANGE.c.step, CHANGE.c.cause).where(
        CHANGE.c.id.in_(newest)
    )
    return {
        row.asset_id: Change(at=row.at, outcome=row.outcome, step=row.step, cause=row.cause)
        for row in connection.execute(query)
    }


def keep_changes(
    connection: Connection, standings: Iterable[AssetStanding], last: Mapping[str, Change], *, run_id: str
) -> int:
    """Keep how assets stand where that isn't as before; returns how many."""
    rows = []
    for found in standings:
        before = last.get(found.asset.asset_id)
        outcome, step, cause = found.key
        if before is not None and (before.outcome, before.step, before.cause) == found.key:
            continue
        rows.append(
            {
                "asset_id": found.asset.asset_id,
                "at": found.since,
                "outcome": outcome,
                "step": int(step),
                "cause": cause,
                "told": found.before.told if found.before else "",
                "run_id": run_id,
            }
        )
    insert_rows(connection, CommissionChangeRow, rows)
    return len(rows)


def keep_certificates(connection: Connection, issued: Sequence[Issued], *, now: datetime, run_id: str) -> None:
    """Write new certificates; an older one of the asset that still held gives way.

    Of two runs at once the first one's certificate stands: at most one of an asset holds.
    """
    if not issued:
        return
    connection.execute(
        update(CERTIFICATE)
        .where(CERTIFICATE.c.asset_id == bindparam("of"), CERTIFICATE.c.ended_at.is_(None))
        .where(CERTIFICATE.c.slots < bindparam("than"))
        .values(ended_at=now, ended_because=REPLACED),
        [{"of": one.asset_id, "than": one.document["slots"]} for one in issued],
    )
    rows = [
        {
            "number": one.document["number"],
            "asset_id": one.asset_id,
            "issued_at": now,
            "period_start": one.period_start,
            "period_end": one.period_end,
            "slots": one.document["slots"],
            "digest": one.document["digest"],
            "document": dict(one.document),
            "checked_through": one.period_end,
            "checked_at": now,
            "ended_because": "",
            "run_id": run_id,
        }
        for one in issued
    ]
    insert_rows(connection, CertificateRow, rows)


def end_certificates(
    connection: Connection, ended: Sequence[tuple[AssetStanding, Certified]], *, now: datetime
) -> None:
    """Mark certificates that hold no longer with until when they did, and why."""
    rows = [
        {
            "the_number": certified.number,
            "until": broken_at(found, certified, now=now),
            "because": _because(found),
        }
        for found, certified in ended
    ]
    if rows:
        connection.execute(
            update(CERTIFICATE)
            .where(CERTIFICATE.c.number == bindparam("the_number"), CERTIFICATE.c.ended_at.is_(None))
            .values(ended_at=now, held_until=bindparam("until"), ended_because=bindparam("because")),
            rows,
        )


def _because(found: AssetStanding) -> str:
    return "" if found.before is None else f"{found.before.step.words}: {found.before.told}"


def keep_checked(connection: Connection, through: Mapping[str, datetime], *, now: datetime) -> None:
    """Note up to where certificates that hold were seen to hold: number -> end of the newest slot."""
    if through:
        connection.execute(
            update(CERTIFICATE)
            .where(CERTIFICATE.c.number == bindparam("the_number"), CERTIFICATE.c.ended_at.is_(None))
            .values(checked_at=now, checked_through=bindparam("through")),
            [{"the_number": number, "through": end} for number, end in through.items()],
        )


def certificate_rows(connection: Connection, asset_id: str) -> list[Row[Any]]:
    """All certificates of an asset, the newest first."""
    query = select(CERTIFICATE).where(CERTIFICATE.c.asset_id == asset_id).order_by(CERTIFICATE.c.issued_at.desc())
    return list(connection.execute(query))


def certificate_by_number(connection: Connection, number: str) -> Row[Any] | None:
    """The certificate of this number; None: this store never issued it."""
    return connection.execute(select(CERTIFICATE).where(CERTIFICATE.c.number == number)).one_or_none()


def status_of(row: Row[Any]) -> dict[str, Any]:
    """Whether a certificate holds, as its page says it."""
    return {
        "holds": row.ended_at is None,
        "replaced": row.ended_at is not None and row.held_until is None,
        "checked_at": stamp(row.checked_at),
        "checked_through": stamp(row.checked_through),
        "held_until": None if row.held_until is None else stamp(row.held_until),
        "ended_at": None if row.ended_at is None else stamp(row.ended_at),
        "because": row.ended_because,
    }
