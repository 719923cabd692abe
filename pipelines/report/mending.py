"""What a repair did or would do, and what waits for a person, as Markdown."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.community import Community
from pipelines.plain import in_markdown
from pipelines.report.times import span_text
from pipelines.report.words import counted

TOLD = 20
"""Instructions that are told one by one."""


def repair_in_words(community: Community, repair: Mapping[str, Any], delivered: Mapping[str, Any] | None) -> list[str]:
    """Lines of Markdown.

    Args:
        community: for local time.
        repair: the summary of the step, as the run log holds it.
        delivered: that of the delivery after it, where there was one.
    """
    lines = [*_done(repair, delivered)] if repair["acted"] else [*_would(repair)]
    if repair["held"]:
        lines.append(f"- left alone for now: {_by(repair['held'])}")
    if repair["lost_in_all"]:
        lost = counted(repair["lost_in_all"], "slot")
        lines.append(
            f"- lost so far: {lost}, {_kwh(repair['lost_in_all_wh'])} that the market counted wrongly for good"
        )
    return lines + _instructions(repair, ZoneInfo(community.community.time_zone))


def _done(repair: Mapping[str, Any], delivered: Mapping[str, Any] | None) -> Iterator[str]:
    if repair["resent"]:
        yield f"- set back to be sent again: {counted(repair['resent'], 'value')} ({_by(repair['resent_by'])})"
    if delivered and (repair["resent"] or delivered["accepted"] or delivered["rejected"]):
        yield f"- the exchange took {counted(delivered['accepted'], 'value')} and refused {delivered['rejected']:,}"
    if repair["lost"]:
        yield f"- closed as lost: {_lost(repair)}"
    if not repair["resent"] and not repair["lost"]:
        yield "- nothing was to be sent again or given up"


def _would(repair: Mapping[str, Any]) -> Iterator[str]:
    parts = []
    if repair["resent"]:
        parts.append(f"send {counted(repair['resent'], 'value')} again ({_by(repair['resent_by'])})")
    if repair["lost"]:
        parts.append(f"close {_lost(repair)} as lost")
    if parts:
        yield f"- nothing was changed; `slotfeed reconcile --repair` would {' and '.join(parts)}"


def _lost(repair: Mapping[str, Any]) -> str:
    return f"{counted(repair['lost'], 'slot')}, {_kwh(repair['lost_wh'])} ({_by(repair['lost_by'])})"


def _instructions(repair: Mapping[str, Any], zone: ZoneInfo) -> list[str]:
    waiting = [one for one in repair["instructions"] if not one["over"]]
    over = [one for one in repair["instructions"] if one["over"]]
    lines = []
    if over:
        passed = [
            f"{in_markdown(one['asset'])} {one['cause']} ({counted(one['slots'], 'slot')})" for one in over[:TOLD]
        ]
        lines.append(f"- over by now, later slots agree: {'; '.join(passed)}")
    if waiting:
        lines += ["", "Waiting for a person:", "", *(_instruction(one, zone) for one in waiting[:TOLD])]
    if more := len(waiting[TOLD:]) + len(over[TOLD:]) + repair["instructions_in_all"] - len(repair["instructions"]):
        lines.append(f"- and {more:,} more: `slotfeed report` tells them all")
    return lines


def _instruction(one: Mapping[str, Any], zone: ZoneInfo) -> str:
    span = span_text(datetime.fromisoformat(one["first"]), datetime.fromisoformat(one["last"]), zone)
    energy = f", {_kwh(one['wrong_wh'])} apart" if one["wrong_wh"] else ""
    evidence = f" ({in_markdown(one['evidence'])})" if one["evidence"] else ""
    return (
        f"- **{in_markdown(one['asset'])}**, {one['cause']}: {counted(one['slots'], 'slot')}, {span}{energy}. "
        f"{in_markdown(one['words'])}.{evidence}"
    )


def _by(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{words}: {number:,}" for words, number in counts.items())


def _kwh(energy_wh: float) -> str:
    return f"{energy_wh / 1000:,.3f} kWh"
