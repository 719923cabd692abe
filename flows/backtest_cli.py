"""`slotfeed backtest`: how well each way of forecasting would have done, and which each asset takes from now on."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from flows import screens
from flows.moments import parse_moment
from pipelines.errors import ConfigurationError, Issue

if TYPE_CHECKING:
    from flows.session import Run
    from pipelines.convert.forecast import CommunityBacktest

DEFAULT_FILE = Path("community.yaml")
BAR = 30
"""Characters of a bar as long as persistence's."""


def backtest(
    *,
    community: Annotated[
        Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.")
    ] = DEFAULT_FILE,
    start: Annotated[
        str | None, typer.Option(help="First slot: a date (local midnight) or a time. Default: all there is.")
    ] = None,
    end: Annotated[str | None, typer.Option(help="End, itself not included.")] = None,
    assets: Annotated[bool, typer.Option("--assets", help="Also list every asset.")] = False,
    chart: Annotated[Path | None, typer.Option(help="Also write the chart as an SVG file.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Show the result and change nothing.")] = False,
) -> None:
    """Score every way of forecasting on the last quarter of stored history, and keep what each asset does best with."""
    asyncio.run(_backtest(community, start=start, end=end, assets=assets, chart=chart, dry_run=dry_run))


async def _backtest(
    path: Path, *, start: str | None, end: str | None, assets: bool, chart: Path | None, dry_run: bool
) -> None:
    from flows.session import open_run, tell_nobody
    from pipelines.convert.forecast import backtest_community, keep_choices

    async with open_run("backtest", path, tell=tell_nobody) as run:
        zone = run.community.community.time_zone
        first = None if start is None else parse_moment(start, option="--start", zone=zone)
        last = None if end is None else parse_moment(end, option="--end", zone=zone)
        if first is not None and last is not None and last <= first:
            problem, remedy = "the end isn't after the start", "Give a later end"
            raise ConfigurationError([Issue(where="command line", field="--end", problem=problem, remedy=remedy)])
        found = backtest_community(run.store, run.community, now=run.now, start=first, end=last)
        if not dry_run:
            keep_choices(run.store, found, now=run.now, run_id=run.run_id)
        run.summary["backtest"] = {"assets": len(found.choices), "notices": list(found.notices)}
    for notice in found.notices:
        screens.err.print(f"[yellow]notice[/] {escape(notice)}", soft_wrap=True)
    if found.scored_from is None:
        raise typer.Exit(1)
    _show(run, found, assets=assets)
    if chart is not None:
        _write_chart(run, found, chart)
    kept = "nothing is changed (--dry-run)" if dry_run else "each asset's coming slots are forecast by its best method"
    screens.out.print(f"{len(found.choices):,} assets were judged; {kept}")


def _show(run: "Run", found: "CommunityBacktest", *, assets: bool) -> None:
    from pipelines.convert.forecast.tables import ALL, by_type

    rows = sorted(by_type(found.scores).to_dicts(), key=lambda row: row["type"] != ALL)
    screens.out.print(_period(run, found), soft_wrap=True)
    screens.out.print(_table("Error per slot, persistence in Wh, the others as a share of it", _wide(rows, "type")))
    for kind in dict.fromkeys(row["type"] for row in rows):
        screens.out.print(f"[bold]{escape(kind)}[/]")
        for row in rows:
            if row["type"] == kind and row["ratio"] is not None:
                _bar(row["method"], row["ratio"])
    if assets:
        screens.out.print(_table("By asset", _asset_rows(run, found)))


def _period(run: "Run", found: "CommunityBacktest") -> str:
    zone = ZoneInfo(run.community.community.time_zone)
    start, scored, end = (
        "" if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M}"
        for at in (found.start, found.scored_from, found.end)
    )
    return (
        f"History from {start}; scored from {scored} to {end} by what was known before. 'chosen' is what each asset "
        "would have taken by its scores in the quarter before."
    )


def _wide(rows: list[dict[str, Any]], key: str) -> list[dict[str, str]]:
    """A row for each value of `key`, a column for each method."""
    wide: dict[str, dict[str, str]] = {}
    for row in rows:
        line = wide.setdefault(row[key], {key: row[key], "assets": f"{row['assets']:,}", "slots": f"{row['slots']:,}"})
        own = f"{row['mean_error_wh']:,.1f} Wh"
        line[row["method"]] = own if row["method"] == "persistence" else _share(row["ratio"])
    return list(wide.values())


def _asset_rows(run: "Run", found: "CommunityBacktest") -> list[dict[str, str]]:
    names = {asset.asset_id: asset.name for asset in run.community.assets}
    wide: dict[str, dict[str, str]] = {}
    base: dict[str, float] = {}
    for asset_id, kind, method, error_wh, _ in found.scores.iter_rows():
        line = wide.setdefault(asset_id, {"asset": names[asset_id], "type": kind})
        if method == "persistence":
            base[asset_id] = error_wh
            line[method] = f"{error_wh:,.1f} Wh"
        else:
            line[method] = _share(error_wh / base[asset_id] if base[asset_id] > 0 else None)
    for asset_id, line in wide.items():
        line["from now on"] = found.choices[asset_id].value.replace("_", " ")
    return list(wide.values())


def _share(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.1%}"


def _table(title: str, rows: list[dict[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    names = list(dict.fromkeys(name for row in rows for name in row))
    for number, name in enumerate(names):
        table.add_column(name.replace("_", " "), justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(escape(row.get(name, "")) for name in names))
    return table


def _bar(method: str, ratio: float) -> None:
    """A line of the chart: as long as persistence's bar where it is as good; cut at twice that."""
    length = min(round(ratio * BAR), 2 * BAR)
    colour = "blue" if method == "persistence" else "green" if ratio < 1 else "yellow"
    cut = "…" if ratio > 2 else ""
    name = method.replace("_", " ")
    screens.out.print(f"  {name:<12} [{colour}]{'█' * length}[/]{cut} {ratio:.0%}", soft_wrap=True)


def _write_chart(run: "Run", found: "CommunityBacktest", path: Path) -> None:
    from pipelines.convert.forecast.tables import by_type
    from pipelines.report.backtest_chart import write_backtest_chart

    title = f"{run.community.community.name}: next-slot forecasts, {found.scored_from:%Y-%m-%d} to {found.end:%Y-%m-%d}"
    write_backtest_chart(by_type(found.scores).to_dicts(), title=title, path=path)
    screens.out.print(f"Wrote {path}", soft_wrap=True)
