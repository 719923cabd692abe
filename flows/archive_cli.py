"""`slotfeed archive`: keep the exchange's results, list and verify what is kept, add a download."""

import asyncio
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from flows import screens
from pipelines.clock import WallClock
from pipelines.errors import ConfigurationError, Issue

if TYPE_CHECKING:
    from flows.session import Run
    from pipelines.archive import Day
    from pipelines.community import Community

archive = typer.Typer(no_args_is_help=True, help="The exchange's results, kept for longer than its 90 days.")

File = Annotated[Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.")]
DEFAULT_FILE = Path("community.yaml")


@archive.command("run")
def run_(
    community: File = DEFAULT_FILE,
    start: Annotated[
        str | None, typer.Option(help="First day (UTC), such as 2026-03-01; by default all that the exchange keeps.")
    ] = None,
) -> None:
    """Fetch, check and keep each finished day that isn't kept yet."""
    asyncio.run(_keep(community, None if start is None else _day(start)))


@archive.command("list")
def list_(
    community: File = DEFAULT_FILE,
    most: Annotated[int, typer.Option(help="Days to show, the newest.")] = 50,
) -> None:
    """Show the days that are kept, and the downloads."""
    from pipelines.archive.manifest import read_manifest

    found, root = _place(community)
    manifest = read_manifest(root, simulation=found.community.simulation_uuid)
    rows = [
        {
            "day (UTC)": day,
            "assets": entry.assets,
            "slots": f"{entry.slots_found:,} of {entry.slots_expected:,}",
            "state": _state(entry),
            "read at": f"{entry.read_at:%Y-%m-%d %H:%M} UTC",
        }
        for day, entry in list(manifest.days.items())[-most:]
    ]
    screens.show_rows(f"{len(manifest.days):,} days in {root}", rows, empty="No day is kept yet")
    for entry in manifest.downloads.values():
        screens.out.print(
            f"download {escape(entry.name)}: {entry.assets:,} assets, {entry.rows:,} slots", soft_wrap=True
        )


@archive.command()
def verify(community: File = DEFAULT_FILE) -> None:
    """Prove that every file is there and unchanged; exit 1 where one isn't."""
    from pipelines.archive import verify as look

    found, root = _place(community)
    manifest, troubles = look(root, simulation=found.community.simulation_uuid)
    for trouble in troubles:
        screens.err.print(f"[red]{escape(trouble.file)}[/] {escape(trouble.problem)}", soft_wrap=True)
        screens.err.print(f"  [dim]->[/] {escape(trouble.remedy)}", soft_wrap=True)
    if troubles:
        raise typer.Exit(1)
    screens.out.print(
        f"[green]The archive is sound[/]: {len(manifest.days):,} days, {len(manifest.downloads):,} downloads"
    )


@archive.command()
def add(
    download: Annotated[Path, typer.Argument(help="Results, downloaded from the exchange's user interface (zip).")],
    community: File = DEFAULT_FILE,
) -> None:
    """Keep a results download, and its profiles and trades as Parquet."""
    from pipelines.archive import add_download

    found, root = _place(community)
    entry, new = add_download(
        download,
        root=root,
        simulation=found.community.simulation_uuid,
        known={asset.asset_id: asset.name for asset in found.assets},
        now=WallClock().now(),
    )
    told = f"{entry.assets:,} assets, {entry.rows:,} slots, in {root / entry.parquet_file}"
    screens.out.print(escape(f"Added: {told}" if new else f"It is in the archive already: {told}"), soft_wrap=True)


async def _keep(community: Path, start: date | None) -> None:
    from flows.session import open_run
    from flows.upkeep_steps import archive as keep

    async with open_run("archive", community, tell=_show) as run:
        await keep(run, start=start)


async def _show(run: "Run") -> None:
    from rich.markdown import Markdown

    from pipelines.report.upkeep import archive_in_words

    screens.out.print(Markdown(archive_in_words(run.community, run.summary, run.problems)))


def _state(entry: "Day") -> str:
    if entry.complete:
        return "complete"
    return "kept with gaps" if entry.settled else "gaps, fetched again"


def _place(path: Path) -> "tuple[Community, Path]":
    from pipelines.archive import archive_folder
    from pipelines.check import read_community

    community = read_community(path)
    return community, archive_folder(community, path.resolve().parent)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        issue = Issue(
            where="command line", field="--start", problem=f"can't read {text!r}", remedy="Write a day: 2026-03-01"
        )
        raise ConfigurationError([issue]) from error
