"""Which rows may leave: those that are old enough and that nothing waits for."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    and_,
    case,
    exists,
    func,
    not_,
    or_,
    select,
    text,
)

from pipelines.frames import Quantity, State
from pipelines.retention_section import RetentionSection
from pipelines.store import USABLE, Cursor, DiscrepancyRow, GapRow, ReadingRow, Verdict, table_of
from pipelines.store.aged_tables import (
    DISCREPANCIES,
    FINDINGS,
    QUARANTINE,
    READINGS,
    SLOT_ENERGY,
    SUBMISSIONS,
    AgedKind,
)
from pipelines.store.asked import asked, no_lead
from pipelines.store.discrepancies import closed, standing

ASKED_AGAIN = timedelta(days=35)
"""What a source may be asked for once more: a cloud's longest memory is 31 days. Of a stream that has fallen silent so
much stays before its last reading, or it would be taken for new. Ours."""

AROUND_GAP = timedelta(days=2)
"""So much stays on both sides of a gap for which a source is asked again. Ours."""

NEVER = datetime(1, 1, 1, tzinfo=UTC)

TAKEN = (State.ACCEPTED.value, State.CONFIRMED.value)
OVER = (State.CONFIRMED.value, State.REJECTED.value, State.EXPIRED.value, State.SUPERSEDED.value)


def days_kept(section: RetentionSection, kind: AgedKind) -> int | None:
    """How long the kind's rows stay; None: forever."""
    if kind is READINGS:
        return section.readings_days
    if kind in (QUARANTINE, FINDINGS):
        return section.quarantine_days
    return section.submissions_days


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """Conditions on one kind's rows, over the table and the series laid beside it."""

    kind: AgedKind
    connection: Connection
    series: CTE
    """series, before: rows from here on stay; anchor: rows of this instant stay, later ones hang on them."""

    gaps: CTE | None

    @property
    def row(self) -> Table:
        """The table."""
        return table_of(self.kind.model)

    @property
    def over(self) -> ColumnElement[bool]:
        """The row is old, and nothing about it will change by itself."""
        time = self.row.c[self.kind.time]
        found = [self.row.c[self.kind.series] == self.series.c.series, time < self.series.c.before]
        found.append(_final(self.kind, self.row))
        if "id" in self.row.c:
            # SQLite would give the highest number out anew if its row were gone.
            highest = select(func.max(self.row.alias("highest").c.id)).scalar_subquery()
            found.append(self.row.c.id < highest)
        if self.gaps is not None:
            a, b = self.gaps.c.a, self.gaps.c.b
            found.append(~exists().where(self.gaps.c.series == self.row.c[self.kind.series], time.between(a, b)))
        return and_(*found)

    @property
    def goes(self) -> ColumnElement[bool]:
        """It isn't one that later rows hang on."""
        return self.row.c[self.kind.time] != self.series.c.anchor

    def days(self) -> dict[date, int]:
        """Days that have rows to go -> how many rows there are in each."""
        time = self.row.c[self.kind.time]
        if self.connection.dialect.name == "postgresql":
            day = func.to_char(func.timezone("UTC", time), text("'YYYY-MM-DD'"))
        else:
            day = func.strftime("%Y-%m-%d", time)
        going = func.sum(case((self.goes, 1), else_=0))
        query = select(day.label("day"), func.count(), going).select_from(self._joined()).where(self.over)
        counts = self.connection.execute(query.group_by(text("1")).order_by(text("1"))).tuples()
        return {date.fromisoformat(found): rows for found, rows, leaving in counts if leaving}

    def rows(self, start: datetime, end: datetime) -> Select[tuple[object, ...]]:
        """Rows of [start, end), with whether they go, in the order of their series."""
        time = self.row.c[self.kind.time]
        columns = [self.row.c[name] for name in self.kind.schema.names()]
        return (
            select(*columns, case((self.goes, 1), else_=0).label("goes"))
            .select_from(self._joined())
            .where(self.over, time >= start, time < end)
            .order_by(self.row.c[self.kind.series], time)
        )

    def _joined(self) -> FromClause:
        return self.row.join(self.series, self.row.c[self.kind.series] == self.series.c.series)


