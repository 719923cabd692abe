"""The `slotfeed` command. Heavy parts are imported by the command that needs them."""

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from flows import screens
from flows.archive_cli import archive
from flows.assets_cli import assets
from flows.automations_cli import automations
from flows.backtest_cli import backtest
from flows.commission_cli import commission
from flows.doctor_cli import doctor
from flows.exchange_cli import aggregators
from flows.fleet_cli import deployments, fleet
from flows.grid_cli import grid_fees
from flows.listen_cli import listen
from flows.metrics_cli import metrics
from flows.moments import midnight, parse_moment
from flows.opened import closing_stores, open_community
from flows.profiles_cli import profiles
from flows.quality_cli import checks, findings, quality
from flows.reconcile_cli import reconcile
from flows.retention_cli import backup, retention
from flows.sandbox_cli import sandbox
from flows.serve_cli import serve
from flows.sources_cli import sources
from flows.status_cli import status
from flows.stopping import exit_on_sigterm
from flows.watch_cli import watch
from pipelines.clock import WallClock
from pipelines.errors import ConfigurationError, IncompleteRun, Issue, Severity, SlotfeedError

if TYPE_CHECKING:
    from flows.session import Run

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
quarantine = typer.Typer(no_args_is_help=True, help="Readings that broke an expectation, and what to do with them.")

File = Annotated[
    Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.", show_default=True)
]
At = Annotated[str | None, typer.Option(help="Run as if it were this time: 2016-10-30T02:30+01:00.")]
Start = Annotated[str | None, typer.Option(help="First slot: a date (local midnight) or a time.")]
End = Annotated[str | None, typer.Option(help="End, itself not included.")]
DEFAULT_FILE = Path("community.yaml")
REPORTED_DAYS = 7
"""Before the report's last day, where nobody says otherwise; its weeks go further back."""


def main() -> None:
    """Run the command line: exit 0 on success, 1 on an error told in words, 130 on Ctrl-C, 143 on SIGTERM."""
    # An ad hoc run tells its own story; Prefect's log lines would stand between.
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        with exit_on_sigterm(), closing_stores():
            app()
    except IncompleteRun as error:
        screens.show_incomplete(error.problems)
        sys.exit(1)
    except SlotfeedError as error:
        screens.show_error(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _tell_release(wanted: bool) -> None:
    if wanted:
        screens.out.print(f"slotfeed {version('slotfeed')}", highlight=False)
        raise typer.Exit


@app.callback()
def root(
    release: Annotated[
        bool, typer.Option("--version", callback=_tell_release, is_eager=True, help="Tell which release this is.")
    ] = False,
) -> None:
    """Energy of a community, slot by slot."""


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = DEFAULT_FILE,
    from_registry: Annotated[
        Path | None, typer.Option(help="Simulation config JSON, downloaded from the exchange's Registry page.")
    ] = None,
    from_datasheet: Annotated[Path | None, typer.Option(help="GSy's community data sheet (xlsx).")] = None,
) -> None:
    """Write a commented community file to start from."""
    from pipelines import starter

    if from_registry is not None and from_datasheet is not None:
        raise _fault("--from-registry", "it stands beside --from-datasheet", "Name one of them")
    if from_registry is not None:
        from pipelines.gsy_files.config import read_config

        text = starter.yaml_from_registry(read_config(from_registry), origin=from_registry.name)
    elif from_datasheet is not None:
        from pipelines.gsy_files.datasheet import read_datasheet

        text = starter.yaml_from_datasheet(read_datasheet(from_datasheet), origin=from_datasheet.name)
    else:
        text = starter.example_yaml()
    starter.write_starter(path, text)
    screens.out.print(f"Wrote {path}. Fill it in, then run: slotfeed check --community {path}")


@app.command()
def check(
    community: File = DEFAULT_FILE,
    connect: Annotated[bool, typer.Option(help="Also try the sources and the exchange.")] = False,
) -> None:
    """List every fault of the community file at once; exit 1 if there is any."""
    from pipelines.check import check_community

    found, issues = check_community(community)
    if connect and found is not None:
        from flows.trial import try_connections

        issues = [*issues, *asyncio.run(try_connections(found, community.resolve().parent))]
    screens.show_issues(issues)
    faults = sum(issue.severity is Severity.FAULT for issue in issues)
    if faults:
        screens.err.print(f"[red]{faults} fault(s)[/]; nothing runs until they are mended")
        raise typer.Exit(1)
    assets = len(found.assets) if found else 0
    screens.out.print(f"[green]{community} is sound[/]: {assets} assets, {len(issues)} notice(s)")


@app.command()
def feed(
    community: File = DEFAULT_FILE,
    at: At = None,
    dry_run: Annotated[
        bool, typer.Option(help="Show what would be sent beside what the exchange has; send nothing.")
    ] = False,
    share: Annotated[str, typer.Option(help="Carry this part of the assets alone, such as 2/3.")] = "1/1",
) -> None:
    """Collect, validate, convert and deliver, once."""
    moment = _moment(at, "--at", community)
    if dry_run:
        if share != "1/1":
            raise _fault("--share", "it stands beside --dry-run, which looks at all assets", "Leave one of them out")
        from flows.dry_run import dry_run as compare

        rows = asyncio.run(compare(community, at=moment))
        screens.show_rows("Would be sent", rows, empty="Nothing is due: no asset has a recent measured slot")
        return
    from flows.feed import feed_once

    asyncio.run(_ad_hoc("feed", community, moment, feed_once, share=share))


