"""`slotfeed commission`: how far assets are on their way to being proven, what blocks them, and certificates."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from flows import screens
from flows.moments import parse_moment
from pipelines.errors import ConfigurationError, Issue, Severity

if TYPE_CHECKING:
    from flows.session import Run
    from pipelines.commission.run import Commissioning
    from pipelines.commission.verdicts import AssetStanding

File = Annotated[Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.")]
Assets = Annotated[list[str] | None, typer.Argument(metavar="ASSET...", help="Names or uuids.", show_default=False)]
Page = Annotated[
    Path | None, typer.Option("--verify", help="Instead, see whether a certificate's file is true and still holds.")
]

COLOURS = {"proven": "green", "collecting": "cyan", "blocked": "red", "suspended": "red"}
SIGNS = {"stands": "[green]✓[/]", "waits": "[cyan]…[/]", "not answered": "[yellow]?[/]", "blocked": "[red]✗[/]"}
ROWS = 40
"""Assets of a group that a screen shows; of more, how many."""

FAULTS = 20
"""Faults of other places in the file that are shown beside the asset's own."""


def commission(
    assets: Assets = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All assets of the file.")] = False,
    community: File = Path("community.yaml"),
    slots: Annotated[int, typer.Option(min=1, max=1000, help="Slots confirmed in a row that are asked.")] = 96,
    energies: Annotated[
        int, typer.Option(min=1, max=1000, help="Different energies above zero among them that are asked.")
    ] = 4,
    at: Annotated[str | None, typer.Option(help="Look as if it were this time: 2016-10-30T02:30+01:00.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For other programs.")] = False,
    verify: Page = None,
) -> None:
    """Walk assets from configured to proven: what stands, what blocks, what to do; write the certificates.

    Exit status: 0 all are proven; 1 one is blocked or suspended; 3 nothing blocks, evidence is still to come.
    """
    if verify is not None:
        _verify(verify, community)
        return
    if bool(assets) == every:
        problem = "assets stand beside --all" if every else "no asset is named"
        raise _fault("ASSET", problem, 'Name one, as in: slotfeed commission "PV roof"; or write --all')
    notices = _sound(community, assets or [])
    found, run = asyncio.run(_walk(community, assets or [], slots=slots, energies=energies, at=at, notices=notices))
    from pipelines.commission import told

    if as_json:
        screens.show_json(told.plain(found.standings, run.summary["commission"], run.now))
    elif every:
        _show_all(found, run)
    else:
        _show_each(found, run)
    if status := told.exit_status(found.standings):
        raise typer.Exit(status)


async def _walk(
    path: Path, assets: list[str], *, slots: int, energies: int, at: str | None, notices: list[Issue]
) -> "tuple[Commissioning, Run]":
    from flows.commission import walk
    from flows.commission_steps import Wanted
    from flows.session import open_run
    from pipelines.check import read_community
    from pipelines.commission.choosing import choose_assets
    from pipelines.commission.names import Terms

    known = read_community(path)
    # Before anything is opened: a mistyped name leaves no line in the run log.
    choose_assets(known, assets)
    moment = None if at is None else parse_moment(at, option="--at", zone=known.community.time_zone)
    wanted = Wanted(
        assets=tuple(assets), terms=Terms(slots=slots, energies=energies), ask_all=True, notices=tuple(notices)
    )
    async with open_run("commission", path, at=moment, tell=screens.show_problems) as run:
        return await walk(run, wanted), run


def _sound(path: Path, assets: Sequence[str]) -> list[Issue]:
    """The file's notices; where it has faults, step 1 blocks every asset: those of the wanted ones are told first."""
    from pipelines.check import check_community

    found, issues = check_community(path)
    if found is not None:
        return issues
    faults = [issue for issue in issues if issue.severity is Severity.FAULT]
    own = [issue for issue in faults if any(f"'{name}'" in issue.where for name in assets)]
    others = [issue for issue in faults if issue not in own]
    whose = ", ".join(f"'{name}'" for name in assets) or "every asset"
    screens.err.print(f"[red]blocked[/] {escape(whose)} before step 1, configured: {path} has faults", soft_wrap=True)
    screens.show_issues(own)
    if own and others:
        screens.err.print("[bold]And elsewhere in the file, before which nothing runs either:[/]")
    screens.show_issues(others[:FAULTS])
    if len(others) > FAULTS:
        screens.err.print(f"and {len(others) - FAULTS:,} more; `slotfeed check` lists all")
    raise typer.Exit(1)


