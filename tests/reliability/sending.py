"""Invariants 3, 4 and 5: when values left, how often, and whether they say what they should."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.reliability.outcomes import on_wire
from tests.reliability.posts import Post
from tests.reliability.violations import Invariant, Violation
from tests.reliability.world import Row, World

GUARD = timedelta(seconds=10)
"""A value without slot time waits so long after its window opens."""

Window = tuple[datetime | None, datetime | None]


def in_time(world: World) -> list[Violation]:
    """(3) Nothing leaves after its deadline, nor before its window opens."""
    found = []
    for post in world.posts:
        if post.slot_start is None:
            continue
        window = _window(world, post.slot_start, post.quantity, keyed=post.keyed)
        found += [_of_post(3, post, seen) for seen in _outside(post.at, window)]
        found += [_of_post(3, post, seen) for seen in _meant_for_before(world, post)]
    for (asset, slot_start, quantity), versions in world.submissions.items():
        keyed = world.community.exchange.protocol != "rest"
        window = _window(world, slot_start, quantity, keyed=keyed)
        for row in versions:
            seen = [] if row["sent_at"] is None else list(_outside(row["sent_at"], window))
            if (row["opens_at"], row["closes_at"]) != window:
                seen.append(f"its window is {_span((row['opens_at'], row['closes_at']))}, not {_span(window)}")
            found += [
                Violation(
                    invariant=Invariant.IN_TIME,
                    where=f"table submission, row {row['id']}, version {row['version']}",
                    seen=one,
                    asset=asset,
                    slot_start=slot_start,
                    quantity=quantity,
                )
                for one in seen
            ]
    return found


def few_repeats(world: World) -> list[Violation]:
    """(4) At most one extra identical post per kill, and per repair that has set the value back.

    One whose reply a fault has lost is sent again rightly, so it doesn't count.
    """
    repaired = {
        (*key, row["energy_wh"]): row["resends"]
        for key, versions in world.submissions.items()
        for row in versions
        if row["resends"]
    }
    counted = Counter(
        (post.asset, post.slot_start, post.quantity, post.energy_wh)
        for post in world.posts
        if post.taken and not post.reply_lost
    )
    last = {(post.asset, post.slot_start, post.quantity, post.energy_wh): post for post in world.posts if post.taken}
    return [
        _of_post(4, last[same], f"{times} times {same[3]} Wh after {world.kills} kill(s)")
        for same, times in counted.items()
        if times > 1 + world.kills + _repairs(repaired, same)
    ]


def _repairs(repaired: Mapping[tuple[str, datetime, str, float], int], same: tuple[Any, ...]) -> int:
    """How often repairs have set back the value that was posted."""
    *key, told_wh = same
    return sum(times for (*own, energy_wh), times in repaired.items() if own == key and on_wire(told_wh, energy_wh))


def right_place(world: World) -> list[Violation]:
    """(5) Never a wrong asset, slot or unit."""
    known = {asset.asset_id for asset in world.community.assets}
    found = [
        Violation(
            invariant=Invariant.RIGHT_PLACE,
            where=f"table submission, row {row['id']}, version {row['version']}",
            seen="no asset of the community",
            asset=asset,
            slot_start=slot_start,
            quantity=quantity,
        )
        for (asset, slot_start, quantity), versions in world.submissions.items()
        if asset not in known
        for row in versions
    ]
    for post in world.posts:
        found += [_of_post(5, post, seen) for seen in _misplaced(world, known, post)]
    return found


def _misplaced(world: World, known: set[str], post: Post) -> Iterator[str]:
    if post.simulation != world.community.community.simulation_uuid:
        yield f"posted to simulation {post.simulation}"
    if post.protocol != world.community.exchange.protocol:
        yield f"not in protocol {world.community.exchange.protocol}"
    if post.asset not in known:
        yield "no asset of the community"
    if post.slot_start is None or post.energy_wh is None:
        yield "its body is not the protocol's"
        return
    if post.slot_start.timestamp() % world.community.slot_length.total_seconds():
        yield "no start of a slot"
        return
    versions = world.submissions.get((post.asset, post.slot_start, post.quantity), [])
    if not any(on_wire(post.energy_wh, row["energy_wh"]) for row in versions):
        yield f"{post.energy_wh} Wh was never planned for it; {_guess(world, post, versions)}"


def _guess(world: World, post: Post, versions: list[Row]) -> str:
    """Whose value it is."""
    for factor, words in ((1000, "1000 times too small"), (1 / 1000, "1000 times too large")):
        if any(on_wire((post.energy_wh or 0.0) * factor, row["energy_wh"]) for row in versions if row["energy_wh"]):
            return f"the planned value is meant, {words}: kWh and Wh"
    same = [
        (asset, slot_start)
        for (asset, slot_start, quantity), rows in world.submissions.items()
        if quantity == post.quantity and any(on_wire(post.energy_wh, row["energy_wh"]) for row in rows)
    ]
    for asset, slot_start in same:
        if asset == post.asset:
            return f"it is the value of slot {slot_start:%Y-%m-%d %H:%M} UTC"
    for asset, slot_start in same:
        if slot_start == post.slot_start:
            return f"it is the value of asset {asset}"
    return "planned: " + (", ".join(f"{row['energy_wh']:.6f} Wh" for row in versions) or "nothing")


def _meant_for_before(world: World, post: Post) -> Iterator[str]:
    """A value without slot time that came too late for its slot drives the next one."""
    if post.keyed or post.slot_start is None:
        return
    before = post.slot_start - world.community.slot_length
    here = world.submissions.get((post.asset, post.slot_start, post.quantity), [])
    there = world.submissions.get((post.asset, before, post.quantity), [])
    if any(on_wire(post.energy_wh, row["energy_wh"]) for row in here):
        return
    if any(on_wire(post.energy_wh, row["energy_wh"]) for row in there):
        yield f"arrived {post.at:%H:%M:%S} with the value of the slot before, whose deadline had passed"


def _window(world: World, slot_start: datetime, quantity: str, *, keyed: bool) -> Window:
    """When a value may leave, by the rules of the protocol."""
    length = world.community.slot_length
    if quantity == "measurement":
        return slot_start + length, None
    return None if keyed else slot_start - length + GUARD, slot_start - world.community.margin


def _outside(at: datetime, window: Window) -> Iterator[str]:
    opens_at, closes_at = window
    if closes_at is not None and at >= closes_at:
        yield f"left {at:%Y-%m-%d %H:%M:%S}, deadline {closes_at:%Y-%m-%d %H:%M:%S}"
    if opens_at is not None and at < opens_at:
        yield f"left {at:%Y-%m-%d %H:%M:%S}, before its window opens {opens_at:%Y-%m-%d %H:%M:%S}"


def _span(window: Window) -> str:
    return " to ".join("any time" if edge is None else f"{edge:%Y-%m-%d %H:%M:%S}" for edge in window)


def _of_post(number: int, post: Post, seen: str) -> Violation:
    return Violation(
        invariant=Invariant(number),
        where=post.where,
        seen=seen,
        asset=post.asset,
        slot_start=post.slot_start,
        quantity=post.quantity,
    )