@app.command()
def backfill(
    start: Annotated[str, typer.Option(help="First day or time.")],
    end: Annotated[str, typer.Option(help="End, itself not included.")],
    community: File = DEFAULT_FILE,
    at: At = None,
) -> None:
    """Load history from the meters; nothing is sent."""
    from flows.backfill import load_history

    zone = _zone(community)
    first, last = parse_moment(start, option="--start", zone=zone), parse_moment(end, option="--end", zone=zone)
    if last <= first:
        raise _fault("--end", "the end isn't after the start", "Give a later end")
    story = partial(load_history, start=first, end=last)
    asyncio.run(_ad_hoc("backfill", community, _moment(at, "--at", community), story))


@app.command()
def report(
    community: File = DEFAULT_FILE,
    start: Start = None,
    end: End = None,
    output: Annotated[Path, typer.Option(help="The page to write.")] = Path("slotfeed-report.html"),
) -> None:
    """Write the report, of the last seven days or of any: one HTML file that opens offline."""
    from pipelines.report.run import write_report
    from pipelines.report.status import status as sum_up

    found, store = open_community(community)
    known = sum_up(store, found, within=timedelta(days=REPORTED_DAYS))
    now = WallClock().now()
    last = _moment(end, "--end", community) or known.end or now
    week = midnight(last, found.community.time_zone, days_before=REPORTED_DAYS)
    first = _moment(start, "--start", community) or max(known.start or week, week)
    path = write_report(store, found, start=first, end=last, now=now, path=output)
    screens.out.print(f"Wrote {path}")


@quarantine.command("list")
def list_(
    community: File = DEFAULT_FILE,
    most: Annotated[int, typer.Option(help="Rows to show.")] = 50,
) -> None:
    """Show what waits for a correction or a person."""
    from pipelines.validate.quarantine import list_quarantined

    found, store = open_community(community)
    zone = ZoneInfo(found.community.time_zone)
    rows = [
        {
            "id": row["id"],
            "stream": row["stream_id"],
            "time": "unreadable" if row["ts"] is None else f"{row['ts'].astimezone(zone):%Y-%m-%d %H:%M %Z}",
            "value": "none" if row["value"] is None else f"{row['value']:,.1f} {row['unit']}",
            "broke": row["broken"].replace(",", ", ")
            + (" (suspect, waits for later readings)" if row["verdict"] == "suspect" else ""),
        }
        for row in list_quarantined(store, limit=most).iter_rows(named=True)
    ]
    screens.show_rows("Quarantined readings", rows, empty="No reading is in quarantine")


Ids = Annotated[list[int], typer.Argument(help="Numbers from `slotfeed quarantine list`.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the reading.")]


@quarantine.command()
def release(ids: Ids, reason: Reason, community: File = DEFAULT_FILE) -> None:
    """Let readings through: the next feed makes energy of them."""
    from pipelines.validate import quarantine as rows

    _, store = open_community(community)
    screens.out.print(f"Released {rows.release(store, ids, reason=reason, now=WallClock().now())} reading(s)")


@quarantine.command()
def discard(ids: Ids, reason: Reason, community: File = DEFAULT_FILE) -> None:
    """Throw readings out for good; they stay in the record."""
    from pipelines.validate import quarantine as rows

    _, store = open_community(community)
    screens.out.print(f"Discarded {rows.discard(store, ids, reason=reason, now=WallClock().now())} reading(s)")


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the databases and the report.")] = Path("demo-output"),
    protocol: Annotated[str, typer.Option(help="rest, sdk or batch.")] = "rest",
) -> None:
    """Replay a real day of a real community against the sandbox's exchange."""
    from flows.demo import run_demo

    if not asyncio.run(run_demo(output, protocol=protocol)):
        raise typer.Exit(1)


# In the order in which `--help` lists them.
app.command()(reconcile)
app.command()(status)
app.command()(doctor)
app.command()(watch)
app.command()(quality)
app.command()(findings)
app.command()(checks)
app.command()(commission)
app.command()(backtest)
app.command()(serve)
app.command()(fleet)
app.command()(deployments)
app.command()(automations)
app.command()(listen)
app.command()(backup)
app.add_typer(quarantine, name="quarantine")
app.add_typer(sources, name="sources")
app.add_typer(assets, name="assets")
app.add_typer(profiles, name="profiles")
app.add_typer(grid_fees, name="grid-fees")
app.add_typer(aggregators, name="aggregators")
app.add_typer(archive, name="archive")
app.add_typer(retention, name="retention")
app.add_typer(metrics, name="metrics")
app.add_typer(sandbox, name="sandbox")


async def _ad_hoc(
    command: str,
    community: Path,
    at: datetime | None,
    story: Callable[["Run"], Awaitable[object]],
    *,
    share: str = "1/1",
) -> None:
    """Run a flow's story without Prefect's server, and show what it did, also where it ends in an error."""
    from flows.session import open_run
    from pipelines.shares import Share

    async with open_run(command, community, at=at, tell=screens.show_run, share=Share.parse(share)) as run:
        await story(run)


def _moment(text: str | None, option: str, path: Path) -> datetime | None:
    if text is None:
        return None
    return parse_moment(text, option=option, zone=_zone(path))


def _zone(path: Path) -> str:
    from pipelines.check import read_community

    return read_community(path).community.time_zone


def _fault(option: str, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Issue(where="command line", field=option, problem=problem, remedy=remedy)])
