"""What waits without a deadline: how long a run works it off, and that nothing settled is read for it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from pipelines.clock import FixedClock
from pipelines.deliver import deliver, expire_overdue
from pipelines.deliver.backlog import backlog_until
from pipelines.deliver.outbox import Outcome, close_switched_off, lease_due, left_behind, record
from pipelines.frames import Quantity, State
from tests.plans import planned

World = Any
MakeWorld = Callable[[str], World]
SLOT = timedelta(minutes=15)
F, M = Quantity.FORECAST, Quantity.MEASUREMENT
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("minutes", "now", "until"),
    [
        (15, NOON, NOON + timedelta(minutes=14, seconds=30)),
        (15, NOON + timedelta(minutes=2), NOON + timedelta(minutes=14, seconds=30)),
        (15, NOON + timedelta(minutes=14, seconds=50), NOON + timedelta(minutes=14, seconds=30)),
        (60, NOON + timedelta(minutes=20), NOON + timedelta(minutes=59, seconds=30)),
        (1, NOON + timedelta(seconds=7), NOON + timedelta(seconds=54)),
    ],
)
def test_a_run_ends_with_its_slot(minutes: int, now: datetime, until: datetime) -> None:
    assert backlog_until(now, length=timedelta(minutes=minutes)) == until


async def test_what_its_turn_does_not_come_to_goes_back_and_is_told(make_world: MakeWorld, noon: datetime) -> None:
    world = make_world("sdk")
    for asset in ("load-1", "load-2", "pv-1"):
        world.submit(asset, noon + SLOT, 10.0)
        world.submit(asset, noon - SLOT, 20.0, quantity=M)
        world.submit(asset, noon - 2 * SLOT, 30.0, quantity=M)
    world.community.exchange.__dict__["concurrency"] = 1
    clock = FixedClock(noon + timedelta(minutes=10))
    posts: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        if "token" in request.url.path:
            return httpx.Response(200, json={"access": "t"})
        posts.append(request.url.path.rstrip("/").rsplit("/", 1)[-1])
        # Three posts of forecasts and one of measurements fit before the slot ends; they share one lease.
        clock.set(clock.now() + timedelta(minutes=1, seconds=10))
        return httpx.Response(200, json={"queued": True})

    async with world.client(transport=httpx.MockTransport(answer)) as client:
        client.http_clock = clock
        summary = await deliver(world.store, world.community, client)
    assert posts == ["set-energy-forecast"] * 3 + ["set-energy-measurement"]
    assert (summary.accepted, summary.given_back, summary.left, summary.problems) == (5, 4, 0, ())
    pending = [key for key, state in world.states().items() if state == State.PENDING]
    assert {(quantity, version) for _, _, quantity, version in pending} == {(M, 0)}
    assert len(pending) == 4


async def test_a_try_that_would_fall_into_the_next_run_is_not_made(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    world.submit("load-1", noon - SLOT, 20.0, quantity=M)
    clock = FixedClock(noon + timedelta(minutes=14, seconds=29))
    tries = 0

    async def busy(request: httpx.Request) -> httpx.Response:
        nonlocal tries
        if "token" in request.url.path:
            return httpx.Response(200, json={"access": "t"})
        tries += 1
        clock.set(clock.now() + timedelta(seconds=1))
        return httpx.Response(503)

    async with world.client(transport=httpx.MockTransport(busy)) as client:
        client.http_clock = clock
        summary = await deliver(world.store, world.community, client)
    assert (tries, summary.given_back) == (1, 1)
    assert set(world.states().values()) == {State.PENDING}


def test_an_older_version_that_came_back_beside_a_newer_one_gives_way_when_that_is_accepted(
    make_world: MakeWorld, noon: datetime
) -> None:
    """Two transactions at once can leave both waiting: one gives back what the other has planned anew."""
    world = make_world("sdk")
    now = noon + timedelta(minutes=2)
    world.submit("load-1", noon - SLOT, 20.0, quantity=M, attempts=1, error="no answer")
    world.submit("load-1", noon - SLOT, 21.0, quantity=M, version=1)
    leased = lease_due(world.store, assets=["load-1"], now=now, worker="w", limit=10)
    assert [one.energy_wh for one in leased] == [21.0]
    record(world.store, [Outcome(id=leased[0].id, state=State.ACCEPTED, at=now)], worker="w")
    assert world.states() == {
        ("load-1", noon - SLOT, M, 0): State.SUPERSEDED,
        ("load-1", noon - SLOT, M, 1): State.ACCEPTED,
    }


def test_what_comes_back_while_a_newer_version_was_planned_does_not_wait_again(
    make_world: MakeWorld, noon: datetime
) -> None:
    world = make_world("sdk")
    now = noon + timedelta(minutes=2)
    world.submit("load-1", noon - SLOT, 20.0, quantity=M)
    (leased,) = lease_due(world.store, assets=["load-1"], now=now, worker="w", limit=10)
    world.submit("load-1", noon - SLOT, 21.0, quantity=M, version=1)
    record(world.store, [Outcome(id=leased.id, state=State.PENDING, at=now, error="no answer")], worker="w")
    assert world.states() == {
        ("load-1", noon - SLOT, M, 0): State.SUPERSEDED,
        ("load-1", noon - SLOT, M, 1): State.PENDING,
    }


def test_without_the_backlog_only_what_has_a_deadline_is_leased(make_world: MakeWorld, noon: datetime) -> None:
    world = make_world("sdk")
    world.submit("load-1", noon - SLOT, 20.0, quantity=M)
    world.submit("load-1", noon + SLOT, 10.0)
    now = noon + timedelta(minutes=2)
    leased = lease_due(world.store, assets=["load-1"], now=now, worker="w", limit=10, backlog=False)
    assert [one.quantity for one in leased] == [F]
    assert left_behind(world.store, assets=["load-1"], now=now, worker="w") == 1


def test_no_step_of_the_outbox_looks_through_what_is_settled(make_light_world: MakeWorld, noon: datetime) -> None:
    world = make_light_world("sdk")
    world.submit("load-1", noon + SLOT, 10.0)
    world.submit("load-1", noon - SLOT, 20.0, quantity=M, version=1)
    now, assets = noon + timedelta(minutes=2), ["load-1", "load-2"]
    with planned(world.store) as plans:
        expire_overdue(world.store, now=now)
        close_switched_off(world.store, assets=["pv-1"])
        leased = lease_due(world.store, assets=assets, now=now, worker="w", limit=10)
        outcomes = [Outcome(id=leased[0].id, state=State.ACCEPTED, at=now)]
        outcomes += [Outcome(id=one.id, state=State.PENDING, at=now) for one in leased[1:]]
        record(world.store, outcomes, worker="w")
        left_behind(world.store, assets=assets, now=now, worker="w")
    steps = [step for plan in plans for step in plan.splitlines()]
    rows = [
        step for step in steps if step.startswith(("SCAN", "SEARCH")) and "anon_" not in step and "asked" not in step
    ]
    assert len(rows) >= 10
    assert "SCAN due USING INDEX ix_submission_backlog" in rows
    moving = ("ix_submission_deadline", "ix_submission_backlog", "ix_submission_sending")
    by_key = ("INTEGER PRIMARY KEY (rowid=?)", "sqlite_autoindex_submission_1 (asset_id=? AND slot_start=?")
    assert [plan for plan in rows if not any(part in plan for part in (*moving, *by_key))] == []
    # The backlog is walked in the order in which it leaves; sorting it would mean to read it all.
    assert sum("ORDER BY" in plan for plan in plans) == 1
