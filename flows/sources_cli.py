"""`slotfeed sources`: what there is to read, what is left of the budgets, and accounts that need a person."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from flows import screens
from pipelines.clock import WallClock
from pipelines.errors import ConfigurationError, Issue

if TYPE_CHECKING:
    from pipelines.collect.people import Quota
    from pipelines.collect.run import Opening
    from pipelines.collect.source import Device

sources = typer.Typer(no_args_is_help=True, help="Meter databases and vendor clouds, and what they allow.")

File = Annotated[Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.")]
Name = Annotated[str, typer.Argument(help="Of the source in the community file.")]
DEFAULT_FILE = Path("community.yaml")

UNUSED_SHOWN = 20

PATIENCE = timedelta(minutes=2)
"""What a person waits for a vendor."""


@sources.command("list")
def list_(
    community: File = DEFAULT_FILE,
    name: Annotated[str | None, typer.Argument(help="Only this source.")] = None,
) -> None:
    """Show every device and register that the sources have, and which asset uses it."""
    from pipelines.collect.people import list_devices

    opening = _opening(community)
    known = opening.community.sources
    if name is not None and name not in known:
        issue = Issue(
            where=f"source '{name}'", field="", problem="there is no such source", remedy=f"Known: {', '.join(known)}"
        )
        raise ConfigurationError([issue])
    found, failed = list_devices(opening, [name] if name else list(known))
    users = {
        (stream.source, stream.device, stream.register_): asset.name
        for asset in opening.community.assets
        for stream in asset.streams
    }
    for source, devices in found.items():
        _show_devices(source, devices, users)
    _show_unused(found, users)
    for error in failed.values():
        screens.show_error(error)
    if failed:
        raise typer.Exit(1)


@sources.command()
def quota(community: File = DEFAULT_FILE) -> None:
    """Show how many requests each account has left, and which are stopped."""
    from pipelines.collect.people import quotas

    found = quotas(_opening(community), WallClock().now())
    if not found:
        screens.out.print("No source is an account with a limit")
    for one in found:
        _show_quota(one)


@sources.command()
def authorise(name: Name, community: File = DEFAULT_FILE) -> None:
    """Let the owner of an account admit slotfeed at its vendor (OAuth 2)."""
    from pipelines.collect import people

    def ask(address: str) -> str:
        screens.out.print("Open this address as the account's owner and agree:")
        screens.out.print(f"  {address}", soft_wrap=True, markup=False)
        code: str = typer.prompt("Code that is shown there", hide_input=True)
        return code

    screens.out.print(people.authorise(_opening(community), name, ask))


@sources.command()
def resume(name: Name, community: File = DEFAULT_FILE) -> None:
    """Let a stopped account be asked again, once its trouble is mended."""
    from pipelines.collect import people

    was_stopped = people.resume(_opening(community), name)
    screens.out.print(f"{name} is asked again from the next run on" if was_stopped else f"{name} wasn't stopped")


def _show_devices(source: str, devices: "list[Device]", users: dict[tuple[str, str, str | None], str]) -> None:
    screens.out.print(f"[bold]{source}[/]: {len(devices)} device(s)")
    for device in devices:
        told = [device.name] if device.name else []
        if device.newest:
            told.append(f"last heard of {device.newest:%Y-%m-%d %H:%M} UTC")
        screens.out.print(escape(f"  {device.device}  {', '.join(told)}"), soft_wrap=True)
        for register in device.registers or ("",):
            user = users.get((source, device.device, register or None))
            use = f"read for [green]{escape(user)}[/]" if user else "[dim]not read[/]"
            screens.out.print(f"    {escape(register or 'no register'):<14} {use}", soft_wrap=True)


def _show_unused(found: "dict[str, list[Device]]", users: dict[tuple[str, str, str | None], str]) -> None:
    unused = [
        f'{{source: {source}, device: "{device.device}", register: {register}}}'
        for source, devices in found.items()
        for device in devices
        for register in device.registers
        if (source, device.device, register) not in users
    ]
    if unused:
        screens.out.print(f"\nStreams that no asset reads yet, as they would stand in the file ({len(unused)}):")
        for line in unused[:UNUSED_SHOWN]:
            screens.out.print(f"  - {line}", soft_wrap=True, markup=False)
        if len(unused) > UNUSED_SHOWN:
            screens.out.print(f"  and {len(unused) - UNUSED_SHOWN} more")


def _show_quota(one: "Quota") -> None:
    screens.out.print(f"[bold]{one.source}[/]: {escape(one.title)}")
    for standing in one.standings:
        limit = standing.limit
        freed = f"; the oldest is freed at {standing.frees:%Y-%m-%d %H:%M} UTC" if standing.frees else ""
        colour = "red" if not standing.left else "green"
        screens.out.print(
            f"  {limit.name:<16} [{colour}]{standing.left:,} left[/] of {limit.most:,} {_per(limit.per)}, "
            f"{standing.used:,} used{freed}\n                   [dim]{escape(limit.says)}[/]",
            soft_wrap=True,
        )
    if not one.standings:
        screens.out.print("  no limit is known")
    _show_account(one)


def _show_account(one: "Quota") -> None:
    account = one.account
    if account.stopped_until is not None and account.stopped_until > WallClock().now():
        screens.out.print(
            f"  [yellow]stopped[/] until {account.stopped_until:%Y-%m-%d %H:%M} UTC: {escape(account.reason)}\n"
            f"  When that is mended: slotfeed sources resume {one.source}",
            soft_wrap=True,
        )
    elif account.next_poll_at is not None:
        screens.out.print(
            f"  asked last at {account.polled_at:%Y-%m-%d %H:%M} UTC, next from "
            f"{account.next_poll_at:%Y-%m-%d %H:%M} UTC on",
            soft_wrap=True,
        )


def _per(span: timedelta | None) -> str:
    if span is None:
        return "a calendar month"
    minutes = span / timedelta(minutes=1)
    if minutes < 2:
        return f"in any {span.total_seconds():g} s"
    return f"in any {minutes:g} min" if minutes < 120 else f"in any {minutes / 60:g} h"


def _opening(path: Path) -> "Opening":
    from flows.opened import opened_store
    from pipelines.check import read_community
    from pipelines.collect.run import Opening
    from pipelines.settings import Secrets

    community = read_community(path)
    folder = path.resolve().parent
    secrets, clock = Secrets(folder), WallClock()
    return Opening(
        store=opened_store(community, folder, secrets),
        community=community,
        secrets=secrets,
        folder=folder,
        clock=clock,
        gives_up=clock.now() + PATIENCE,
    )