def leaving(connection: Connection, kind: AgedKind, *, horizon: datetime) -> Leaving:
    """What of a kind may leave.

    Args:
        connection: for the queries.
        kind: which rows.
        horizon: rows from here on are too young.
    """
    row = table_of(kind.model)
    ids = _series(connection, kind)
    before = dict.fromkeys(ids, horizon)
    gaps = None
    time, name = row.c[kind.time].type, row.c[kind.series].type
    if kind in (READINGS, QUARANTINE):
        cursor = table_of(Cursor).c
        for stream_id, position in connection.execute(select(cursor.stream_id, cursor.position)).tuples():
            if stream_id in before:
                before[stream_id] = min(horizon, position - ASKED_AGAIN)
        gap = table_of(GapRow).c
        spans = [
            (stream_id, starts - AROUND_GAP, ends + AROUND_GAP)
            for stream_id, starts, ends in connection.execute(select(gap.stream_id, gap.starts, gap.ends)).tuples()
            if starts - AROUND_GAP < horizon
        ]
        if spans:
            gaps = _named("gaps", asked(connection, {"series": name, "a": time, "b": time}, spans))
    anchors = _anchors(connection, kind, ids, horizon)
    rows = [(one, before[one], anchors.get(one, NEVER)) for one in ids]
    series = asked(connection, {"series": name, "before": time, "anchor": time}, rows)
    return Leaving(kind=kind, connection=connection, series=series, gaps=gaps)


def _named(name: str, rows: CTE) -> CTE:
    """The same rows by a name of their own."""
    found: Select[tuple[object, ...]] = rows.element  # type: ignore[assignment]
    return found.cte(name)


def _final(kind: AgedKind, row: Table) -> ColumnElement[bool]:
    if kind is READINGS:
        counted = and_(row.c.verdict.in_(USABLE), row.c.slotted_at.is_not(None))
        return or_(counted, row.c.verdict.in_((Verdict.SUPERSEDED, Verdict.DISCARDED)))
    if kind is QUARANTINE:
        return row.c.verdict == Verdict.QUARANTINED
    if kind is FINDINGS:
        reading = table_of(ReadingRow).alias("of")
        gone = and_(row.c.reading_id != 0, ~exists().where(reading.c.id == row.c.reading_id))
        return or_(row.c.closed_at.is_not(None), gone)
    if kind is DISCREPANCIES:
        return closed(row)
    listed = table_of(DiscrepancyRow)
    differs = exists().where(
        listed.c.asset_id == row.c.asset_id, listed.c.slot_start == row.c.slot_start, standing(listed)
    )
    if kind is SUBMISSIONS:
        measured = and_(row.c.quantity == Quantity.MEASUREMENT.value, row.c.state.in_(TAKEN))
        return and_(or_(row.c.state.in_(OVER), measured), not_(differs))
    return not_(differs)


def _anchors(connection: Connection, kind: AgedKind, ids: list[str], horizon: datetime) -> dict[str, datetime]:
    """Of each series the newest row before the horizon that later ones hang on."""
    other = table_of(kind.model).alias("other")
    counts: ColumnElement[bool]
    if kind is READINGS:
        counts = no_lead(other.c.verdict).in_(USABLE)
    elif kind is SUBMISSIONS:
        counts = and_(other.c.quantity == Quantity.FORECAST.value, other.c.state.in_(TAKEN))
    elif kind is SLOT_ENERGY:
        counts = other.c[kind.time].is_not(None)
    else:
        return {}
    series = asked(connection, {"series": other.c[kind.series].type}, [(one,) for one in ids])
    newest = (
        select(other.c[kind.time])
        .where(other.c[kind.series] == series.c.series, other.c[kind.time] < horizon, counts)
        .order_by(other.c[kind.time].desc())
        .limit(1)
        .scalar_subquery()
    )
    found = connection.execute(select(series.c.series, newest)).tuples()
    return {one: at for one, at in found if at is not None}


def _series(connection: Connection, kind: AgedKind) -> list[str]:
    """All series of a table: one seek in its index for each, however long they are."""
    table, name = table_of(kind.model).name, kind.series
    # Names of tables and columns alone, as the models have them.
    query = (
        f"WITH RECURSIVE found(one) AS (SELECT min({name}) FROM {table} UNION ALL "  # noqa: S608
        f"SELECT (SELECT min({name}) FROM {table} WHERE {name} > found.one) FROM found WHERE found.one IS NOT NULL) "
        "SELECT one FROM found WHERE one IS NOT NULL"
    )
    return list(connection.execute(text(query)).scalars())
