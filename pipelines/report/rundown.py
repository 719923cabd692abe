"""One run in words and rows, for the artifacts of a flow run and the screen of an ad hoc one."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from pipelines.community import Community
from pipelines.frames import Quantity, State
from pipelines.plain import in_markdown
from pipelines.report.mending import repair_in_words
from pipelines.slots import slot_floor
from pipelines.store import DiscrepancyRow, Store, SubmissionRow, table_of
from pipelines.store.asked import asked
from pipelines.store.discrepancies import given_up, still_open

MOST_ROWS = 200
"""Rows of a table in an artifact; Prefect keeps each in its database."""

MOST_NAMES = 10

NEEDS_NOBODY = (State.ACCEPTED.value, State.CONFIRMED.value, State.SUPERSEDED.value)
"""States of what needs nobody; all else comes first in a table."""

NAMED_AGAIN = re.compile(r"^(forecast|measurement) of asset '.*' for slot [-0-9]+ [:0-9]+ UTC: ")
"""How a submission's error begins; its row says that already."""


def submission_rows(
    store: Store, community: Community, run_id: str, *, most: int = MOST_ROWS
) -> list[Mapping[str, Any]]:
    """What a run planned and what became of it by now: asset, slot (local time), quantity, Wh, state, note.

    What has not reached the exchange comes first, so that it is seen, and is among the rows where there are more.
    """
    row = table_of(SubmissionRow)
    columns = (row.c.asset_id, row.c.slot_start, row.c.quantity, row.c.energy_wh, row.c.state, row.c.error)
    with store.reading() as connection:
        found = connection.execute(
            select(*columns)
            .where(row.c.run_id == run_id)
            .order_by(row.c.state.in_(NEEDS_NOBODY), row.c.slot_start.desc(), row.c.id)
            .limit(most)
        ).all()
    names = {asset.asset_id: asset.name for asset in community.assets}
    zone = ZoneInfo(community.community.time_zone)
    return [
        {
            "asset": names.get(one.asset_id, one.asset_id),
            "slot": f"{one.slot_start.astimezone(zone):%Y-%m-%d %H:%M %Z}",
            "quantity": one.quantity,
            "energy_wh": round(one.energy_wh, 3),
            "state": one.state,
            "note": NAMED_AGAIN.sub("", one.error),
        }
        for one in found
    ]


def nothing_to_send(store: Store, community: Community, *, now: datetime) -> list[str]:
    """Names of live assets for which no forecast of the coming slot was made, in the file's order.

    Their meters are silent for long, or all that they said was put aside.
    """
    coming = slot_floor(now, community.slot_length) + community.slot_length
    live = [asset for asset in community.assets if asset.live]
    row = table_of(SubmissionRow).c
    with store.reading() as connection:
        # Asset by asset, as the table's key goes.
        wanted = asked(connection, {"asset_id": row.asset_id.type}, [(asset.asset_id,) for asset in live])
        query = select(row.asset_id).join(wanted, wanted.c.asset_id == row.asset_id)
        made = set(
            connection.execute(query.where(row.quantity == Quantity.FORECAST.value, row.slot_start == coming)).scalars()
        )
    return [asset.name for asset in live if asset.asset_id not in made]


def discrepancy_rows(
    store: Store, community: Community, *, most: int = MOST_ROWS, lost: bool = False
) -> list[Mapping[str, Any]]:
    """Discrepancies, newest slot first: asset, slot (local time), both values, diagnosis, evidence, what to do.

    Args:
        store: where they are.
        community: for names and local time.
        most: rows.
        lost: those that were given up instead of the open ones; what is to do says why.
    """
    row = table_of(DiscrepancyRow)
    wanted = given_up(row) if lost else still_open(row)
    with store.reading() as connection:
        found = connection.execute(
            select(row).where(wanted).order_by(row.c.slot_start.desc(), row.c.asset_id).limit(most)
        ).all()
    names = {asset.asset_id: asset.name for asset in community.assets}
    zone = ZoneInfo(community.community.time_zone)
    return [
        {
            "asset": names.get(one.asset_id, one.asset_id),
            "slot": f"{one.slot_start.astimezone(zone):%Y-%m-%d %H:%M %Z}",
            "expected_wh": None if one.expected_wh is None else round(one.expected_wh, 3),
            "exchange_wh": None if one.exchange_wh is None else round(one.exchange_wh, 3),
            "diagnosis": one.diagnosis,
            "evidence": one.evidence,
            "what to do": f"Nothing, it is lost: {one.lost_reason}" if lost else one.repair,
        }
        for one in found
    ]


