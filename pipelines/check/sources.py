"""Whether what the file says of each meter database holds together."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import text

from pipelines.check.draft import Draft, Part
from pipelines.check.finding import Finding, Loc, fault, listed, notice
from pipelines.community import MeterDatabase, TimeType
from pipelines.settings import source_password

PARAMETERS = ("start", "end", "meters")

NOT_CODE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", re.DOTALL)
"""Comments, strings and quoted names."""

WRITING = frozenset(
    {"insert", "update", "delete", "merge", "truncate", "drop", "alter", "create", "grant", "into", "call", "do"}
)


def source_findings(draft: Draft) -> Iterator[Finding]:
    """What is wrong with the meter databases."""
    for name, source in draft.sources.items():
        loc = ("sources", name)
        yield from _origin_findings(loc, source)
        yield from _column_findings(loc, source)
        yield from _time_findings(name, draft)
    yield from _name_findings(draft)


def _origin_findings(loc: Loc, source: Part[MeterDatabase]) -> Iterator[Finding]:
    if not source.knows("table", "sql"):
        return
    table, sql = source.value.table, source.value.sql
    if table is None and sql is None:
        yield fault((*loc, "table"), "neither table nor sql is given", "Write the table's name, or a SELECT as sql")
    elif table is not None and sql is not None:
        yield fault((*loc, "sql"), "both table and sql are given", "Keep one of them")
    if sql is not None:
        yield from _sql_findings((*loc, "sql"), sql)


def _sql_findings(loc: Loc, sql: str) -> Iterator[Finding]:
    code = NOT_CODE.sub(" ", sql).strip().removesuffix(";")
    words = re.findall(r"[a-z_]+", code.lower())
    writing = sorted(WRITING.intersection(words))
    if ";" in code or not words or words[0] not in {"select", "with"} or "select" not in words:
        yield fault(loc, "this isn't one SELECT", "Write one SELECT statement, and nothing after it")
    elif writing:
        yield fault(
            loc,
            f"it doesn't only read: {listed(word.upper() for word in writing)} stands in it",
            "Write a SELECT that changes nothing; put a column of that name in double quotes",
        )
    found = set(text(sql).compile().params)
    if missing := [f":{name}" for name in PARAMETERS if name not in found]:
        yield fault(loc, f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} not used", _HOW)
    if unknown := sorted(f":{name}" for name in found.difference(PARAMETERS)):
        yield fault(loc, f"nothing is known to fill in for {listed(unknown)}", _HOW)


_HOW = "Limit the rows by time >= :start AND time < :end AND meter IN :meters"


def _column_findings(loc: Loc, source: Part[MeterDatabase]) -> Iterator[Finding]:
    if not source.knows("columns.value", "columns.register_", "wide"):
        return
    columns, wide = source.value.columns, source.value.wide
    if wide is None and columns.value is None:
        yield fault((*loc, "columns", "value"), "is missing", "Write the name of the column with the value")
    if wide is not None:
        yield from _wide_findings(loc, source.value)
    elif source.knows("register_map") and source.value.register_map and columns.register_ is None:
        yield notice((*loc, "register_map"), "isn't used: there is no register column", "Name it as columns.register")
    if source.knows("quality_map", "columns.quality") and source.value.quality_map and columns.quality is None:
        yield notice((*loc, "quality_map"), "isn't used: there is no quality column", "Name it as columns.quality")


def _wide_findings(loc: Loc, source: MeterDatabase) -> Iterator[Finding]:
    wide, columns = source.wide or {}, source.columns
    if not wide:
        yield fault((*loc, "wide"), "is empty", "Map each value column to the register it holds, or take wide out")
    for key, column in (("value", columns.value), ("register", columns.register_)):
        if column is not None:
            yield fault((*loc, "columns", key), f"wide rows have no {key} column", f"Take out either {key} or wide")
    twice = sorted({register for register in wide.values() if list(wide.values()).count(register) > 1})
    if twice:
        yield fault((*loc, "wide"), f"several columns stand for {listed(twice)}", "Give each column its own register")


def _time_findings(name: str, draft: Draft) -> Iterator[Finding]:
    source, loc = draft.sources[name], ("sources", name)
    if not source.knows("time_type", "time_zone"):
        return
    if source.value.time_type is not TimeType.NAIVE:
        yield from _ignored_zones(name, draft)
        return
    zones = {source.value.time_zone, *_stream_zones(name, draft)} - {None}
    if source.value.time_zone is None and (None in _stream_zones(name, draft) or not zones):
        yield fault(
            (*loc, "time_zone"),
            "naive times without a time zone",
            "Write the zone of the stamps, such as Europe/Vienna, or UTC if that is what they are",
        )
    told_apart = (
        not source.knows("row_order", "columns.tie_breaker")
        or source.value.row_order
        or source.value.columns.tie_breaker is not None
    )
    if not told_apart and any(_repeats_an_hour(zone) for zone in zones if zone):
        yield notice(
            (*loc, "time_type"),
            "the two hours of the autumn night that carry the same naive stamps can't be told apart: "
            "rows of that night will be refused",
            "Name a column that grows with true time as columns.tie_breaker, "
            "or set row_order: true if rows come in their true order",
        )


def _ignored_zones(name: str, draft: Draft) -> Iterator[Finding]:
    source = draft.sources[name].value
    problem = f"isn't used: {source.time_type.value} stamps carry their zone"
    if source.time_zone is not None:
        yield notice(("sources", name, "time_zone"), problem, "Take it out, or set time_type: naive")
    for _, stream in draft.streams():
        known = stream.part.knows("source", "time_zone")
        if known and stream.part.value.source == name and stream.part.value.time_zone is not None:
            yield notice((*stream.loc, "time_zone"), problem, "Take it out, or set the source's time_type: naive")


def _stream_zones(name: str, draft: Draft) -> set[str | None]:
    return {
        stream.part.value.time_zone
        for _, stream in draft.streams()
        if stream.part.knows("source", "time_zone") and stream.part.value.source == name
    }


def _repeats_an_hour(zone: str) -> bool:
    """Whether the zone's clocks went back within the last years' rules: 2026 stands for them."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    days = (start + timedelta(days=day) for day in range(0, 366, 7))
    return len({day.astimezone(ZoneInfo(zone)).utcoffset() for day in days}) > 1


def _name_findings(draft: Draft) -> Iterator[Finding]:
    used = {stream.part.value.source for _, stream in draft.streams() if stream.part.knows("source")}
    secrets: dict[str, str] = {}
    for name in draft.source_names:
        secret = source_password(name)[0]
        if secret in secrets:
            yield fault(
                ("sources", name), f"shares {secret} with the source '{secrets[secret]}'", "Rename one of the two"
            )
        secrets[secret] = name
        if used <= set(draft.source_names) and used and name not in used:
            yield notice(("sources", name), "no stream reads from it", "Take it out, or name it in a stream")
