"""`slotfeed grid-fees`: set what the file plans, or show it beside what stands."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows import screens
from flows.moments import parse_moment

if TYPE_CHECKING:
    from flows.session import Run

grid_fees = typer.Typer(help="Set the markets' grid fees as the file plans them, for the slot that begins next.")

File = Annotated[Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.")]
At = Annotated[str | None, typer.Option(help="Plan as if it were this time: 2016-10-30T02:30+01:00.")]
DEFAULT_FILE = Path("community.yaml")


@grid_fees.callback(invoke_without_command=True)
def set_(
    context: typer.Context,
    community: File = DEFAULT_FILE,
    at: At = None,
    dry_run: Annotated[bool, typer.Option(help="Show what would be set; set nothing.")] = False,
) -> None:
    """Set the markets' grid fees as the file plans them, for the slot that begins next."""
    if context.invoked_subcommand is None:
        asyncio.run(_run(community, _moment(at, community), dry_run=dry_run, table=False))


@grid_fees.command()
def show(community: File = DEFAULT_FILE, at: At = None) -> None:
    """Show what stands in each market, what should, and what comes next; in ct/kWh."""
    asyncio.run(_run(community, _moment(at, community), dry_run=True, table=True))


async def _run(community: Path, at: datetime | None, *, dry_run: bool, table: bool) -> None:
    from flows.session import open_run
    from flows.upkeep_steps import grid_fees as set_fees

    async with open_run("grid-fees", community, at=at, tell=_show_table if table else _show_words) as run:
        await set_fees(run, at=at, dry_run=dry_run)


async def _show_words(run: "Run") -> None:
    from rich.markdown import Markdown

    from pipelines.report.upkeep import fees_in_words

    screens.out.print(Markdown(fees_in_words(run.community, run.summary, run.problems)))


async def _show_table(run: "Run") -> None:
    from pipelines.report.upkeep import fee_rows

    rows = fee_rows(run.community, run.summary)
    screens.show_rows("Grid fees, ct/kWh", rows, empty="The file plans no grid fees")


def _moment(text: str | None, path: Path) -> datetime | None:
    from pipelines.check import read_community

    return None if text is None else parse_moment(text, option="--at", zone=read_community(path).community.time_zone)