def feed_in_words(
    community: Community, summary: Mapping[str, Any], problems: Sequence[str], *, nothing: Sequence[str] = ()
) -> str:
    """A feed or backfill as a short Markdown text.

    Args:
        community: for its name.
        summary: as the run log holds it, step by step.
        problems: what went wrong.
        nothing: names of assets for which there was nothing to send.
    """
    lines = [f"{heading(community)}: {_sent(summary)}", ""]
    if collected := summary.get("collect"):
        lines.append(f"- collected {collected['fetched']:,} readings, {collected['stored']:,} of them new or changed")
        lines += _coverage(collected.get("coverage", {}))
    if validated := summary.get("validate"):
        broken = ", ".join(f"{name} {count:,}" for name, count in validated["by_expectation"].items())
        lines.append(
            f"- quarantined {validated['quarantined']:,} of {validated['judged']:,}"
            + (f" ({broken})" if broken else "")
            + (f"; {suspect:,} wait for later readings" if (suspect := validated.get("suspect")) else "")
            + ("; `slotfeed quarantine list` names them" if validated["quarantined"] else "")
        )
    if converted := summary.get("convert"):
        lines.append(f"- made {converted['slots']:,} slots, {converted['corrected']:,} of them corrections")
    if delivered := summary.get("deliver"):
        kwh = delivered["energy_wh"] / 1000
        waiting = delivered["given_back"] + delivered.get("left", 0)
        lines += [
            f"- the exchange took {delivered['accepted']:,} values ({kwh:,.3f} kWh forecast) "
            f"and refused {delivered['rejected']:,}",
            f"- {delivered['expired']:,} came too late, {waiting:,} wait for the next run",
        ]
    if nothing:
        names = ", ".join(map(in_markdown, nothing[:MOST_NAMES])) + (", ..." if len(nothing) > MOST_NAMES else "")
        lines.append(f"- nothing to send for {len(nothing):,} live asset(s), silent or put aside: {names}")
    return "\n".join(lines + problems_in_words(problems))


def _sent(summary: Mapping[str, Any]) -> str:
    """Whether all that was to be sent has been, in a few words."""
    delivered = summary.get("deliver")
    if delivered is None:
        return "sending did not come to its end" if "collect" in summary else "it did nothing"
    waiting = delivered["given_back"] + delivered.get("left", 0)
    troubles = {
        "refused {}": delivered["rejected"],
        "{} came too late": delivered["expired"],
        "{} wait for the next run": waiting,
    }
    told = [words.format(f"{count:,}") for words, count in troubles.items() if count]
    took = f"the exchange took {delivered['accepted']:,} values"
    return f"not all arrived; {took}, {', '.join(told)}" if told else f"all arrived that was due; {took}"


def reconcile_in_words(community: Community, summary: Mapping[str, Any], problems: Sequence[str]) -> str:
    """A reconciliation as a short Markdown text."""
    lines = [heading(community), ""]
    if found := summary.get("reconcile"):
        causes = ", ".join(f"{name} {count:,}" for name, count in found["by_diagnosis"].items())
        first, last = local(found["start"], community), local(found["end"], community)
        lines += [
            f"- compared {found['compared']:,} slots from {first} to {last}",
            f"- {found['confirmed']:,} agree, {found['discrepancies']:,} differ" + (f" ({causes})" if causes else ""),
            f"- {found['closed']:,} earlier discrepancies are closed: both sides agree now",
        ]
    if repair := summary.get("repair"):
        lines += repair_in_words(community, repair, summary.get("deliver"))
    return "\n".join(lines + problems_in_words(problems))


def _coverage(coverage: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the sources still owe, and what they had to say beside."""
    lines = []
    for source, of in coverage.items():
        told = []
        if late := len(of["due"]):
            told.append(f"{late:,} of {of['streams']:,} streams end before {of['asked_until']}")
        if gaps := of["gaps"]:
            told.append(f"{gaps:,} gap(s) will be asked for again")
        told += of["notes"]
        if told:
            lines.append(f"- source '{source}': {in_markdown('; '.join(told))}")
    return lines


def problems_in_words(problems: Sequence[str]) -> list[str]:
    """Lines of Markdown that end a run's words; none where nothing went wrong."""
    return ["", "Problems:", "", *(f"- {in_markdown(problem)}" for problem in problems)] if problems else []


def local(moment: str, community: Community) -> str:
    """An instant of a summary in the community's time."""
    return f"{datetime.fromisoformat(moment).astimezone(ZoneInfo(community.community.time_zone)):%Y-%m-%d %H:%M %Z}"


def heading(community: Community) -> str:
    """The community's name in bold."""
    return f"**{in_markdown(community.community.name)}**"
