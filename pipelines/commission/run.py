"""The door of `commission`: how each asset stands on its way to being proven, worked out from the store."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pipelines.commission.around import Around, Surroundings
from pipelines.commission.keeping import end_certificates, keep_certificates, keep_changes, keep_checked
from pipelines.commission.names import DAY, Outcome, Terms
from pipelines.commission.verdicts import AssetStanding, Certified, tallied
from pipelines.commission.walk import Seen, Walk
from pipelines.community import Asset, Community
from pipelines.slots import Abilities
from pipelines.store import Store

AT_ONCE = 1_000
"""Assets whose rows are in memory at a time: a hundred thousand slots."""

DEEP_AT_ONCE = 100
"""The same where two weeks of them are read."""

NAMED = 50
"""Assets that a summary names."""


@dataclass(frozen=True, kw_only=True)
class CommissionSummary:
    """How many assets stand how, and what changed."""

    assets: int
    by_outcome: Mapping[str, int]
    by_cause: Mapping[str, int] = field(default_factory=dict)
    """What blocks -> assets, the most frequent first."""

    issued: int = 0
    """Certificates of this walk."""

    ended: int = 0
    """Certificates that hold no longer since this walk."""

    newly_proven: Sequence[str] = ()
    """Names of assets that got a certificate, the first of them."""

    newly_suspended: Sequence[str] = ()
    """Names of those whose certificate ended, the first of them."""

    changes: int = 0
    """Assets that stand differently than before."""


@dataclass(frozen=True, kw_only=True)
class Commissioning:
    """One walk through the assets."""

    summary: CommissionSummary
    standings: tuple[AssetStanding, ...]
    """In the order of the file."""

    changed: frozenset[str]
    """asset_ids whose certificate was issued or ended by this walk."""


def commission(
    store: Store,
    community: Community,
    around: Around,
    *,
    abilities: Abilities,
    terms: Terms = DAY,
    asset_ids: Sequence[str] = (),
    now: datetime,
    run_id: str,
) -> Commissioning:
    """Walk assets through the steps; issue certificates to those that are proven, and end those that hold no longer.

    All but certificates and changes is worked out anew from what the other verbs left, so a run may be repeated,
    killed or left out.

    Args:
        store: what the other verbs left; takes changes and certificates.
        community: the file; sound.
        around: what the sources and the exchange answered.
        abilities: of the protocol.
        terms: what is asked.
        asset_ids: only these; none: all.
        now: the run's logical time.
        run_id: written on each row.

    Raises:
        StoreError: the database can't be used; nothing was written.
    """
    chosen = set(asset_ids)
    wanted = [asset for asset in community.assets if not chosen or asset.asset_id in chosen]
    with store.reading() as connection:
        walk = Walk(connection, community, Surroundings(community, around), abilities=abilities, terms=terms, now=now)
        parts = [walk.look(some, walk.since) for some in _portions(wanted, AT_ONCE)]
        deeper = [asset for part in parts for asset in part.deeper]
        parts += [walk.look(some, walk.furthest) for some in _portions(deeper, DEEP_AT_ONCE)]
    seen = _together(parts, wanted)
    ended = [(one, certified) for one, certified in _holding(seen) if one.outcome is Outcome.SUSPENDED]
    replaced = {one.asset_id for one in seen.issued}
    through = {
        certified.number: seen.through[one.asset.asset_id]
        for one, certified in _holding(seen)
        if one.outcome is Outcome.PROVEN and one.asset.asset_id in seen.through.keys() - replaced
    }
    with store.writing() as connection:
        changes = keep_changes(connection, seen.standings, seen.changes, run_id=run_id)
        end_certificates(connection, ended, now=now)
        keep_certificates(connection, seen.issued, now=now, run_id=run_id)
        keep_checked(connection, through, now=now)
    numbers = {one.asset_id: str(one.document["number"]) for one in seen.issued}
    standings = tuple(
        replace(one, certificate=numbers.get(one.asset.asset_id, one.certificate)) for one in seen.standings
    )
    return Commissioning(
        summary=_summary(standings, numbers, [one for one, _ in ended], changes),
        standings=standings,
        changed=frozenset([*numbers, *(one.asset.asset_id for one, _ in ended)]),
    )


def _portions(assets: Sequence[Asset], size: int) -> Iterator[Sequence[Asset]]:
    for start in range(0, len(assets), size):
        yield assets[start : start + size]


def _together(parts: Sequence[Seen], wanted: Sequence[Asset]) -> Seen:
    """All portions as one, in the order of the file; of an asset that was looked at twice, the second look."""
    standings = {one.asset.asset_id: one for part in parts for one in part.standings}
    issued = {one.asset_id: one for part in parts for one in part.issued}
    whole = Seen(standings=[standings[asset.asset_id] for asset in wanted], issued=list(issued.values()))
    for part in parts:
        whole.certified.update(part.certified)
        whole.changes.update(part.changes)
        whole.through.update(part.through)
    return whole


def _holding(seen: Seen) -> Iterator[tuple[AssetStanding, Certified]]:
    """Assets with the certificate that held before this walk."""
    for one in seen.standings:
        certified = seen.certified.get(one.asset.asset_id)
        if certified is not None and certified.holds:
            yield one, certified


def _summary(
    standings: Sequence[AssetStanding], numbers: Mapping[str, str], ended: Sequence[AssetStanding], changes: int
) -> CommissionSummary:
    blocked = (Outcome.BLOCKED, Outcome.SUSPENDED)
    causes = Counter(one.before.cause for one in standings if one.outcome in blocked and one.before is not None)
    proven = [one.asset.name for one in standings if one.asset.asset_id in numbers]
    return CommissionSummary(
        assets=len(standings),
        by_outcome=tallied(standings),
        by_cause=dict(causes.most_common()),
        issued=len(proven),
        ended=len(ended),
        newly_proven=proven[:NAMED],
        newly_suspended=[one.asset.name for one in ended][:NAMED],
        changes=changes,
    )
