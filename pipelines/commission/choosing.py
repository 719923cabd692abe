"""The asset that a person means."""

from collections.abc import Sequence

from pipelines.check.finding import did_you_mean, nearest
from pipelines.community import Asset, Community
from pipelines.errors import ConfigurationError, Issue

SHOWN = 20
"""Of ten thousand names, so many are listed where none is near."""


def choose_assets(community: Community, wanted: Sequence[str]) -> list[Asset]:
    """The assets of these names or uuids, in the order of the file; none wanted: all.

    Raises:
        ConfigurationError: there is none of a name; says which is near.
    """
    if not wanted:
        return list(community.assets)
    chosen: dict[str, Asset] = {}
    for name in wanted:
        asset = community.asset(name.strip())
        if asset is None:
            raise ConfigurationError([_unknown(community, name)])
        chosen[asset.asset_id] = asset
    return [asset for asset in community.assets if asset.asset_id in chosen]


def _unknown(community: Community, name: str) -> Issue:
    names = sorted(asset.name for asset in community.assets)
    remedy = did_you_mean(name, names)
    if len(names) > SHOWN and nearest(name, names) is None:
        remedy = f"Known, among {len(names):,}: {', '.join(names[:SHOWN])}"
    problem = f"no asset is called '{name}' or has this uuid"
    return Issue(where="command line", field="ASSET", problem=problem, remedy=remedy)
