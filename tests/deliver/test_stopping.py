"""A run that is to stop begins no new post, and leaves nothing leased."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from pipelines.deliver import deliver, expire_overdue, sender
from pipelines.deliver.outbox import OUTCOME_UNKNOWN
from pipelines.errors import ExchangeUnavailable
from pipelines.frames import State
from pipelines.sandbox.exchange.faults import Rule
from pipelines.store import SubmissionRow, table_of

World = Any
MakeWorld = Callable[[str], World]
SLOT = timedelta(minutes=15)
ASSETS = ("load-1", "load-2", "pv-1")


@pytest.fixture
def world(make_light_world: MakeWorld, noon: datetime) -> World:
    """Three submissions that one worker sends one after another."""
    made = make_light_world("rest")
    one_at_a_time = made.community.exchange.model_copy(update={"concurrency": 1})
    made.community = made.community.model_copy(update={"exchange": one_at_a_time})
    for asset in ASSETS:
        made.submit(asset, noon + SLOT, 100.0)
    return made


def outbox(world: World) -> Counter[tuple[str, datetime | None]]:
    """State and lease of the submissions."""
    row = table_of(SubmissionRow)
    with world.store.reading() as connection:
        found = connection.execute(select(row.c.state, row.c.leased_until)).all()
    return Counter((one.state, one.leased_until) for one in found)


async def test_a_post_on_its_way_is_marked_and_the_rest_goes_back(world: World) -> None:
    exchange = httpx.ASGITransport(world.app)
    stopped = False

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal stopped
        stopped = "energy" in request.url.path
        return await exchange.handle_async_request(request)

    async with world.client(transport=httpx.MockTransport(answer)) as client:
        summary = await deliver(world.store, world.community, client, stopping=lambda: stopped)
    assert (summary.accepted, summary.given_back, summary.problems) == (1, 2, ())
    assert len(world.posts()) == 1
    assert outbox(world) == {(State.ACCEPTED, None): 1, (State.PENDING, None): 2}

    async with world.client() as client:
        assert (await deliver(world.store, world.community, client)).accepted == 2
    assert sorted(world.posts()) == sorted(ASSETS)


async def test_nothing_is_leased_once_it_is_to_stop(world: World) -> None:
    async with world.client() as client:
        summary = await deliver(world.store, world.community, client, stopping=lambda: True)
    assert summary.given_back == 0
    with world.store.reading() as connection:
        assert set(connection.execute(select(table_of(SubmissionRow).c.attempts)).scalars()) == {0}


async def test_a_post_that_waits_for_another_try_goes_back(world: World) -> None:
    stopped = False

    async def stop(_seconds: float) -> None:
        nonlocal stopped
        stopped = True
        raise ExchangeUnavailable("not tried again")

    world.sleep = stop
    world.faults.replace([Rule(do="status", path="energy", status=503)])
    async with world.client() as client:
        summary = await deliver(world.store, world.community, client, stopping=lambda: stopped)
    assert (summary.given_back, summary.problems) == (3, ("not tried again",))
    assert len(world.posts()) == 1
    assert outbox(world) == {(State.PENDING, None): 3}


async def test_a_cancelled_run_tells_what_may_have_arrived_from_what_never_left(world: World, noon: datetime) -> None:
    sent = asyncio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        if "token" in request.url.path:
            return httpx.Response(200, json={"access": "t"})
        sent.set()
        await asyncio.Event().wait()
        raise AssertionError("never answered")

    async with world.client(transport=httpx.MockTransport(hang)) as client:
        run = asyncio.create_task(deliver(world.store, world.community, client))
        await sent.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    assert outbox(world) == {(State.PENDING, None): 3}

    expire_overdue(world.store, now=noon + SLOT)
    row = table_of(SubmissionRow)
    with world.store.reading() as connection:
        errors = Counter(connection.execute(select(row.c.error)).scalars())
    assert errors == {OUTCOME_UNKNOWN: 1, "not sent in time: not tried: the run ended before": 2}


async def test_a_signal_in_the_midst_of_marking_loses_no_mark(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Signal(BaseException):
        """As Prefect's, which a handler raises wherever the code is."""

    record = sender.record
    marks: list[Sequence[Any]] = []

    def interrupted(store: Any, outcomes: Sequence[Any], *, worker: str) -> None:
        marks.append(outcomes)
        if len(marks) == 1:
            raise Signal
        record(store, outcomes, worker=worker)

    monkeypatch.setattr(sender, "record", interrupted)
    async with world.client() as client:
        with pytest.raises(BaseExceptionGroup) as raised:
            await deliver(world.store, world.community, client)
    assert raised.group_contains(Signal)
    assert outbox(world) == {(State.ACCEPTED, None): 1, (State.PENDING, None): 2}
