"""`slotfeed assets`: the exchange's registry beside the community file."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from flows import screens
from pipelines.errors import AuthenticationError, Severity, SlotfeedError

if TYPE_CHECKING:
    from pipelines.exchange.registry import Place
    from pipelines.sync import Change, CommunityFile, Comparison

assets = typer.Typer(no_args_is_help=True, help="The exchange's assets, and the file's.")

File = Annotated[Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.")]
DEFAULT_FILE = Path("community.yaml")

SHOWN = 50
"""Assets that only one side has; of more, how many."""


@assets.command("list")
def list_(community: File = DEFAULT_FILE) -> None:
    """Show the exchange's assets, and which of them the file has."""
    from pipelines.sync import read_file

    file = read_file(community)
    places, live = asyncio.run(_ask(file))
    names = {asset.uuid: asset.name for asset in file.assets}
    rows = [
        {
            "name": place.area.name,
            "in": " / ".join(place.path),
            "uuid": place.area.uuid,
            "type": place.area.type,
            "live": _switch(place, live),
            "aggregator": place.area.aggregator,
            "in the file": names.get(place.area.uuid) if place.area.uuid else None,
        }
        for place in places
    ]
    screens.show_rows("Assets of the exchange", rows, empty="The exchange's registry has no asset")


@assets.command()
def sync(
    community: File = DEFAULT_FILE,
    dry_run: Annotated[bool, typer.Option(help="Show what would change; write nothing.")] = False,
) -> None:
    """Write the exchange's uuids and live switches into the file, by the assets' names."""
    from pipelines.sync import compare, edited, read_file, save

    file = read_file(community)
    places, live = asyncio.run(_ask(file))
    found = compare(file.assets, places, live)
    _show_one_sided(found)
    screens.show_issues(found.issues)
    if found.changes:
        new = edited(file.text, found.changes)
        if not dry_run:
            save(file, new)
        title = f"Would be changed in {community}" if dry_run else f"Changed in {community}"
        screens.show_rows(title, [_row(change) for change in found.changes], empty="")
    else:
        screens.out.print(f"Nothing to change in {escape(str(community))}", soft_wrap=True)
    if any(issue.severity is Severity.FAULT for issue in found.issues):
        raise typer.Exit(1)


def _row(change: "Change") -> dict[str, str]:
    return {
        "asset": change.asset.name,
        "field": change.field,
        "old": _told(change.old),
        "new": _told(change.new),
    }


def _told(value: str | bool | None) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else value


def _switch(place: "Place", live: frozenset[str] | None) -> str:
    if live is None:
        return "unknown"
    return "on" if place.area.uuid in live else "off"


def _show_one_sided(found: "Comparison") -> None:
    _show_listed("The exchange has, and the file hasn't", [f"{one.area.name}: {one.told}" for one in found.only_there])
    _show_listed("The file has, and the exchange hasn't", [one.name for one in found.only_here])


def _show_listed(title: str, lines: list[str]) -> None:
    if not lines:
        return
    screens.out.print(f"[bold]{title}[/] ({len(lines):,}):")
    for line in lines[:SHOWN]:
        screens.out.print(f"  {escape(line)}", soft_wrap=True)
    if len(lines) > SHOWN:
        screens.out.print(f"  and {len(lines) - SHOWN:,} more")


async def _ask(file: "CommunityFile") -> "tuple[list[Place], frozenset[str] | None]":
    """The registry's assets, and the uuids whose live switch is on (None, said on the screen, where it isn't told)."""
    from flows.logged_in import logged_in
    from pipelines.exchange.graphql import live_switches
    from pipelines.exchange.registry import asset_places, read_registry

    async with logged_in(file.base_url, file.path.resolve().parent, allow_http=file.allow_http) as client:
        places = asset_places(await read_registry(client, file.simulation))
        try:
            return places, await live_switches(client, file.simulation)
        except AuthenticationError:
            raise
        except SlotfeedError as error:
            told = f"[yellow]The live switches can't be read[/], so `live` stays as it is: {escape(str(error))}"
            screens.err.print(told, soft_wrap=True)
            return places, None
