"""Faults of time, end to end: clocks that are off, runs that are late, days of 92 and 100 quarter hours."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from pipelines.sandbox.demo_community import TIME_ZONE
from pipelines.store import SubmissionRow, table_of
from tests.flows.places import FIRST_RUN, SLOT
from tests.reliability.matrix import ALL, Life, Table, open_life
from tests.reliability.spring import open_spring, spring_truth

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
INTO_SLOT = 2 * MINUTE


pytestmark = pytest.mark.matrix


@dataclass(frozen=True, kw_only=True)
class Off:
    """This machine's clock is off against the exchange's."""

    name: str
    by: timedelta
    posts: int
    """That leave in that run."""

    seen: str
    """States after it: of the slot before, of the coming one, and what was planned for later ones."""

    slots: int = 2
    """Slots until all that was planned is over."""


OFF = [
    Off(name="clock ten minutes slow", by=-10 * MINUTE, posts=0, seen=f"{ALL} accepted"),
    Off(name="clock an hour slow", by=-HOUR, posts=0, seen=f"{ALL} accepted"),
    Off(name="clock a day slow", by=-24 * HOUR, posts=0, seen=f"{ALL} accepted"),
    Off(name="clock ten minutes fast", by=10 * MINUTE, posts=ALL, seen=f"{2 * ALL} accepted"),
    Off(
        name="clock an hour fast",
        by=HOUR,
        posts=ALL,
        seen=f"{4 * ALL} pending, {2 * ALL} accepted",
        slots=6,
    ),
    Off(
        name="clock a day fast",
        by=24 * HOUR,
        posts=ALL,
        seen=f"{6 * ALL} pending, {2 * ALL} accepted",
        slots=8,
    ),
]

TOO_EARLY, TOO_LATE = "a run before the window opens", "a run after the deadline"
NO_RUNS = {protocol: f"no run for two hours ({protocol})" for protocol in ("rest", "sdk")}
LATE_TICK = "the market's cycle 20 s late"
AUTUMN, SPRING = "a day of 100 quarter hours", "a day of 92 quarter hours"
CASES = [*(one.name for one in OFF), TOO_EARLY, TOO_LATE, *NO_RUNS.values(), LATE_TICK, AUTUMN, SPRING]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with open_life(tmp_path_factory.mktemp("community"), tmp_path_factory.mktemp("exchange")) as opened:
        yield opened


@pytest.fixture(scope="module")
def table() -> Table:
    return Table("time", CASES)


@pytest.mark.parametrize("one", OFF, ids=lambda one: one.name)
def test_a_clock_that_is_off(life: Life, table: Table, one: Off) -> None:
    life.begin()
    assert life.run().status == 0
    life.to(life.now + SLOT)
    ended = life.run(at=life.now + one.by)
    posts, seen = life.posts().total() - ALL, life.states()
    assert (ended.status, posts, seen) == (0, one.posts, one.seen)
    coming = life.now - INTO_SLOT + SLOT
    life.recover()
    life.to(coming + INTO_SLOT)
    assert life.run().status == 0
    for slot_start in (coming, coming + SLOT):
        assert Counter(row["state"] for row in life.outbox(slot_start).values()) == Counter(accepted=ALL)
    life.to(coming + one.slots * SLOT + INTO_SLOT)
    # What was planned for slots without a run of their own is over by now.
    assert life.run().status == 0
    life.settle()
    for slot_start in (coming, coming + SLOT):
        assert Counter(row["state"] for row in life.outbox(slot_start).values()) == Counter(confirmed=ALL)
    now = "that slot and the next: 36 confirmed"
    table.take(one.name, f"exit 0; {posts} posts; {seen}", now, life.breaches())


def test_before_the_window_opens(life: Life, table: Table) -> None:
    life.begin()
    life.to(life.now + SLOT - INTO_SLOT + timedelta(seconds=3))
    ended = life.run()
    seen = life.states()
    assert (ended.status, seen, life.posts().total()) == (0, f"{ALL} pending", 0)
    life.recover()
    table.take(TOO_EARLY, f"exit 0; {seen}; no post", life.states(), life.breaches())
    assert life.states() == f"{ALL} accepted"


def test_after_the_deadline(life: Life, table: Table) -> None:
    life.begin()
    life.to(life.now + SLOT - INTO_SLOT - timedelta(seconds=25))
    ended = life.run()
    seen = life.states()
    assert (ended.status, seen, life.posts().total()) == (0, f"{ALL} expired", 0)
    life.recover()
    life.settle()
    listed = set(life.diagnoses().values())
    assert listed == {"late"}
    table.take(TOO_LATE, f"exit 0; {seen}; no post", "listed as `late` where energy flowed", life.breaches())


@pytest.mark.parametrize(
    ("protocol", "seen"),
    [
        pytest.param("rest", f"{2 * ALL} accepted, {7 * ALL} expired", id="rest"),
        # All that was measured meanwhile is told.
        pytest.param("sdk", f"{9 * ALL} accepted, {7 * ALL} expired", id="sdk"),
    ],
)
def test_no_run_for_two_hours(life: Life, table: Table, protocol: str, seen: str) -> None:
    life.begin(protocol=protocol)
    assert life.run().status == 0
    life.to(life.now + 8 * SLOT)
    ended = life.run()
    found = life.states()
    life.settle()
    assert (ended.status, found) == (0, seen)
    assert set(life.diagnoses().values()) == {"late"}
    table.take(NO_RUNS[protocol], f"exit 0; {seen}", "what was missed is listed as `late`", life.breaches())


def test_a_late_market_cycle(life: Life, table: Table) -> None:
    """Twelve seconds into a slot, whose cycle comes after twenty: what is sent for the next slot drives this one."""
    life.begin()
    assert life.run().status == 0
    starts = life.now - INTO_SLOT + SLOT
    life.set_faults({"do": "late_tick", "seconds": 20})
    life.to(starts + timedelta(seconds=12))
    ended = life.run()
    assert ended.status == 0
    coming = life.outbox(starts + SLOT)
    assert {row["state"] for row in coming.values()} == {"accepted"}
    life.set_faults()
    life.to(starts + INTO_SLOT)
    life.settle()
    this = life.outbox(starts)
    moved = {name for name, row in this.items() if abs(row["energy_wh"] - coming[name]["energy_wh"]) > 0.02}
    assert moved
    assert {name for name, row in this.items() if row["state"] != "confirmed"} == moved
    listed = life.diagnoses()
    assert listed == dict.fromkeys(moved, "engine's market cycle late")
    table.take(
        LATE_TICK,
        f"exit 0; {ALL} accepted for the next slot drive this one",
        "listed as `engine's market cycle late` where the two differ",
        life.breaches(),
    )


def test_a_day_of_100_quarter_hours(tmp_path_factory: pytest.TempPathFactory, table: Table) -> None:
    with open_life(tmp_path_factory.mktemp("community"), tmp_path_factory.mktemp("exchange")) as life:
        life.now = FIRST_RUN - SLOT
        check_day(life, table, AUTUMN, quarters=100)


def test_a_day_of_92_quarter_hours(tmp_path_factory: pytest.TempPathFactory, table: Table) -> None:
    with open_spring(tmp_path_factory.mktemp("community"), tmp_path_factory.mktemp("exchange")) as life:
        check_day(life, table, SPRING, quarters=92, truth=spring_truth())


def check_day(life: Life, table: Table, name: str, *, quarters: int, **world: Any) -> None:
    life.begin(protocol="sdk")
    midnight = life.now + SLOT - INTO_SLOT
    assert life.run().status == 0
    day = midnight.astimezone(ZoneInfo(TIME_ZONE)).date()
    # In the midst of the hour that is there twice, or not at all, and after the end.
    for after in (2 * HOUR + SLOT, 3 * HOUR + SLOT, quarters * SLOT + SLOT):
        life.to(midnight + after + INTO_SLOT)
        ended = life.run()
        assert ended.status == 0, ended.printed
    row = table_of(SubmissionRow)
    with life.place.store() as store, store.reading() as connection:
        query = select(row.c.asset_id, row.c.slot_start, row.c.state).where(row.c.quantity == "measurement")
        sent = connection.execute(query).all()
    of_day = [one for one in sent if one.slot_start.astimezone(ZoneInfo(TIME_ZONE)).date() == day]
    assert Counter(Counter(one.asset_id for one in of_day).values()) == Counter({quarters: ALL})
    assert {one.state for one in of_day} == {"accepted"}
    life.settle()
    table.take(name, f"exit 0; {quarters} measurements of each asset", "accepted", life.breaches(**world))


def test_the_table(table: Table) -> None:
    table.hold()
