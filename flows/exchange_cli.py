"""`slotfeed aggregators`: who sends for the assets."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.markup import escape

from flows import screens
from pipelines.community import Community
from pipelines.errors import ConfigurationError, Issue, RejectedError

if TYPE_CHECKING:
    from pipelines.exchange import ExchangeClient
    from pipelines.exchange.aggregators import Aggregator

aggregators = typer.Typer(no_args_is_help=True, help="Aggregators of the exchange, which send for assets.")

DEFAULT_FILE = Path("community.yaml")
File = Annotated[Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.")]
Name = Annotated[str, typer.Argument(help="Of the aggregator, or its uuid.")]
Assets = Annotated[
    list[str] | None,
    typer.Option("--asset", help="Name or uuid of an asset of the file, or of a market it plans fees for; repeatable."),
]
All = Annotated[bool, typer.Option("--all", help="Every asset of the file.")]
Which = Annotated[str | None, typer.Option("--aggregator", help="Name or uuid; default: the file's.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]

TRAP = (
    "Selecting an aggregator stops the exchange's template trading for that asset: from then on it trades only what "
    "the aggregator bids. slotfeed sends energies and bids nothing, so without somebody who bids, the asset trades "
    "nothing and its energy counts as deficit. An asset has one aggregator at most."
)


class Member(NamedTuple):
    """An asset or market of the file: what can select an aggregator."""

    uuid: str
    name: str


@aggregators.command("list")
def list_(community: File = DEFAULT_FILE) -> None:
    """Show the simulation's aggregators."""
    from pipelines.exchange.aggregators import list_aggregators

    async def show(found: Community, client: "ExchangeClient") -> None:
        section = found.exchange
        rows = [
            {"name": one.name, "uuid": one.uuid, "in the file": "yes" if section.aggregator in {*_keys(one)} else ""}
            for one in await list_aggregators(client, found.community.simulation_uuid)
        ]
        screens.show_rows("Aggregators", rows, empty="The simulation has no aggregator that this login may use")

    _with_exchange(community, show)


@aggregators.command()
def create(name: Annotated[str, typer.Argument(help="Of the new aggregator.")], community: File = DEFAULT_FILE) -> None:
    """Make an aggregator."""
    from pipelines.exchange.aggregators import create_aggregator

    async def make(found: Community, client: "ExchangeClient") -> None:
        made = await create_aggregator(client, found.community.simulation_uuid, name)
        screens.out.print(escape(f"Made aggregator '{made.name}' ({made.uuid})"))
        if found.exchange.aggregator not in _keys(made):
            screens.out.print(escape(f"To send through it, write `aggregator: {made.uuid}` in section exchange"))

    _with_exchange(community, make)


@aggregators.command()
def delete(name: Name, community: File = DEFAULT_FILE, yes: Yes = False) -> None:
    """Delete an aggregator; its assets are free again."""
    from pipelines.exchange.aggregators import delete_aggregator, find_aggregator

    _agree(f"Aggregator '{name}' is deleted at the exchange, for everybody who uses it.", yes=yes)

    async def remove(found: Community, client: "ExchangeClient") -> None:
        simulation = found.community.simulation_uuid
        one = await find_aggregator(client, simulation, name)
        await delete_aggregator(client, simulation, one)
        screens.out.print(escape(f"Deleted aggregator '{one.name}' ({one.uuid})"))

    _with_exchange(community, remove)


@aggregators.command()
def select(
    community: File = DEFAULT_FILE, asset: Assets = None, every: All = False, aggregator: Which = None, yes: Yes = False
) -> None:
    """Let the aggregator send for assets. It stops the exchange's own trading for them."""
    from pipelines.exchange.aggregators import select_aggregator

    chosen = _chosen(_read(community), asset, every=every)
    _agree(f"{TRAP}\nThis concerns {len(chosen)} asset(s).", yes=yes)

    async def one_by_one(simulation: str, client: "ExchangeClient", one: "Aggregator", which: Member) -> str:
        new = await select_aggregator(client, simulation, one, asset=which.uuid, name=which.name)
        return "selected" if new else "was selected already"

    _each(community, chosen, aggregator, one_by_one)


@aggregators.command()
def unselect(
    community: File = DEFAULT_FILE, asset: Assets = None, every: All = False, aggregator: Which = None
) -> None:
    """Free assets from the aggregator: the exchange trades for them again."""
    from pipelines.exchange.aggregators import unselect_aggregator

    async def one_by_one(simulation: str, client: "ExchangeClient", one: "Aggregator", which: Member) -> str:
        await unselect_aggregator(client, simulation, one, asset=which.uuid, name=which.name)
        return "unselected"

    _each(community, _chosen(_read(community), asset, every=every), aggregator, one_by_one)


OneByOne = Callable[[str, "ExchangeClient", "Aggregator", Member], Awaitable[str]]


def _each(path: Path, chosen: list[Member], named: str | None, act: OneByOne) -> None:
    """Act for each asset; one that is refused doesn't hinder the others, and makes the command fail."""
    from pipelines.exchange.aggregators import find_aggregator

    refused: list[RejectedError] = []

    async def run(found: Community, client: "ExchangeClient") -> None:
        simulation, wanted = found.community.simulation_uuid, named or found.exchange.aggregator
        if wanted is None:
            raise _fault(
                "--aggregator", "no aggregator is named", "Name one, or write it in the file's exchange section"
            )
        one = await find_aggregator(client, simulation, wanted)
        for which in chosen:
            try:
                done = await act(simulation, client, one, which)
            except RejectedError as error:
                refused.append(error)
                screens.show_error(error)
            else:
                screens.out.print(escape(f"{which.name}: {done} ('{one.name}')"))

    _with_exchange(path, run)
    if refused:
        raise typer.Exit(1)


def _chosen(community: Community, named: list[str] | None, *, every: bool) -> list[Member]:
    if every == bool(named):
        raise _fault("--asset", "which assets isn't said", "Write --asset NAME, once or more, or --all")
    if every:
        return [Member(asset.asset_id, asset.name) for asset in community.assets]
    found = {name: _member(community, name) for name in named or ()}
    unknown = [name for name, member in found.items() if member is None]
    if unknown:
        raise _fault(
            "--asset",
            f"the file has no asset or market {', '.join(map(repr, unknown))}",
            "Write a name or uuid as the file has it",
        )
    return [member for member in found.values() if member is not None]


def _member(community: Community, name: str) -> Member | None:
    if (asset := community.asset(name)) is not None:
        return Member(asset.asset_id, asset.name)
    markets = (Member(one.uuid, one.market) for one in community.grid_fees)
    return next((market for market in markets if name in market), None)


def _agree(told: str, *, yes: bool) -> None:
    """Tell what follows, and go on only if a person agrees or `--yes` says so."""
    screens.err.print(escape(told), style="yellow", soft_wrap=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise _fault("--yes", "nobody is there to agree", "Add --yes if that is what you want")
    typer.confirm("Go on?", abort=True)


def _keys(one: "Aggregator") -> tuple[str, str]:
    return one.uuid, one.name


def _read(path: Path) -> Community:
    from pipelines.check import read_community

    return read_community(path)


def _with_exchange(path: Path, act: Callable[[Community, "ExchangeClient"], Awaitable[None]]) -> None:
    from flows.logged_in import logged_in

    async def run() -> None:
        found = _read(path)
        folder = path.resolve().parent
        async with logged_in(found.exchange.base_url, folder, allow_http=found.allow_http) as client:
            await act(found, client)

    asyncio.run(run())


def _fault(option: str, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Issue(where="command line", field=option, problem=problem, remedy=remedy)])
