"""`slotfeed profiles`: files to upload for assets that the exchange takes no live data for."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from flows import screens
from flows.moments import parse_moment
from pipelines.errors import ConfigurationError, Issue

profiles = typer.Typer(no_args_is_help=True, help="Profiles to upload where an asset's live switch is off.")

DEFAULT_FILE = Path("community.yaml")
DAYS_SHOWN = 8


@profiles.callback()
def _group() -> None:
    """Keep `export` a command of its own."""


@profiles.command()
def export(
    *,
    start: Annotated[str, typer.Option(help="First day, in UTC: 2026-03-02.")],
    end: Annotated[str, typer.Option(help="Day after the last one, in UTC.")],
    community: Annotated[
        Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.")
    ] = DEFAULT_FILE,
    asset: Annotated[
        list[str] | None,
        typer.Option(help="Name or uuid; may be given again. Default: all whose live switch is off."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every asset, also live ones.")] = False,
    unit: Annotated[str, typer.Option(help="kWh of the slot, or its mean in W; tell the exchange the same.")] = "kWh",
    output: Annotated[Path, typer.Option(help="A folder, or a .csv file for one asset.")] = Path("profiles"),
    complete_only: Annotated[
        bool, typer.Option("--days-complete-only", help="Leave out days that miss a slot, instead of refusing.")
    ] = False,
) -> None:
    """Write each asset's slot energies as CSV in the form that the exchange reads right."""
    from pipelines.check import read_community
    from pipelines.deliver.profiles import CANARY_NOTICE, Unit, choose_assets, export_profiles
    from pipelines.settings import Secrets
    from pipelines.store.own import open_own_store

    if unit not in tuple(Unit):
        problem, remedy = f"there is no unit {unit!r}", f"Write {' or '.join(Unit)}"
        raise ConfigurationError([Issue(where="command line", field="--unit", problem=problem, remedy=remedy)])
    found = read_community(community)
    folder = community.resolve().parent
    chosen = choose_assets(found, asset or (), every=every)
    # Profiles have no time zone: a date is a day in UTC, whatever the community's zone.
    first, last = (
        parse_moment(text, option=option, zone="UTC") for option, text in (("--start", start), ("--end", end))
    )
    store = open_own_store(found, folder, Secrets(folder))
    try:
        files = export_profiles(
            store,
            found,
            chosen,
            start=first,
            end=last,
            unit=Unit(unit),
            output=output,
            complete_days_only=complete_only,
        )
    finally:
        store.close()
    for one in files:
        screens.out.print(
            escape(f"{one.asset}: {len(one.days)} day(s), {one.slots:,} slots in {unit} -> {one.path}"), soft_wrap=True
        )
        if one.left_out:
            told = ", ".join(f"{day}" for day in one.left_out[:DAYS_SHOWN])
            more = f" and {len(one.left_out) - DAYS_SHOWN} more" if len(one.left_out) > DAYS_SHOWN else ""
            screens.out.print(f"  [yellow]left out[/], since a slot is missing: {told}{more}", soft_wrap=True)
    screens.err.print(f"[yellow]notice[/] {CANARY_NOTICE}", soft_wrap=True)
