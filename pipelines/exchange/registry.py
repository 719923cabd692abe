"""The exchange's registry: the tree of markets and assets with their uuids ("Grid Data API").

Names aren't unique there. GSy's own client takes the first asset of a name; here a name that fits several is an
error, since energy sent to the wrong asset is worse than none.
"""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from pipelines.errors import ConfigurationError, Issue, TerminalError
from pipelines.exchange.client import ExchangeClient
from pipelines.gsy_files.tree import Area, parse_tree

SHOWN = 300
"""Characters of faults in an answer that go into a message."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A node of the registry, and where it lies."""

    area: Area
    path: tuple[str, ...]
    """Names of the areas around it, the outermost first."""

    @property
    def told(self) -> str:
        """`<uuid> (Load in Grid / House 1)`."""
        lies = f" in {' / '.join(self.path)}" if self.path else ""
        return f"{self.area.uuid or 'without uuid'} ({self.area.type}{lies})"


async def read_registry(client: ExchangeClient, simulation: str) -> Area:
    """The simulation's tree.

    Raises:
        RejectedError: the exchange doesn't know the simulation, or doesn't show it to this user.
        TerminalError: the answer is no registry.
        ExchangeUnavailable: no answer after all tries.
    """
    step = f"registry of simulation {simulation}"
    body = await client.get(f"/external-connection/configurations/{quote(simulation, safe='')}/registry", step=step)
    try:
        return parse_tree(body, where="registry")
    except ConfigurationError as error:
        raise TerminalError(f"{step}: the exchange's tree can't be read: {client.hide(str(error))[:SHOWN]}") from None


def asset_places(root: Area) -> list[Place]:
    """Every asset of the tree, in its order; markets aren't among them."""
    return [place for place in _places(root) if not place.area.is_market]


def _places(root: Area) -> Iterator[Place]:
    waiting: list[Place] = [Place(area=root, path=())]
    while waiting:
        place = waiting.pop()
        yield place
        within = (*place.path, place.area.name)
        waiting.extend(Place(area=child, path=within) for child in reversed(place.area.children))


def find_asset(root: Area, name: str, *, kind: str | None = None) -> Place:
    """The one asset of this name.

    Args:
        root: the registry.
        name: as its users write it; blanks around it don't count.
        kind: GSy's type of the asset (`Load`, `PV`), which decides between several of one name.

    Raises:
        ConfigurationError: there is none, or there are several.
    """
    places = asset_places(root)
    return choose(name, named(places, name), kind=kind, known=(place.area.name for place in places))


def named(places: Iterable[Place], name: str) -> list[Place]:
    """Those of this name."""
    return [place for place in places if place.area.name.strip() == name.strip()]


def choose(name: str, candidates: list[Place], *, kind: str | None, known: Iterable[str]) -> Place:
    """The one of `candidates` that is meant; arguments and errors as for `find_asset`."""
    if kind is not None and len(candidates) > 1:
        candidates = [place for place in candidates if place.area.type == kind] or candidates
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        problem = f"{len(candidates)} assets of the exchange have this name: " + "; ".join(p.told for p in candidates)
        remedy = "Write the uuid of the one that is meant, or give each its own name at the exchange"
    else:
        problem, remedy = "the exchange has no asset of this name", _nearest(name, known)
    raise ConfigurationError([Issue(where=f"asset '{name}'", field="name", problem=problem, remedy=remedy)])


def _nearest(name: str, known: Iterable[str]) -> str:
    by_lower = {candidate.strip().lower(): candidate.strip() for candidate in known}
    near = difflib.get_close_matches(name.strip().lower(), by_lower, n=1, cutoff=0.6)
    return f"Did you mean '{by_lower[near[0]]}'?" if near else "`slotfeed assets list` shows those it has"
