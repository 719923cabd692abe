"""Whatever the readings and the order in which they come, the slots that stand in the end are the same."""

import random
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipelines.community import Community
from pipelines.store import open_store
from tests.convert.substitute.world import DAY, HOUR, MONDAY, QUARTER, asset, community, put, run, slots, stream

DAYS = 12
NUMBER = DAYS * 96
CASES = {
    "interval": asset("a", stream("1")),
    "register": asset("a", stream("1", "register")),
    "power": asset("a", {**stream("1", "power"), "unit": "W"}),
    "checked": asset("a", stream("1"), check_registers=[stream("9", "register")]),
    "two": asset("a", stream("1"), stream("2", "register")),
}


class Reading(NamedTuple):
    device: str
    ts: datetime
    value: float
    length: timedelta | None
    kind: str


def counted(device: str, energies: list[float], *, every: int = 1, shift: timedelta = timedelta()) -> list[Reading]:
    state, found = 0.0, []
    for number, energy in enumerate(energies):
        if number % every == 0:
            found.append(Reading(device, MONDAY + number * QUARTER + shift, state, None, "register"))
        state += energy
    return found


def readings(case: str, rnd: random.Random) -> list[Reading]:
    """Twelve days with holes of a quarter of an hour to two and a half days, on the quarter hour or beside it."""
    energies = [rnd.random() * 100 * (1 + (i % 96) / 20) for i in range(NUMBER)]
    gone: set[int] = set()
    for _ in range(rnd.randint(1, 6)):
        begin = rnd.randrange(NUMBER)
        gone |= set(range(begin, begin + rnd.choice([1, 3, 8, 9, 30, 100, 250])))
    shift = timedelta(minutes=rnd.choice([0, 4]))
    if case == "register":
        return [r for i, r in enumerate(counted("1", energies, shift=shift)) if i not in gone]
    length, kind = (None, "power") if case == "power" else (QUARTER, "interval")
    found = [
        Reading("1", MONDAY + i * QUARTER + shift, energies[i], length, kind) for i in range(NUMBER) if i not in gone
    ]
    if case == "checked":
        found += counted("9", energies, every=rnd.choice([4, 50, 300]))
    if case == "two":
        found += [r for r in counted("2", [50.0 + i % 7 for i in range(NUMBER)]) if rnd.random() < 0.98]
    return found


def parted(every: list[Reading], rnd: random.Random) -> list[list[Reading]]:
    """Blocks of time in any order, with a few readings that come apart from theirs."""
    blocks = [rnd.randrange(4) for _ in range(30)]
    parts: list[list[Reading]] = [[], [], [], []]
    for reading in every:
        block = int((reading.ts - MONDAY) / (DAYS * DAY) * 29)
        parts[blocks[block] if rnd.random() > 0.02 else rnd.randrange(4)].append(reading)
    return [part for part in parts if part]


def outcome(of: Community, parts: list[list[Reading]], now: datetime, path: Path) -> dict[datetime, Any]:
    store = open_store(f"sqlite:///{path}")
    for part in parts:
        groups: dict[tuple[str, timedelta | None, str], dict[datetime, float]] = defaultdict(dict)
        for reading in part:
            groups[reading.device, reading.length, reading.kind][reading.ts] = reading.value
        for (device, length, kind), values in groups.items():
            put(store, device, values, length=length, kind=kind)
        run(store, of, now)
    found = slots(store)
    store.engine.dispose()
    return found


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_the_order_of_arrival_makes_no_difference(case: str, seed: int, tmp_path: Path) -> None:
    rnd = random.Random(f"{case} {seed}")  # noqa: S311 - the same world each time
    every = readings(case, rnd)
    now = MONDAY + DAYS * DAY + rnd.choice([0, 1, 5]) * HOUR
    of = community(CASES[case], zone="Europe/Berlin", like_day_weeks=1)
    at_once = outcome(of, [every], now, tmp_path / "one.sqlite")
    in_parts = outcome(of, parted(every, rnd), now, tmp_path / "parts.sqlite")

    def told(found: dict[datetime, Any]) -> list[object]:
        return [
            (ts, pytest.approx(row.energy_wh, rel=1e-6, abs=1e-6), row.quality, row.method)
            for ts, row in sorted(found.items())
        ]

    assert [(ts, row.energy_wh, row.quality, row.method) for ts, row in sorted(in_parts.items())] == told(at_once)
    assert min(row.energy_wh for row in at_once.values()) >= 0
