"""The exchange is away for a day; what then leaves, in which order, and that the live slots don't wait for it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipelines.deliver import DeliverSummary
from pipelines.errors import ExchangeUnavailable
from pipelines.exchange import read_energy
from pipelines.frames import State
from pipelines.store import Store
from tests.reliability.outage import MINUTES_2, SIMULATION, SLOT, START, Sent, Street, open_street

ASSETS, BATCH = 250, 50
POST = timedelta(seconds=10)
FIRST_LIVE = START + SLOT
MISSED = 96
"""Slots whose feeds find no exchange."""

BACK = START + (MISSED + 1) * SLOT + MINUTES_2
"""The first feed that finds it again."""

# A run begins two minutes into its slot and begins no post without a deadline in the last thirty seconds of it.
POSTS_A_RUN = int((SLOT - MINUTES_2 - timedelta(seconds=30)) / POST)
FORECAST_POSTS = ASSETS // BATCH
# Leased are 500 at once: first the live slot and the newest measured one, then two slots of every asset each time. In
# a request there are 50 assets, with their one slot or their two.
SENT_A_RUN = (FORECAST_POSTS + 2 * (POSTS_A_RUN - 2 * FORECAST_POSTS)) * BATCH


@pytest.fixture
def street(sqlite_store: Store, tmp_path: Path) -> Iterator[Street]:
    with open_street(
        sqlite_store, tmp_path, assets=ASSETS, assets_per_batch=BATCH, concurrency=1, post_takes=POST
    ) as opened:
        yield opened


async def feed(street: Street, at: datetime) -> DeliverSummary:
    """What a feed does with what the meters told since the last."""
    assert street.clock.now() <= at, "the run before is still at it: this one would be late"
    street.at(at)
    street.meter(at - MINUTES_2 - SLOT, at - MINUTES_2)
    street.plan()
    return await street.deliver()


async def away_for_a_day(street: Street) -> None:
    """A feed that is answered, then none; four of the 96 are tried, each with a quarter of what they would plan."""
    await street.select_aggregator()
    street.plan()
    assert (await street.deliver()).accepted == ASSETS
    street.faults({"do": "reset"})
    for quarter in range(4):
        first, last = START + quarter * 24 * SLOT, START + (quarter + 1) * 24 * SLOT
        street.at(last + MINUTES_2)
        street.meter(first, last)
        street.plan()
        with pytest.raises(ExchangeUnavailable):
            await street.deliver()
    street.faults()
    street.sent.clear()


async def test_after_a_day_without_the_exchange_the_live_slots_come_first_and_the_rest_newest_first(
    street: Street,
) -> None:
    await away_for_a_day(street)
    waiting = ("measurement", State.PENDING.value)
    assert street.states() == {
        ("forecast", State.ACCEPTED.value): ASSETS,
        ("forecast", State.PENDING.value): 96 * ASSETS,
        waiting: 95 * ASSETS,
    }

    done: list[DeliverSummary] = []
    runs: list[list[Sent]] = []
    left = [MISSED * ASSETS]
    while left[-1]:
        street.sent = []
        done.append(await feed(street, BACK + len(done) * SLOT))
        runs.append(street.sent)
        left.append(street.states().get(waiting, 0))

    # What is new in each run joins the rest; as much leaves as the slot has room for.
    expected = [MISSED * ASSETS]
    while expected[-1]:
        arrived = ASSETS if len(expected) > 1 else 0
        expected.append(max(0, expected[-1] + arrived - SENT_A_RUN))
    assert left == expected
    assert len(done) == 4
    assert [(one.left, one.given_back, one.rejected, one.problems) for one in done] == [
        (count, 0, 0, ()) for count in expected[1:]
    ]
    # Forecasts whose time was over are closed and never leave; one live slot a run, before everything else.
    assert [one.expired for one in done] == [MISSED * ASSETS, 0, 0, 0]
    for number, sent in enumerate(runs):
        coming = BACK - MINUTES_2 + (number + 1) * SLOT
        ahead, rest = sent[:FORECAST_POSTS], sent[FORECAST_POSTS:]
        assert ahead[0].at == BACK + number * SLOT
        assert sum(len(one.forecasts) for one in ahead) == ASSETS
        assert {slot for one in ahead for profile in one.forecasts.values() for slot in profile} == {coming}
        assert not any(one.forecasts for one in rest)
        newest = [one.slots[0] for one in rest]
        assert newest[0] == coming - 2 * SLOT
        assert newest == sorted(newest, reverse=True)
        assert max(len(one.slots) for one in rest) <= 2
        assert sent[-1].at < coming - timedelta(seconds=30)
    assert street.most_leased <= 500
    assert street.states() == {
        ("forecast", State.ACCEPTED.value): 5 * ASSETS,
        ("forecast", State.EXPIRED.value): MISSED * ASSETS,
        ("measurement", State.ACCEPTED.value): (MISSED + 3) * ASSETS,
    }
    await holds(street, runs=len(done))


async def holds(street: Street, *, runs: int) -> None:
    """What the exchange used: nothing while it was away, and then what each run sent for its coming slot."""
    coming = [BACK - MINUTES_2 + (number + 1) * SLOT for number in range(runs)]
    street.at(coming[-1] + SLOT + MINUTES_2)
    some = street.assets[:: ASSETS // 5]
    async with street.client() as client:
        read = await read_energy(
            client, simulation=SIMULATION, assets=some, start=FIRST_LIVE, end=coming[-1] + SLOT, concurrency=5
        )
    for asset in some:
        held = read.energy_wh[asset]
        # Each is what was measured two slots before: the newest there was.
        for slot in (FIRST_LIVE, *coming):
            assert held[slot] == pytest.approx(street.energy_wh(asset, slot - 2 * SLOT), abs=1e-4)
        between = [held[FIRST_LIVE + n * SLOT] for n in range(1, MISSED)]
        assert between == [0.0] * (MISSED - 1)


async def test_a_run_at_the_end_of_its_slot_leaves_measurements_to_the_next(street: Street) -> None:
    await street.select_aggregator()
    street.plan()
    await street.deliver()
    # 29 s before a slot begins: too late for its forecasts, and for what would be in the way of the run after.
    street.at(START + 3 * SLOT - timedelta(seconds=29))
    street.meter(START, START + 2 * SLOT)
    street.plan()
    street.sent = []
    late = await street.deliver()
    assert (late.accepted, late.expired, late.left, street.sent) == (0, 2 * ASSETS, ASSETS, [])
    done = await feed(street, START + 3 * SLOT + MINUTES_2)
    assert (done.accepted, done.left) == (3 * ASSETS, 0)
