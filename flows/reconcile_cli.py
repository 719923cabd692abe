"""`slotfeed reconcile`: what the exchange holds against what it should hold, and the repair of what differs."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from flows import screens
from flows.moments import parse_moment
from pipelines.errors import ConfigurationError, Issue

File = Annotated[Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.")]
DEFAULT_FILE = Path("community.yaml")


def reconcile(
    *,
    community: File = DEFAULT_FILE,
    start: Annotated[str | None, typer.Option(help="First slot: a date (local midnight) or a time.")] = None,
    end: Annotated[str | None, typer.Option(help="End, itself not included.")] = None,
    at: Annotated[str | None, typer.Option(help="Run as if it were this time: 2016-10-30T02:30+01:00.")] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Send again what may be sent again, and close as lost what can't be mended."),
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="With --repair: also what was refused so often that it is left alone.")
    ] = False,
) -> None:
    """Compare what the exchange holds with what it should hold, and say what mends it."""
    from flows.opened import open_community
    from flows.reconcile import reconcile_once
    from flows.session import open_run
    from pipelines.check import read_community
    from pipelines.report.rundown import discrepancy_rows

    if again and not repair:
        problem, remedy = "it stands without --repair", "Give both"
        raise ConfigurationError([Issue(where="command line", field="--again", problem=problem, remedy=remedy)])
    zone = read_community(community).community.time_zone
    first, last, moment = (
        None if text is None else parse_moment(text, option=option, zone=zone)
        for option, text in (("--start", start), ("--end", end), ("--at", at))
    )

    async def story() -> None:
        async with open_run("reconcile", community, at=moment, tell=screens.show_run) as run:
            await reconcile_once(run, start=first, end=last, repair=repair, regardless=again)

    asyncio.run(story())
    found, store = open_community(community)
    screens.show_discrepancies(discrepancy_rows(store, found), with_remedy=False)
