"""The command `slotfeed watch`."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from flows import screens
from pipelines.errors import IncompleteRun

if TYPE_CHECKING:
    from pipelines.watch import Incident

File = Annotated[Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.")]
At = Annotated[str | None, typer.Option(help="Look as if it were this time.")]
AsJson = Annotated[bool, typer.Option("--json", help="For other programs.")]


def watch(community: File = Path("community.yaml"), at: At = None, as_json: AsJson = False) -> None:
    """See what is wrong now and since when. Messages are sent by the deployment alone."""
    from flows.moments import parse_moment
    from flows.opened import open_community
    from flows.session import open_run
    from flows.watch import watch_once
    from pipelines.watch import standing

    found, store = open_community(community)
    moment = None if at is None else parse_moment(at, option="--at", zone=found.community.time_zone)

    async def look() -> None:
        async with open_run("watch", community, at=moment, tell=screens.show_problems) as run:
            await watch_once(run)

    incomplete: IncompleteRun | None = None
    try:
        asyncio.run(look())
    except IncompleteRun as error:
        incomplete = error
    _show(standing(store), as_json=as_json)
    if incomplete is not None:
        raise incomplete


def _show(incidents: "list[Incident]", *, as_json: bool) -> None:
    from pipelines.watch import headline

    if as_json:
        screens.show_json(
            {
                "incidents": [
                    {
                        "kind": one.kind.value,
                        "subject": one.subject,
                        "told": one.told,
                        "remedy": one.remedy,
                        "opened_at": one.opened_at.isoformat(),
                    }
                    for one in incidents
                ]
            }
        )
        return
    if not incidents:
        screens.out.print("[green]Nothing is wrong that the watch knows[/]")
    for one in incidents:
        place = escape(headline(one))
        since = f"since {one.opened_at:%Y-%m-%d %H:%M} UTC"
        screens.out.print(f"[red]{place}[/], {since}: {escape(one.told)}", soft_wrap=True)
        screens.out.print(f"  [dim]->[/] {escape(one.remedy)}", soft_wrap=True)
