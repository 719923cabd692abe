"""A person's view of the quarantine, and decisions about what lies in it.

Suspects stand in it too: they wait for later readings to decide, and a person may decide before.

A decision stands: it is not judged again. Only a later, good revision of the same stamp takes a released one's place.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from math import isfinite
from typing import Any

import polars as pl
from sqlalchemy import Connection, RowMapping, Select, func, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from expectations.limits import UNIT_OF_KIND
from pipelines.errors import TerminalError
from pipelines.frames import INSTANT, Kind
from pipelines.store import CHUNK, USABLE, ReadingRow, Store, Verdict, read_frame
from pipelines.store.aged import looking_back
from pipelines.store.aged_tables import QUARANTINE
from pipelines.validate.findings import close_reading_findings
from pipelines.validate.rows import take_turn, write_verdict

QUARANTINED = pl.Schema(
    {
        "id": pl.Int64(),
        "stream_id": pl.String(),
        "ts": INSTANT,
        "ts_end": INSTANT,
        "revision": pl.Int64(),
        "kind": pl.String(),
        "value": pl.Float64(),
        "unit": pl.String(),
        "quality": pl.String(),
        "verdict": pl.String(),
        "broken": pl.String(),
        "received_at": INSTANT,
    }
)
"""Readings in quarantine, and suspects, whose `verdict` says so; `broken` names checks of `expectations.names`,
comma-separated. Key: id."""

UNDECIDED = (Verdict.QUARANTINED, Verdict.SUSPECT)
"""Verdicts of readings that a person may release or discard."""


def list_quarantined(store: Store, *, limit: int, stream_prefixes: Sequence[str] = ()) -> pl.DataFrame:
    """Readings in quarantine and suspects, newest first, those without a time stamp last.

    Args:
        store: the database.
        limit: rows at most.
        stream_prefixes: only streams whose id begins with one of these; none means all.

    Returns:
        A frame of `QUARANTINED`.
    """
    stream_id = col(ReadingRow.stream_id)
    query = (
        select(*(col(getattr(ReadingRow, name)) for name in QUARANTINED.names()))
        .where(col(ReadingRow.verdict).in_(UNDECIDED))
        .order_by(col(ReadingRow.ts).desc().nulls_last(), col(ReadingRow.id).desc())
        .limit(limit)
    )
    if stream_prefixes:
        # Not LIKE: SQLite's takes capitals for small letters.
        query = query.where(or_(*(func.substr(stream_id, 1, len(prefix)) == prefix for prefix in stream_prefixes)))
    with looking_back(store, start=None, end=None, kinds=[QUARANTINE]) as connection:
        return read_frame(connection, query, QUARANTINED)


def release(store: Store, ids: Sequence[int], *, reason: str, now: datetime) -> int:
    """Let readings out of quarantine: energy is computed from them as from good ones.

    Whatever other revision of the same stamp was usable or suspect till now is superseded.

    Args:
        store: the database.
        ids: of readings in quarantine or suspect.
        reason: why, for the record.
        now: when it was decided.

    Returns:
        How many were released.

    Raises:
        TerminalError: there is no reason; an id is unknown or of a reading that isn't undecided; energy can't be
            computed from a reading; two of them are of one stamp. Nothing was changed, and every fault is named.
    """
    wanted = _wanted(ids, reason, step="release")
    with store.writing() as connection:
        take_turn(connection)
        readings = _undecided(connection, wanted, step="release")
        faults = [f"{_name(row)}: {fault}" for row in readings if (fault := _unusable(row))]
        stamps: dict[tuple[str, datetime], int] = {}
        for row in readings:
            other = stamps.setdefault((row["stream_id"], row["ts"]), row["id"])
            if row["ts"] is not None and other != row["id"]:
                faults.append(f"{_name(row)}: of the same time stamp as reading {other}; release one of them")
        if faults:
            raise TerminalError(f"release: nothing was changed; {'; '.join(faults)}")
        beside = _beside(connection, wanted)
        write_verdict(connection, beside, Verdict.SUPERSEDED)
        close_reading_findings(connection, beside, by="corrected", now=now)
        close_reading_findings(connection, wanted, by="released", now=now)
        return write_verdict(
            connection, wanted, Verdict.RELEASED, reason=reason.strip(), decided_at=now, slotted_at=None
        )


def discard(store: Store, ids: Sequence[int], *, reason: str, now: datetime) -> int:
    """Throw readings in quarantine out for good; they are kept for the record.

    Args:
        store: the database.
        ids: of readings in quarantine or suspect.
        reason: why, for the record.
        now: when it was decided.

    Returns:
        How many were discarded.

    Raises:
        TerminalError: there is no reason, or an id is unknown or of a reading that isn't undecided. Nothing was
            changed.
    """
    wanted = _wanted(ids, reason, step="discard")
    with store.writing() as connection:
        take_turn(connection)
        _undecided(connection, wanted, step="discard")
        close_reading_findings(connection, wanted, by="discarded", now=now)
        return write_verdict(connection, wanted, Verdict.DISCARDED, reason=reason.strip(), decided_at=now)


def _wanted(ids: Sequence[int], reason: str, *, step: str) -> list[int]:
    if not reason.strip():
        raise TerminalError(f"{step}: nothing was changed; a reason is required, it is kept with the readings")
    return sorted(set(ids))


def _undecided(connection: Connection, ids: Sequence[int], *, step: str) -> list[RowMapping]:
    names = ("id", "stream_id", "ts", "ts_end", "kind", "value", "unit", "verdict")
    columns = [col(getattr(ReadingRow, name)) for name in names]
    rows: list[RowMapping] = []
    for some in _chunks(ids):
        rows += connection.execute(select(*columns).where(col(ReadingRow.id).in_(some))).mappings()
    unknown = set(ids) - {row["id"] for row in rows}
    faults = [
        f"reading {number}: there is none; if it has aged out, `slotfeed retention restore` brings it back"
        for number in sorted(unknown)
    ]
    faults += [f"{_name(row)}: is {row['verdict']}, not quarantined" for row in rows if row["verdict"] not in UNDECIDED]
    if faults:
        raise TerminalError(f"{step}: nothing was changed; {'; '.join(faults)}")
    return rows


def _beside(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Other readings of the same stamps as these that are usable, or may become so."""
    released, other = aliased(ReadingRow), aliased(ReadingRow)
    found: list[int] = []
    for some in _chunks(ids):
        query: Select[Any] = (
            select(col(other.id))
            .join(released, (col(released.stream_id) == col(other.stream_id)) & (col(released.ts) == col(other.ts)))
            .where(col(released.id).in_(some), col(other.id) != col(released.id))
            .where(col(other.verdict).in_((*USABLE, Verdict.SUSPECT)))
        )
        found += connection.execute(query).scalars()
    return found


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))


def _unusable(row: RowMapping) -> str:
    """Why no energy can be computed from a reading, whatever a person decides; "" where it can."""
    ts, ts_end, kind = row["ts"], row["ts_end"], row["kind"]
    is_span = kind == Kind.INTERVAL or (kind == Kind.POWER and ts_end is not None)
    lacks = ""
    if ts is None:
        lacks = "it has no time stamp"
    elif row["value"] is None or not isfinite(row["value"]):
        lacks = "its value is no number"
    elif kind not in UNIT_OF_KIND:
        lacks = f"its kind '{kind}' is unknown"
    elif row["unit"] != UNIT_OF_KIND[kind]:
        lacks = f"its unit '{row['unit']}' is not {UNIT_OF_KIND[kind]}"
    elif is_span and (ts_end is None or ts_end <= ts):
        lacks = "its span has no end after its beginning"
    return f"{lacks}, so no energy can be computed from it; correct it at its source or discard it" if lacks else ""


def _name(row: RowMapping) -> str:
    stamp = row["ts"].isoformat() if row["ts"] else "without time stamp"
    return f"reading {row['id']} of {row['stream_id']}, {stamp}"
