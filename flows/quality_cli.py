"""`slotfeed quality`, `findings`, `checks`: what good data is, what isn't, and the pages that say so."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows import screens
from flows.moments import parse_moment

if TYPE_CHECKING:
    from pipelines.community import Asset, Community

File = Annotated[Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.")]
DEFAULT_FILE = Path("community.yaml")
MOST_GROUPED = 100_000
"""Findings that are put together to lines, the newest."""

OneAsset = Annotated[str | None, typer.Option("--asset", "-a", help="Only this one: its name or uuid.")]


def quality(
    community: File = DEFAULT_FILE,
    at: Annotated[str | None, typer.Option(help="Look as if it were this time: 2016-10-30T02:30+01:00.")] = None,
    choose_forecasts: Annotated[
        bool, typer.Option("--choose-forecasts", help="Also where the last choice is less than a week old.")
    ] = False,
) -> None:
    """Judge the days that are over, choose forecasts once a week, and write the report and Data Docs."""
    from flows.quality import look
    from flows.session import open_run
    from pipelines.check import read_community

    moment = None
    if at is not None:
        moment = parse_moment(at, option="--at", zone=read_community(community).community.time_zone)

    async def story() -> None:
        async with open_run("quality", community, at=moment, tell=screens.show_quality) as run:
            await look(run, choose_forecasts=choose_forecasts)

    asyncio.run(story())


def findings(
    *,
    community: File = DEFAULT_FILE,
    asset: OneAsset = None,
    severity: Annotated[
        list[str] | None, typer.Option(help="reject, flag or inform; several times for more. Default: reject and flag.")
    ] = None,
    closed: Annotated[bool, typer.Option("--closed", help="With those that are closed.")] = False,
    each: Annotated[bool, typer.Option("--each", help="Every row by itself.")] = False,
    most: Annotated[int, typer.Option(help="Lines to show.")] = 50,
) -> None:
    """List what broke a check: which asset, how many rows, since when, by which value."""
    from expectations.names import Severity
    from flows.opened import open_community
    from pipelines.report.findings import finding_rows, grouped_rows
    from pipelines.validate.findings import list_findings

    wanted = [_severity(name, Severity) for name in severity or (Severity.REJECT, Severity.FLAG)]
    found, store = open_community(community)
    ids = [_asset(found, asset).asset_id] if asset else []
    limit = most if each else MOST_GROUPED
    frame = list_findings(store, asset_ids=ids, severities=wanted, closed=closed, limit=limit)
    rows = finding_rows(frame, found) if each else grouped_rows(frame, found, most=most)
    screens.show_rows("Findings", rows, empty="Nothing broke a check")


def checks(community: File = DEFAULT_FILE, asset: OneAsset = None) -> None:
    """Show what the checks compare with: for one asset, or by default for each type that the file has."""
    from pipelines.check import read_community
    from pipelines.report.findings import check_rows

    found = read_community(community)
    if asset is not None:
        wanted = [_asset(found, asset)]
    else:
        wanted = list({one.type: one for one in reversed(found.assets) if not one.checks}.values())[::-1]
    for one in wanted:
        title = f"Checks of {one.name}" if asset else f"Checks of type {one.type}"
        screens.show_rows(title, check_rows(found, one), empty="")


def _asset(community: "Community", name: str) -> "Asset":
    from pipelines.errors import ConfigurationError, Issue

    found = community.asset(name)
    if found is None:
        known = ", ".join(asset.name for asset in community.assets[:5])
        problem = f"no asset is called '{name}'"
        raise ConfigurationError(
            [
                Issue(
                    where="command line",
                    field="--asset",
                    problem=problem,
                    remedy=f"The file has, among others: {known}",
                )
            ]
        )
    return found


def _severity(name: str, known: Any) -> str:  # noqa: ANN401 - an enumeration imported late
    from pipelines.errors import ConfigurationError, Issue

    if name not in list(known):
        remedy = f"Write one of {', '.join(known)}"
        raise ConfigurationError(
            [Issue(where="command line", field="--severity", problem=f"'{name}' is no severity", remedy=remedy)]
        )
    return name
