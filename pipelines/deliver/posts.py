"""Which submissions share a request, and how a request that is refused is taken apart."""

from collections.abc import Sequence
from itertools import chain, groupby, zip_longest

from pipelines.deliver.outbox import Leased
from pipelines.exchange import Command
from pipelines.frames import Quantity
from pipelines.slots import Abilities

SLOTS_PER_POST = 96
"""Slots of one asset that travel in one request, where the protocol names slots: a day."""

Post = list[Leased]
"""What shares a request; those of one asset and quantity stand together."""


def posts_of(batch: Sequence[Leased], abilities: Abilities, *, assets_per_post: int) -> list[Post]:
    """Part what is due into requests, each of one quantity: forecasts, which have a deadline, first.

    Args:
        batch: in the order in which it should leave.
        abilities: of the protocol.
        assets_per_post: at most, where the protocol carries many.
    """
    if not abilities.carries_slot_time:
        return [[one] for one in batch]
    # Sorting is stable, so deadlines and newest slots stay in front within each asset.
    pieces = [
        (quantity, number, rows[start : start + SLOTS_PER_POST])
        for (quantity, _), rows in _by_asset(sorted(batch, key=_asset_key))
        for number, start in enumerate(range(0, len(rows), SLOTS_PER_POST))
    ]
    if not abilities.many_assets:
        return [rows for _, _, rows in pieces]
    posts = []
    # An asset's first day goes with the others' first days: no request holds the same asset twice.
    for _, same in groupby(sorted(pieces, key=lambda piece: piece[:2]), key=lambda piece: piece[:2]):
        parts = [rows for _, _, rows in same]
        posts += [_joined(parts[i : i + assets_per_post]) for i in range(0, len(parts), assets_per_post)]
    return posts


def may_expire(post: Post) -> bool:
    """Whether something in it has a deadline."""
    return any(one.closes_at is not None for one in post)


def parts_of(post: Post) -> list[Post]:
    """The post by asset: the exchange takes or refuses each as a whole."""
    return [rows for _, rows in _by_asset(post)]


def command_of(part: Post) -> Command:
    """The wire's form of one asset's rows."""
    first = part[0]
    energy_wh = {one.slot_start: one.energy_wh for one in part}
    return Command(asset=first.asset_id, quantity=first.quantity, energy_wh=energy_wh)


def smaller(post: Post) -> list[Post]:
    """A refused post's parts, to be tried by themselves: half of the assets each, or the slots of one; [] for one slot.

    Something of many spoils a request, or it was too large: halving finds it in few requests.
    """
    parts = parts_of(post)
    if len(parts) == 1:
        return slot_by_slot(parts) if len(post) > 1 else []
    middle = len(parts) // 2
    return [_joined(parts[:middle]), _joined(parts[middle:])]


def slot_by_slot(parts: Sequence[Post]) -> list[Post]:
    """One slot of each part a post: the first ones together, then the second ones, and so on."""
    return [[one for one in together if one is not None] for together in zip_longest(*parts)]


def _joined(parts: Sequence[Post]) -> Post:
    return list(chain.from_iterable(parts))


def _by_asset(rows: Sequence[Leased]) -> list[tuple[tuple[Quantity, str], Post]]:
    return [(key, list(same)) for key, same in groupby(rows, key=_asset_key)]


def _asset_key(leased: Leased) -> tuple[Quantity, str]:
    # "forecast" sorts before "measurement": what has a deadline goes first.
    return leased.quantity, leased.asset_id
