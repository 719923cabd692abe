"""Invariants 1 and 2: what became of every slot, and what the exchange holds of it in the end."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from tests.reliability.posts import WIRE_STEP_WH, Post, slot_of
from tests.reliability.violations import Invariant, Violation
from tests.reliability.world import Held, Key, Row, World

AT_EXCHANGE = ("accepted", "confirmed")
WAITING = ("pending", "sending")
FINAL = (*AT_EXCHANGE, "expired", "rejected")

WHOLE = 0.999
"""Share of a slot that readings must back before its value is valid."""

VALID = ("MEASURED", "SUBSTITUTED")
OLDEST_SOURCE = timedelta(hours=2)
"""What was measured longer ago stands for no forecast."""

SAME = 1e-9
"""Relative: below, two energies are one."""


def one_final_state(world: World) -> list[Violation]:
    """(1) Every valid (asset, slot) reaches exactly one final state, none is lost."""
    found = [
        _broken(1, key, "table submission", "valid, but never planned: it is lost")
        for key in sorted(_due(world))
        if key not in world.submissions
    ]
    taken = {(post.asset, post.slot_start, post.quantity) for post in world.posts if post.taken}
    for key, versions in world.submissions.items():
        found += [_broken(1, key, _row(row), seen) for row, seen in _unsettled(world, versions)]
        held = [row for row in versions if row["state"] in AT_EXCHANGE]
        # What is confirmed was read back: it may stand there without a post.
        stands = bool(held) and held[-1]["state"] == "confirmed" and _stands_anyway(world, key, held[-1])
        if held and key not in taken and not stands:
            found.append(_broken(1, key, _row(held[-1]), f"{held[-1]['state']}, but no post for it was taken"))
    return found


def _unsettled(world: World, versions: list[Row]) -> Iterator[tuple[Row, str]]:
    *older, newest = versions
    if newest["state"] == "superseded":
        yield newest, "superseded by nothing: its slot has no final state"
    if newest["state"] in WAITING and world.settled:
        yield newest, f"still {newest['state']} though every run has ended"
    if newest["state"] not in (*FINAL, *WAITING, "superseded"):
        yield newest, f"'{newest['state']}' is no state"
    for row in older:
        if row["state"] in (*AT_EXCHANGE, *WAITING) and newest["state"] in AT_EXCHANGE:
            yield row, f"{row['state']} beside version {newest['version']}, which is {newest['state']}"


def _due(world: World) -> set[Key]:
    """Keys that something valid was known for in time."""
    length, margin = world.community.slot_length, world.community.margin
    fed: dict[datetime, datetime] = {}
    for at in world.converted_at:
        coming = slot_of(at, length) + length
        fed[coming] = max(at, fed.get(coming, at))
    live = {row["asset_id"]: row for row in world.live_assets}
    due: set[Key] = set()
    for (asset, slot_start), versions in world.slots.items():
        if asset not in live or not any(_valid(row) for row in versions):
            continue
        known = min(row["created_at"] for row in versions if _valid(row))
        since, through = live[asset]["live_since"], live[asset]["planned_through"]
        if world.community.exchange.protocol != "rest" and slot_start >= since and _valid(versions[-1]):
            due.add((asset, slot_start, "measurement"))
        coming = slot_start + 2 * length
        while through is not None and coming <= min(through, slot_start + OLDEST_SOURCE):
            # A feed that knew the source planned this slot.
            if coming >= since and coming in fed and known <= fed[coming] and known < coming - margin:
                due.add((asset, coming, "forecast"))
            coming += length
    return due


def last_version_holds(world: World) -> list[Violation]:
    """(2) The value last applied at the exchange is the last valid local version.

    Where it isn't, a listed discrepancy excuses it: that is what reconciliation is for. The exchange echoes no
    measurement, so of one that it throws away behind a `ready` nobody can know.
    """
    by_key: dict[Key, list[Post]] = defaultdict(list)
    for post in world.posts:
        if post.taken and not post.dropped and post.slot_start is not None and post.energy_wh is not None:
            by_key[post.asset, post.slot_start, post.quantity].append(post)
    unknowable = _thrown_away_unseen(world)
    last = {key: Held(energy_wh=posts[-1].energy_wh or 0.0, where=posts[-1].where) for key, posts in by_key.items()}
    found = []
    for key, versions in world.submissions.items():
        found += [_broken(2, key, where, seen) for where, seen in _fallen_back(by_key.get(key, []), versions)]
        found += [_broken(2, key, _row(versions[-1]), seen) for seen in _not_the_local_one(world, key, versions[-1])]
        if key not in world.listed and key not in unknowable:
            found += _not_the_last(last, key, versions)
            found += _not_the_last(world.applied, key, versions)
            found += _not_applied(world, key, versions)
    return found


def _thrown_away_unseen(world: World) -> set[Key]:
    dropped = {}
    for post in world.posts:
        if post.taken and post.slot_start is not None:
            dropped[post.asset, post.slot_start, post.quantity] = post.dropped
    return {key for key, last_was in dropped.items() if last_was and key[2] == "measurement"}


def _not_the_last(held: Mapping[Key, Held], key: Key, versions: list[Row]) -> Iterator[Violation]:
    if key not in held:
        return
    there, newest = held[key], versions[-1]
    # What was tried and never answered may have arrived all the same, or not: then an older one stands.
    usual = [newest] if newest["state"] in AT_EXCHANGE else [row for row in versions if row["attempts"]]
    if not any(on_wire(there.energy_wh, row["energy_wh"]) for row in usual):
        expected = " or ".join(f"{row['energy_wh']:.6f} Wh of version {row['version']}" for row in usual) or "nothing"
        yield _broken(2, key, there.where, f"last applied {there.energy_wh:.6f} Wh, not {expected}")


def _not_applied(world: World, key: Key, versions: list[Row]) -> Iterator[Violation]:
    if world.ledger is None or key in world.applied:
        return
    newest = versions[-1]
    settled_by = key[1] if key[2] == "forecast" else (newest["sent_at"] or world.cycle) + world.community.slot_length
    if newest["state"] in AT_EXCHANGE and settled_by <= world.cycle and not _stands_anyway(world, key, newest):
        yield _broken(2, key, "exchange's ledger", f"holds nothing; version {newest['version']} is {newest['state']}")


def _stands_anyway(world: World, key: Key, row: Row) -> bool:
    """Whether the exchange holds this value though no post for the key was applied.

    Where values name no slot, an earlier one is repeated for want of another; else, and before the first, it holds 0.
    """
    asset, slot_start, quantity = key
    if key in world.applied or quantity == "measurement":
        return False
    held_wh = 0.0
    if world.community.exchange.protocol == "rest":
        before = [(slot, held) for (of, slot, _), held in world.applied.items() if of == asset and slot < slot_start]
        held_wh = max(before, key=lambda one: one[0])[1].energy_wh if before else 0.0
    return on_wire(held_wh, row["energy_wh"])


def _fallen_back(posts: list[Post], versions: list[Row]) -> Iterator[tuple[str, str]]:
    """Posts of an older version after a newer one."""
    reached = 0
    for post in posts:
        same = [n for n, row in enumerate(versions) if on_wire(post.energy_wh, row["energy_wh"])]
        later = [n for n in same if n >= reached]
        if later:
            reached = later[0]
        elif same:
            yield post.where, f"version {versions[same[-1]]['version']} after version {versions[reached]['version']}"


def _not_the_local_one(world: World, key: Key, newest: Row) -> Iterator[str]:
    """A value that isn't what the store measured: of the slot itself, or of the one that a persistence repeats."""
    asset, slot_start, quantity = key
    if quantity == "measurement":
        versions = world.slots.get((asset, slot_start), [])
    elif newest["method"] == "persistence":
        of_source = world.slots.get((asset, newest["source_slot"]), [])
        versions = [row for row in of_source if row["created_at"] <= newest["created_at"]]
    else:
        return
    valid = [row for row in versions if _valid(row)]
    if not valid:
        yield f"{newest['energy_wh']:.6f} Wh, but nothing valid was measured"
    elif abs(valid[-1]["energy_wh"] - newest["energy_wh"]) > SAME * max(1.0, valid[-1]["energy_wh"]):
        yield f"{newest['energy_wh']:.6f} Wh; measured, version {valid[-1]['version']}: {valid[-1]['energy_wh']:.6f} Wh"


def _valid(row: Row) -> bool:
    return row["coverage"] >= WHOLE and row["quality"] in VALID


def on_wire(told_wh: float | None, energy_wh: float) -> bool:
    """Whether a value on the wire is this one, rounded."""
    return told_wh is not None and abs(told_wh - energy_wh) <= WIRE_STEP_WH / 2 + SAME * 1e-3 * abs(energy_wh)


def _row(row: Row) -> str:
    return f"table submission, row {row['id']}, version {row['version']}"


def _broken(number: int, key: Key, where: str, seen: str) -> Violation:
    asset, slot_start, quantity = key
    return Violation(
        invariant=Invariant(number), where=where, seen=seen, asset=asset, slot_start=slot_start, quantity=quantity
    )
