"""A walk in words and rows, for screens, artifacts and other programs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.commission.names import Outcome
from pipelines.commission.verdicts import AssetStanding
from pipelines.community import Community
from pipelines.plain import in_markdown
from pipelines.report.rundown import heading, problems_in_words
from pipelines.report.words import counted

ORDER = (Outcome.SUSPENDED, Outcome.BLOCKED, Outcome.COLLECTING, Outcome.PROVEN)
"""What needs a person first."""

NAMED = 10
CAUSES = 8


def words_of(community: Community, summary: Mapping[str, Any], problems: Sequence[str]) -> str:
    """A walk as a short Markdown text; `summary` as the run log holds it, step by step."""
    lines = [heading(community), ""]
    if found := summary.get("commission"):
        counts = ", ".join(f"{found['by_outcome'].get(one.value, 0):,} {one.value}" for one in ORDER[::-1])
        lines.append(f"- {counted(found['assets'], 'asset')}: {counts}")
        causes = list(found["by_cause"].items())
        lines += [f"- {counted(number, 'asset')}: {in_markdown(cause)}" for cause, number in causes[:CAUSES]]
        if len(causes) > CAUSES:
            lines.append(f"- and {len(causes) - CAUSES:,} more causes")
        for count, names, words in (("issued", "newly_proven", "proven"), ("ended", "newly_suspended", "suspended")):
            if number := found[count]:
                more = f" and {number - NAMED:,} more" if number > NAMED else ""
                lines.append(f"- newly {words}: {in_markdown(', '.join(found[names][:NAMED]))}{more}")
    return "\n".join([*lines, *problems_in_words(problems)])


def rows_of(standings: Sequence[AssetStanding], zone: ZoneInfo) -> list[Mapping[str, Any]]:
    """A row per asset, those first that need a person, grouped by what blocks."""
    return [
        {
            "asset": one.asset.name,
            "type": one.asset.type.value.replace("_", " "),
            "stands": one.outcome.value,
            "steps": f"{one.reached}/6",
            "before": one.before.step.words if one.before else "",
            "since": _short(one.since, zone),
            "what was found": one.before.told if one.before else f"certificate {one.certificate}",
            "what to do": one.before.remedy if one.before else "",
        }
        for group in grouped(standings)
        for one in group
    ]


def grouped(standings: Sequence[AssetStanding]) -> list[list[AssetStanding]]:
    """Assets that stand alike: by outcome, step and cause; the largest group of an outcome first."""

    def key(one: AssetStanding) -> tuple[int, int, str]:
        before = one.before
        return ORDER.index(one.outcome), before.step if before else 0, before.cause if before else ""

    groups = [list(group) for _, group in groupby(sorted(standings, key=key), key=key)]
    return sorted(groups, key=lambda group: (ORDER.index(group[0].outcome), -len(group)))


def plain(standings: Sequence[AssetStanding], summary: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """For JSON."""
    return {
        "as_of": _iso(now),
        "summary": dict(summary),
        "assets": [
            {
                "asset": one.asset.name,
                "uuid": one.asset.uuid,
                "type": one.asset.type.value,
                "outcome": one.outcome.value,
                "since": _iso(one.since),
                "steps_reached": one.reached,
                "before": one.before.step.words if one.before else None,
                "cause": one.before.cause if one.before else None,
                "certificate": one.certificate or None,
                "steps": [
                    {
                        "step": step.step.words,
                        "mark": step.mark.value,
                        "told": step.told,
                        "cause": step.cause,
                        "remedy": step.remedy,
                        "since": None if step.since is None else _iso(step.since),
                    }
                    for step in one.steps
                ],
            }
            for one in standings
        ],
    }


def exit_status(standings: Sequence[AssetStanding]) -> int:
    """0: all are proven; 1: one is blocked or suspended; 3: nothing blocks, evidence is still to come."""
    outcomes = {one.outcome for one in standings}
    if outcomes & {Outcome.BLOCKED, Outcome.SUSPENDED}:
        return 1
    return 3 if Outcome.COLLECTING in outcomes else 0


def _iso(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _short(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M %Z}"