def _show_each(found: "Commissioning", run: "Run") -> None:
    zone = ZoneInfo(run.community.community.time_zone)
    for one in found.standings:
        _show_one(one, zone)
    for path in run.summary.get("certificates", []):
        screens.out.print(f"certificate: [bold]{escape(path)}[/]", soft_wrap=True)


def _show_one(one: "AssetStanding", zone: ZoneInfo) -> None:
    colour = COLOURS[one.outcome.value]
    before = f", before step {one.before.step.value}, {one.before.step.words}" if one.before else ""
    since = f"{one.since.astimezone(zone):%Y-%m-%d %H:%M %Z}"
    screens.out.print(
        f"[bold]{escape(one.asset.name)}[/] ({one.asset.type.value.replace('_', ' ')}): "
        f"[{colour}]{one.outcome.value}[/]{before}, since {since}",
        soft_wrap=True,
    )
    for step in one.steps:
        told = f"  {SIGNS[step.mark.value]} {step.step.value} {step.step.words:<18} {escape(step.told)}"
        screens.out.print(told, soft_wrap=True)
        if step.remedy:
            screens.out.print(f"      [dim]->[/] {escape(step.remedy)}", soft_wrap=True)
    sign = SIGNS["stands" if one.outcome.value == "proven" else "waits"]
    certificate = f"certificate {one.certificate}" if one.certificate else "no certificate yet"
    if one.outcome.value == "suspended":
        certificate += f" holds no longer, since {since}"
    screens.out.print(f"  {sign} 6 {'proven':<18} {certificate}", soft_wrap=True)


def _show_all(found: "Commissioning", run: "Run") -> None:
    from pipelines.commission.told import grouped

    zone = ZoneInfo(run.community.community.time_zone)
    for group in grouped(found.standings):
        _show_group(group, zone)
    counts = found.summary.by_outcome
    told = ", ".join(f"[{COLOURS[name]}]{number:,} {name}[/]" for name, number in counts.items() if number)
    screens.out.print(f"[bold]{len(found.standings):,} assets[/]: {told}")
    if any(one.certificate for one in found.standings):
        from flows.commission_steps import certificates_folder

        screens.out.print(f"certificates: {escape(str(certificates_folder(run)))}", soft_wrap=True)


def _show_group(group: "list[AssetStanding]", zone: ZoneInfo) -> None:
    first = group[0]
    title = f"[{COLOURS[first.outcome.value]}]{first.outcome.value}[/]"
    if first.before is not None:
        title += f" before step {first.before.step.value}, {first.before.step.words}"
        title += f": {escape(first.before.cause)}" if first.before.cause else ""
    screens.out.print(f"[bold]{title}[/] ({len(group):,})")
    remedies = {one.before.remedy for one in group if one.before and one.before.remedy}
    if len(remedies) == 1:
        screens.out.print(f"  [dim]->[/] {escape(remedies.pop())}", soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("asset", "type", "steps", "since", "what was found"):
        table.add_column(name, overflow="fold", no_wrap=name in ("steps", "type"))
    for one in group[:ROWS]:
        table.add_row(
            escape(one.asset.name),
            one.asset.type.value.replace("_", " "),
            f"{one.reached}/6",
            f"{one.since.astimezone(zone):%m-%d %H:%M}",
            escape(one.before.told if one.before else f"certificate {one.certificate}"),
        )
    screens.out.print(table)
    if len(group) > ROWS:
        screens.out.print(f"  and {len(group) - ROWS:,} more; --json lists all")


def _verify(page: Path, path: Path) -> None:
    from flows.opened import open_community
    from pipelines.commission.verify import verify

    _, store = open_community(path)
    looks = verify(store, page)
    for look in looks:
        sign = SIGNS["stands" if look.good else "blocked"]
        screens.out.print(f"{sign} [bold]{look.what}[/]: {escape(look.told)}", soft_wrap=True)
    if not all(look.good for look in looks):
        raise typer.Exit(1)


def _fault(option: str, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Issue(where="command line", field=option, problem=problem, remedy=remedy)])
