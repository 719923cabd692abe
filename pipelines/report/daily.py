"""The daily look at the data in words, from what its run noted."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.community import Community
from pipelines.plain import in_markdown
from pipelines.report.rundown import heading, problems_in_words


def quality_in_words(community: Community, summary: Mapping[str, Any], problems: Sequence[str]) -> str:
    """A quality run as a short Markdown text; `summary` as the run log holds it, step by step."""
    lines = [heading(community), ""]
    if (judged := summary.get("judge")) is not None:
        lines += _judged_words(judged)
    if (chosen := summary.get("choose")) is not None:
        lines += _chosen_words(chosen)
    if (published := summary.get("publish")) is not None:
        lines.append(f"- report: {published['report']}")
        if published["docs"]:
            lines.append(f"- Great Expectations' Data Docs: {published['docs']}")
    return "\n".join([*lines, *problems_in_words(problems)])


def quality_links(community: Community, summary: Mapping[str, Any]) -> dict[str, str]:
    """Name -> address of each page that was written: where it is served, or its file."""
    published = summary.get("publish") or {"report": None, "docs": None}
    pages = {"report": ("report.html", published["report"]), "docs": ("docs/index.html", published["docs"])}
    base = community.quality.url
    return {
        name: f"{base.rstrip('/')}/{page}" if base else Path(path).as_uri()
        for name, (page, path) in pages.items()
        if path
    }


def _judged_words(judged: Mapping[str, Any]) -> list[str]:
    if judged["first"] is None:
        return ["- no day is over yet"]
    found = ", ".join(f"{name} {count:,}" for name, count in sorted(judged["found"].items(), key=lambda one: -one[1]))
    return [
        f"- judged {judged['slots']:,} slots of {judged['first']} to {judged['last']}, "
        f"{judged['compared']:,} of them beside the exchange's value",
        f"- broken: {found}" if found else "- nothing broke a check",
        f"- {judged['closed']:,} earlier findings are closed",
    ]


def _chosen_words(chosen: Mapping[str, Any]) -> list[str]:
    lines = []
    if chosen["methods"]:
        methods = ", ".join(f"{name} {count:,}" for name, count in chosen["methods"].items())
        lines.append(f"- chose how to forecast {chosen['assets']:,} assets: {methods}")
    if (ratio := chosen["error_ratio"]) is not None:
        lines.append(f"- error of the forecasts so chosen: {100 * ratio:.1f} % of persistence's")
    return [*lines, *(f"- {in_markdown(notice)}" for notice in chosen["notices"])]
