"""Grid fees and the archive in words and rows, from what a run noted."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.community import Community
from pipelines.plain import in_markdown
from pipelines.report.rundown import heading, local, problems_in_words

SHOWN = 10


def fees_in_words(community: Community, summary: Mapping[str, Any], problems: Sequence[str]) -> str:
    """A grid-fees run as a short Markdown text; `summary` as the run log holds it."""
    lines = [heading(community), ""]
    if (found := summary.get("grid_fees")) is not None:
        markets = found["markets"]
        if not markets:
            lines.append("- nothing to do: the file plans no grid fees")
        elif all(market["outcome"] == "stands" for market in markets):
            lines.append(f"- nothing to do: all {len(markets):,} grid fees stand as planned")
        else:
            lines += [f"- {in_markdown(_market_words(market))}" for market in markets if market["outcome"] != "stands"]
        if markets:
            lines.append(f"- for the slot from {local(found['slot_start'], community)} on")
    return "\n".join([*lines, *problems_in_words(problems)])


def fee_rows(community: Community, summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Each market: what stands at the exchange, what should, and what comes next."""
    found = summary.get("grid_fees")
    return [] if found is None else [_fee_row(community, market) for market in found["markets"]]


def archive_in_words(community: Community, summary: Mapping[str, Any], problems: Sequence[str]) -> str:
    """An archive run as a short Markdown text."""
    lines = [heading(community), ""]
    if (found := summary.get("archive")) is not None:
        if any(found[key] for key in ("complete", "settled_with_gaps", "open_with_gaps", "waiting")):
            lines.append(f"- kept {_days(found['complete'])} whole, {found['rows']:,} values written")
        else:
            lines.append("- nothing to do: every day that is over is kept, or no asset was live on one")
        for key, words in (
            ("settled_with_gaps", "kept for good with slots missing"),
            ("open_with_gaps", "kept with slots missing, fetched again next time"),
            ("waiting", "not fetched: nothing could be read"),
        ):
            if found[key]:
                lines.append(f"- {_days(found[key])} {words}: {', '.join(found[key][:SHOWN])}")
    return "\n".join([*lines, *problems_in_words(problems)])


def archive_rows(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Each day with gaps and how many slots are missing."""
    found = summary.get("archive") or {"missing": {}}
    return [{"day": day, "slots missing": count} for day, count in found["missing"].items()]


def _market_words(market: Mapping[str, Any]) -> str:
    before = "unknown" if market["present"] is None else f"{market['present']:g}"
    words = f"market '{market['market']}': {before} -> {market['wanted']:g} ct/kWh, {market['outcome']}"
    return f"{words} ({market['note']})" if market["note"] else words


def _fee_row(community: Community, market: Mapping[str, Any]) -> Mapping[str, Any]:
    change = market["next_change"]
    coming = "none planned" if change is None else f"{change['cents_per_kwh']:g} from {local(change['at'], community)}"
    return {
        "market": market["market"],
        "at the exchange": "not told" if market["present"] is None else f"{market['present']:g}",
        "should be": f"{market['wanted']:g}",
        "next change": coming,
        "note": market["note"],
    }


def _days(days: Sequence[str]) -> str:
    return f"{len(days):,} day(s)"
