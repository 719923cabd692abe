"""Whether the exchange would take what the file's assets send: each known there, of a type for it, and switched on."""

from collections.abc import Sequence

from pipelines.community import Asset, Community
from pipelines.errors import Issue, Severity, Topic
from pipelines.exchange.registry import Place
from pipelines.sync.reading import GSY_TYPE

FIELDS = {Topic.ASSET_UNKNOWN: "uuid", Topic.ASSET_TYPE: "type", Topic.ASSET_SWITCH: "live"}
"""Key of the asset in the file that an issue is about."""


def standing_issues(community: Community, places: Sequence[Place], live: frozenset[str] | None) -> list[Issue]:
    """A fault for each asset whose energy would be refused or go nowhere, a notice where a switch says otherwise.

    Args:
        community: the file.
        places: the registry's assets.
        live: uuids whose live switch is on; None where that can't be known.
    """
    known = {place.area.uuid: place for place in places}
    issues = []
    for asset in community.assets:
        place = known.get(asset.uuid)
        if place is None:
            problem = f"the exchange shows this user no asset {asset.uuid}, and refuses what is sent for it"
            remedy = "Run `slotfeed assets sync`, which finds the uuid by the name, or ask the community's owner for it"
            issues.append(_issue(asset, Topic.ASSET_UNKNOWN, problem, remedy))
            continue
        sent_as = asset.type.sent_as
        if sent_as is not None and place.area.type != GSY_TYPE[sent_as]:
            problem = f"the exchange's asset is {place.told}, which takes no energy of a {asset.type.value}"
            remedy = f"Add a {GSY_TYPE[sent_as]} at the exchange for it, or correct the uuid or the type here"
            issues.append(_issue(asset, Topic.ASSET_TYPE, problem, remedy))
        elif live is not None:
            issues.extend(_switch_issues(asset, on=asset.uuid in live))
    return issues


def _switch_issues(asset: Asset, *, on: bool) -> list[Issue]:
    if asset.live and not on:
        problem = "its live switch is off at the exchange, which throws away what is sent for it"
        remedy = "Turn it on there; or run `slotfeed assets sync`, which writes live: false"
    elif on and not asset.live:
        problem = "its live switch is on at the exchange, and the file's live: false keeps its energy here"
        remedy = "Run `slotfeed assets sync`, which writes live: true"
    else:
        return []
    return [_issue(asset, Topic.ASSET_SWITCH, problem, remedy, Severity.NOTICE)]


def _issue(asset: Asset, topic: Topic, problem: str, remedy: str, severity: Severity = Severity.FAULT) -> Issue:
    return Issue(
        where=f"asset '{asset.name}'",
        field=FIELDS[topic],
        problem=problem,
        remedy=remedy,
        severity=severity,
        topic=topic,
        concerns=asset.uuid,
    )
