"""`slotfeed retention`: old rows out of the database and back; `slotfeed backup`: a copy of it while feeds run."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from flows import screens
from flows.moments import parse_moment
from flows.opened import open_community
from pipelines.errors import ConfigurationError, Issue

if TYPE_CHECKING:
    from datetime import datetime

    from pipelines.community import Community

retention = typer.Typer(no_args_is_help=True, help="Rows that leave the database for Parquet files when they are old.")

File = Annotated[Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.")]
DEFAULT_FILE = Path("community.yaml")
MB = 1e6


@retention.command("run")
def run_(community: File = DEFAULT_FILE) -> None:
    """Move what is older than the community file's `retention:` says, and that nothing waits for."""
    asyncio.run(_move(community))


@retention.command()
def status(community: File = DEFAULT_FILE) -> None:
    """Show how many rows are in the database and in files."""
    from pipelines.retention import standing_of
    from pipelines.retention.run import size_of

    found, store = open_community(community)
    root = _root(found, community)
    rows = [
        {
            "rows": one.kind,
            "in the database": "with readings" if one.in_store is None else f"{one.in_store:,}",
            "in files": f"{one.aged:,}",
            "files": f"{one.files:,}",
            "MB": f"{one.size_bytes / MB:,.1f}",
            "days (UTC)": "" if one.first is None else f"{one.first} to {one.last}",
        }
        for one in standing_of(store, root)
    ]
    screens.show_rows(f"The database takes {size_of(store) / MB:,.1f} MB; files in {root}", rows, empty="")
    if not found.retention.on:
        screens.out.print("Nothing moves: the community file has no days under `retention:`")


@retention.command()
def verify(community: File = DEFAULT_FILE) -> None:
    """Prove that every file is there and unchanged; exit 1 where one isn't."""
    from pipelines.retention import verify as look

    found, store = open_community(community)
    sound, troubles = look(store, _root(found, community))
    for trouble in troubles:
        screens.err.print(f"[red]{escape(trouble.file)}[/] {escape(trouble.problem)}", soft_wrap=True)
    if troubles:
        raise typer.Exit(1)
    screens.out.print(f"[green]All files are sound[/]: {sound:,}")


@retention.command()
def restore(
    start: Annotated[str, typer.Option(help="First day or time.")],
    end: Annotated[str, typer.Option(help="End, itself not included.")],
    community: File = DEFAULT_FILE,
) -> None:
    """Write a stretch's rows, and those of two days around it, into the database again.

    They leave again with the next run, unless `retention:` lets them stay.
    """
    from pipelines.retention import restore as bring

    found, store = open_community(community)
    first, last = (_moment(text, option, found) for text, option in ((start, "--start"), (end, "--end")))
    if last <= first:
        issue = Issue(
            where="command line", field="--end", problem="the end isn't after the start", remedy="Give a later end"
        )
        raise ConfigurationError([issue])
    screens.out.print(f"Brought back {bring(store, start=first, end=last):,} rows")


@retention.command()
def compact(community: File = DEFAULT_FILE) -> None:
    """Give the room that rows have left back to the disk (SQLite; nobody else writes meanwhile)."""
    from pipelines.retention.run import compact as shrink

    _, store = open_community(community)
    if store.engine.dialect.name != "sqlite":
        screens.out.print("PostgreSQL gives the room to new rows by itself; nothing was done")
        return
    before, after = shrink(store)
    screens.out.print(f"The database took {before / MB:,.1f} MB and takes {after / MB:,.1f} MB now")


def backup(
    file: Annotated[Path, typer.Argument(help="The copy; it must not be there yet.")],
    community: File = DEFAULT_FILE,
) -> None:
    """Copy the database into a file while feeds run (SQLite; PostgreSQL has pg_dump), and prove the copy."""
    from pipelines.store.backup import back_up

    _, store = open_community(community)
    size = back_up(store, file)
    screens.out.print(
        f"Wrote {file}, {size / MB:,.1f} MB, and found it sound. Keep with it: the community file, .env, the folders "
        "of `archive` and `retention`",
        soft_wrap=True,
    )


async def _move(community: Path) -> None:
    from flows.session import open_run, tell_nobody
    from flows.upkeep_steps import retention as move

    async with open_run("retention", community, tell=tell_nobody) as run:
        report = await move(run)
    if not run.community.retention.on:
        screens.out.print("Nothing to do: the community file has no days under `retention:`")
        return
    screens.out.print(
        f"{report.taken_out:,} rows left the database; {report.written:,} were written into {report.files:,} files"
    )


def _root(found: "Community", path: Path) -> Path:
    from pipelines.store.aged import aged_folder

    return aged_folder(found, path.resolve().parent)


def _moment(text: str, option: str, found: "Community") -> "datetime":
    return parse_moment(text, option=option, zone=found.community.time_zone)
