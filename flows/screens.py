"""What the command line prints."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipelines.errors import ConfigurationError, Issue, Severity, SlotfeedError
from pipelines.plain import plain_lines
from pipelines.report.daily import quality_in_words
from pipelines.report.figures import Status
from pipelines.report.rundown import feed_in_words, reconcile_in_words
from pipelines.report.words import counted

if TYPE_CHECKING:
    from flows.session import Run


class _Screen(Console):
    """A console on which no text from elsewhere moves the cursor, hides lines or turns words round."""

    def render_str(self, text: str, **how: Any) -> Text:  # noqa: ANN401 - as inherited
        """Whatever is printed as a string, and every cell of a table."""
        return super().render_str(plain_lines(text), **how)


out = _Screen(highlight=False)
err = _Screen(stderr=True, highlight=False)

SLOTS_SHOWN = 3
"""Slots of one asset and cause that are printed; of the rest it says how many."""

ASSETS_APART = 3
"""So many assets with the same cause are printed each by itself."""


def show_issues(issues: Iterable[Issue]) -> None:
    """Each finding on its own: what, where, what would be right."""
    for issue in issues:
        colour = "red" if issue.severity is Severity.FAULT else "yellow"
        place = f"{issue.where}, {issue.field}" if issue.field else issue.where
        err.print(f"[{colour}]{issue.severity}[/] [bold]{escape(place)}[/]\n  {escape(issue.problem)}", soft_wrap=True)
        err.print(f"  [dim]->[/] {escape(issue.remedy)}", soft_wrap=True)


def show_error(error: SlotfeedError) -> None:
    """An error in one message, on stderr."""
    if isinstance(error, ConfigurationError):
        show_issues(error.issues)
    else:
        err.print(f"[red]error[/] {escape(str(error))}", soft_wrap=True)


def show_incomplete(problems: Sequence[str]) -> None:
    """That a run has failed in part; what failed stands in its words already."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems):,} problems"
    err.print(f"[yellow]incomplete[/] {count}, told above; the next run picks up what failed")


async def show_problems(run: "Run") -> None:
    """What went wrong in a run that tells the rest while it goes on."""
    for problem in run.problems:
        err.print(f"[yellow]problem[/] {escape(problem)}", soft_wrap=True)


async def show_run(run: "Run") -> None:
    """What a run did, in words."""
    words = reconcile_in_words if "reconcile" in run.summary else feed_in_words
    out.print(Markdown(words(run.community, run.summary, run.problems)))


async def show_quality(run: "Run") -> None:
    """What a daily look found, and where it stands."""
    out.print(Markdown(quality_in_words(run.community, run.summary, run.problems)))


def show_rows(title: str, rows: Iterable[Mapping[str, Any]], *, empty: str) -> None:
    """Rows with the same keys as a table."""
    rows = list(rows)
    if not rows:
        out.print(f"[green]{escape(empty)}[/]")
        return
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in rows[0]:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else escape(str(value)) for value in row.values()))
    out.print(table)


def show_discrepancies(rows: Sequence[Mapping[str, Any]], *, with_remedy: bool = True) -> None:
    """Open discrepancies as `discrepancy_rows` gives them, by cause, and by asset where only few have the cause.

    Args:
        rows: newest slot first.
        with_remedy: also what to do about each cause.
    """
    if not rows:
        out.print("[green]No discrepancy is open[/]")
        return
    out.print(f"[bold]Open discrepancies[/] (the newest {len(rows):,})")
    for same in _by_cause(rows):
        first, assets = same[0], len({row["asset"] for row in same})
        whose = escape(first["asset"]) if assets == 1 else f"{assets:,} assets"
        out.print(f"  [yellow]{first['diagnosis']}[/] [bold]{whose}[/]: {counted(len(same), 'slot')}")
        for row in same[:SLOTS_SHOWN]:
            place = row["slot"] if assets == 1 else escape(f"{row['asset']}, {row['slot']}")
            out.print(f"    {place}: should be {_wh(row['expected_wh'])}, exchange has {_wh(row['exchange_wh'])}")
        if len(same) > SLOTS_SHOWN:
            out.print(f"    and {len(same) - SLOTS_SHOWN:,} more, back to {same[-1]['slot']}")
        out.print(f"    {escape(first['evidence'])}", soft_wrap=True)
        if with_remedy:
            out.print(f"    [dim]->[/] {escape(first['what to do'])}", soft_wrap=True)


def _by_cause(rows: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    causes: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for row in rows:
        causes.setdefault(row["diagnosis"], {}).setdefault(row["asset"], []).append(row)
    groups = []
    for diagnosis, by_asset in causes.items():
        few = len(by_asset) <= ASSETS_APART
        groups += list(by_asset.values()) if few else [[row for row in rows if row["diagnosis"] == diagnosis]]
    return groups


def _wh(energy_wh: float | None) -> str:
    return "no value" if energy_wh is None else f"{energy_wh:,.3f} Wh"


def show_json(document: Mapping[str, Any]) -> None:
    """Plain JSON for other programs."""
    out.print_json(json.dumps(document), ensure_ascii=True)


def show_status(status: Status) -> None:
    """The community's figures and what is open."""
    out.print(figures(status))
    if status.discrepancies:
        causes = [{"diagnosis": name, "slots": count} for name, count in status.discrepancies.items()]
        show_rows("Open discrepancies", causes, empty="")
    if status.not_final.count:
        out.print(f"[yellow]{status.not_final.count:,} slots have no final state yet[/]")


def figures(status: Status) -> Table:
    """The table that a demo and `slotfeed status` end with."""
    table = Table(title=escape(status.community), title_justify="left", box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    states = status.submissions.get("forecast", {})
    if status.start and status.end:
        table.add_row("period (UTC)", f"{status.start:%Y-%m-%d %H:%M} to {status.end:%Y-%m-%d %H:%M}")
    table.add_row("assets", f"{status.assets:,}")
    table.add_row("slots", f"{status.slots:,}")
    table.add_row("energy sent", f"{status.energy_sent_wh / 1000:,.3f} kWh")
    table.add_row("energy confirmed", f"{status.energy_confirmed_wh / 1000:,.3f} kWh")
    table.add_row("slots confirmed", f"{states.get('confirmed', 0):,}")
    for state in ("pending", "sending", "accepted", "expired", "rejected"):
        if states.get(state):
            table.add_row(f"slots {state}", f"{states[state]:,}")
    for state, words in (("accepted", "accepted"), ("pending", "waiting")):
        if count := status.submissions.get("measurement", {}).get(state):
            table.add_row(f"measurements {words}", f"{count:,}")
    for name, count in status.discrepancies.items():
        table.add_row(f"open discrepancies: {name}", f"{count:,}")
    if not status.discrepancies:
        table.add_row("open discrepancies", "0")
    if status.lost_discrepancies:
        lost = f"{status.lost_discrepancies:,} ({status.lost_wh / 1000:,.3f} kWh)"
        table.add_row("lost: counted wrongly for good", lost)
    table.add_row("quarantined readings", f"{status.quarantined:,}")
    if status.suspect:
        table.add_row("suspect readings", f"{status.suspect:,}")
    return table
