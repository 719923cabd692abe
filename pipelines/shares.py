"""Shares of a community or of many: parts that several workers carry side by side.

What belongs to a share is decided by hashes of names that don't change, so each thing stays where it is while others
come or go. Assets that read from one vendor account, or from one channel, stay together: an account is asked by one
worker alone, which has its tokens and knows what it may ask.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

from pipelines.community import Asset, Community, MeterDatabase
from pipelines.errors import ConfigurationError, Issue

MOST = 100
"""Parts at most; each costs seconds of two cores in every slot. Ours."""


@dataclass(frozen=True, order=True)
class Share:
    """The `number`-th of `of` parts, from 1 on."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Share":
        """Read one that is written like 2/3.

        Raises:
            ConfigurationError: it is no share.
        """
        found = re.fullmatch(r"(\d{1,3})/(\d{1,3})", text)
        if found is not None and 1 <= int(found[1]) <= int(found[2]) <= MOST:
            return cls(int(found[1]), int(found[2]))
        problem, remedy = f"'{text}' is no share", f"Write one like 2/3, of {MOST} parts at most"
        raise ConfigurationError([Issue(where="command line", field="share", problem=problem, remedy=remedy)])

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def holds(self, name: str) -> bool:
        """Whether what has this name is in the share."""
        return int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) % self.of == self.number - 1

    def part(self, community: Community) -> Community:
        """The community with those of its assets that are in the share; none, where it has fewer than parts."""
        if self.of == 1:
            return community
        kept = tuple(asset for asset, name in _named(community) if self.holds(name))
        return community.model_copy(update={"assets": kept})


WHOLE = Share(1, 1)


def parts(of: int) -> list[Share]:
    """All shares of so many parts."""
    return [Share(number, of) for number in range(1, of + 1)]


def _named(community: Community) -> Iterator[tuple[Asset, str]]:
    """Each asset with the name that decides on its share: the first of all names that it is bound to."""
    bound: dict[str, set[str]] = {}
    for asset in community.assets:
        names = {f"~{asset.asset_id}", *_bonds(community, asset)}
        # One set for all names that hang together, so that whoever looks one up finds them all.
        together = set().union(names, *(bound.get(name, ()) for name in names))
        for name in together:
            bound[name] = together
    for asset in community.assets:
        yield asset, min(bound[f"~{asset.asset_id}"])


def _bonds(community: Community, asset: Asset) -> Iterator[str]:
    for stream in (*asset.streams, *asset.check_registers):
        cloud = not isinstance(community.sources[stream.source], MeterDatabase)
        # Accounts go before assets, so that one stays where it is whatever assets are added.
        yield f"account {stream.source}" if cloud else f"~~{stream.stream_id}"
