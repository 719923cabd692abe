"""The outbox, a model of the exchange and the clock, driven at random: nothing is lost, nothing is wrong.

The code of `validate`, `convert`, `deliver`, `reconcile` and `repair` is the program's own, on a real store. These are
the rules; what must hold stands in `machine.py`.
"""

import asyncio
import os
from collections import deque
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from pipelines.deliver.outbox import LEASE
from tests.reliability.machine import LivedMachine
from tests.reliability.model_exchange import FAULTS
from tests.reliability.model_life import ON_TIME, SLOT, Life
from tests.reliability.model_process import Process

EXAMPLES, STEPS = (
    int(os.environ.get(f"SLOTFEED_MACHINE_{name}", usual)) for name, usual in (("EXAMPLES", 7), ("STEPS", 14))
)

SHRINKING = os.environ.get("SLOTFEED_MACHINE_SHRINKS") == "1"
SHORT = st.sampled_from([5, 20, 60, 240, 400, 900])
LONG_H = st.sampled_from([0.5, 2, 6, 30])
TROUBLE = st.lists(st.sampled_from(FAULTS), max_size=3)
KILL = st.none() | st.integers(0, 60)
ASSET = st.integers(0, 2)
WRONG_WH = st.integers(-60, 60).filter(bool)
TURNS = st.lists(st.integers(0, 3), min_size=1, max_size=6)


class Machine(LivedMachine):
    """One community's life, rule by rule."""

    protocol = "rest"

    @initialize(lead_s=st.sampled_from([0, 7, -4]), faults=st.lists(st.sampled_from(FAULTS), min_size=3, max_size=3))
    def begin(self, lead_s: float, faults: list[str]) -> None:
        """The first feed, undisturbed: assets go live. The second meets trouble; by chance alone few examples would."""
        self.life = Life(Path(self.folder.name), self.protocol, lead_s)
        self.run(self.life.process, self.life.feed)
        self.to_the_next_feed()
        self.await_trouble(faults, None)
        self.run(self.life.process, self.life.feed)
        self.befall_at_first()

    def befall_at_first(self) -> None:
        """What befalls one protocol alone, in each example."""

    @rule(seconds=SHORT)
    def time_passes(self, seconds: int) -> None:
        self.life.exchange.pass_time(timedelta(seconds=seconds))

    @rule(hours=LONG_H)
    def nobody_is_there(self, hours: float) -> None:
        self.life.exchange.pass_time(timedelta(hours=hours))

    @rule(slots=st.sampled_from([1, 1, 2]), faults=TROUBLE, kill=KILL)
    def live_on(self, slots: int, faults: list[str], kill: int | None) -> None:
        """As the schedule has it: a feed in each slot. The first posts meet these faults, and the first run dies."""
        self.await_trouble(faults, kill)
        for _ in range(slots):
            self.to_the_next_feed()
            self.run(self.life.process, self.life.feed)

    @rule(faults=TROUBLE, kill=KILL)
    def feed(self, faults: list[str], kill: int | None) -> None:
        """A run at this moment: late, doubled, or just before the slot's end."""
        self.await_trouble(faults, kill)
        self.run(self.life.process, self.life.feed)

    @rule(faults=TROUBLE, first=TURNS, second=TURNS)
    def two_deliver_in_turns(self, faults: list[str], first: list[int], second: list[int]) -> None:
        """Two workers on one outbox: now the one, now the other."""

        async def both(process: Process) -> None:
            self.life.prepare(process)
            with self.life.second_process() as other:
                delivering = self.life.deliver(process, turns=first), self.life.deliver(other, turns=second)
                # What befalls the one is no matter to the other, which goes on to its end.
                for ended in await asyncio.gather(*delivering, return_exceptions=True):
                    if isinstance(ended, BaseException):
                        raise ended

        self.to_the_next_feed()
        self.await_trouble(faults, None)
        self.run(self.life.process, both)

    @rule(after=st.integers(0, 3), hours=st.sampled_from([0.05, 0.2, 1, 8]), fed=st.booleans())
    def the_machine_sleeps_over_a_post(self, after: int, hours: float, fed: bool) -> None:
        """Before the post has left, the login or one of energies; meanwhile another machine may go on with the work."""

        async def feed(process: Process) -> None:
            await self.life.feed(process, on_sleep=elsewhere)

        async def elsewhere() -> None:
            if fed:
                with self.life.second_process() as other:
                    await self.life.feed(other)

        self.to_the_next_feed()
        self.await_trouble([*["slow reply"] * after, f"asleep {hours}"], None)
        self.run(self.life.process, feed)
        self.life.exchange.faults.clear()
        if timedelta(hours=hours) > LEASE:
            # What it had sent and not written yet is sent again, as after a kill.
            self.life.kills += 1

    @rule(fault=st.sampled_from(["reset", "busy", "lost reply"]), left_s=st.sampled_from([15, 60, 780]))
    def no_answer_comes(self, fault: str, left_s: int) -> None:
        """All tries of a run meet this, so many seconds before the slot ends."""
        exchange = self.life.exchange
        self.to_the_next_feed()
        exchange.pass_time(SLOT - ON_TIME - timedelta(seconds=left_s))
        self.await_trouble([fault] * 60, None)
        self.run(self.life.process, self.life.feed)
        exchange.faults.clear()

    @rule(kill=st.integers(2, 16))
    def a_worker_dies_while_it_delivers(self, kill: int) -> None:
        """With posts on lease."""

        async def deliver_and_die(process: Process) -> None:
            self.life.prepare(process)
            process.switch.left = kill
            await self.life.deliver(process)

        self.to_the_next_feed()
        self.run(self.life.process, deliver_and_die)

    @rule(wh=WRONG_WH, after=st.integers(1, 3))
    def corrections_are_sent_elsewhere_while_the_machine_sleeps(self, wh: int, after: int) -> None:
        """For a minute more than its lease, in a slot whose forecasts may still be corrected; of all assets, for one of
        them will have been in hand.
        """

        async def feed(process: Process) -> None:
            await self.life.feed(process, on_sleep=elsewhere)

        async def elsewhere() -> None:
            for asset in range(3):
                self.correct(asset, 0, wh)
            with self.life.second_process() as other:
                await self.life.feed(other)

        self.to_the_next_feed()
        asleep = LEASE + timedelta(minutes=1)
        self.await_trouble([*["slow reply"] * after, f"asleep {asleep / timedelta(hours=1)}"], None)
        self.run(self.life.process, feed)
        self.life.exchange.faults.clear()
        self.life.kills += 1

    @rule(asset=ASSET, back=st.integers(0, 9), wh=WRONG_WH)
    def a_reading_is_corrected(self, asset: int, back: int, wh: int) -> None:
        self.correct(asset, back, wh)

    @rule(asset=ASSET, wh=WRONG_WH, late=st.sampled_from([(20, 2), (35, 3), (130, 9)]))
    def a_late_run_reads_a_correction(self, asset: int, wh: int, late: tuple[int, int]) -> None:
        """Its time lies minutes before that of the run before it; what is corrected is the newest that it sees."""
        minutes, back = late
        off = self.life.machine.off
        self.to_the_next_feed()
        self.run(self.life.process, self.life.feed)
        self.correct(asset, back, wh)
        self.life.machine.off = -timedelta(minutes=minutes)
        self.run(self.life.process, self.life.feed)
        self.life.machine.off = off

    @rule(asset=st.integers(0, 2))
    def a_meter_is_not_heard(self, asset: int) -> None:
        self.life.meters.silent.setdefault(list(self.life.meters.streams)[asset], self.life.exchange.now)

    @precondition(lambda self: self.life and self.life.meters.silent)
    @rule()
    def all_meters_are_heard(self) -> None:
        """Late readings come with the new ones."""
        self.life.meters.silent.clear()

    @rule(status=st.sampled_from(["503", "401"]))
    def the_token_must_be_renewed(self, status: str) -> None:
        """All tokens have ended, and the first login fails."""
        self.life.exchange.tokens.clear()
        self.life.exchange.login_faults.append(status)

    @rule(slots=st.integers(1, 2))
    def the_exchange_is_down(self, slots: int) -> None:
        """For so many runs."""
        self.life.exchange.up = False
        for _ in range(slots):
            self.to_the_next_feed()
            self.run(self.life.process, self.life.feed)
        self.life.exchange.up = True

    @rule()
    def the_exchange_starts_anew(self) -> None:
        """What it had buffered is lost."""
        self.life.exchange.forget()

    @rule(minutes=st.sampled_from([-130, -20, -3, 0, 4, 35, 200]))
    def the_machines_clock_is_set(self, minutes: int) -> None:
        self.life.machine.off = timedelta(minutes=minutes)

    @rule(repairing=st.booleans(), kill=KILL)
    def reconcile(self, repairing: bool, kill: int | None) -> None:
        self.await_trouble([], kill)
        if self.run(self.life.process, partial(self.life.reconcile, repairing=repairing)):
            self.hold_the_list()

    def correct(self, asset: int, back: int, wh: int) -> None:
        """The source corrects a register, of so many slots ago."""
        stream = list(self.life.meters.streams)[asset]
        exchange = self.life.exchange
        self.life.meters.corrections[stream, exchange.slot_of(exchange.now) - back * SLOT] = float(wh)

    def await_trouble(self, faults: list[str], kill: int | None) -> None:
        """The next posts meet these faults, and the next run dies at this point, if it comes so far."""
        self.life.exchange.faults = deque(faults)
        self.life.process.switch.left = kill


class BatchMachine(Machine):
    """What befalls an aggregator besides."""

    @rule(slots=st.integers(1, 2))
    def no_answer_is_heard(self, slots: int) -> None:
        """The websocket is away, for so many runs: all that is known is that the requests were queued."""
        self.life.exchange.heard = False
        for _ in range(slots):
            self.to_the_next_feed()
            self.run(self.life.process, self.life.feed)
        self.life.exchange.heard = True

    @rule(before_s=st.sampled_from([1, 8, 14]))
    def the_market_cycle_comes_first(self, before_s: int) -> None:
        """Measurements are queued, and thrown away before the engine's next tick."""
        self.race(before_s)

    def befall_at_first(self) -> None:
        """A race."""
        self.race(8)

    def race(self, before_s: int) -> None:
        """Feed so late in a slot."""
        exchange = self.life.exchange
        self.to_the_next_feed()
        exchange.pass_time(exchange.slot + SLOT - exchange.lead - timedelta(seconds=before_s) - exchange.now)
        self.run(self.life.process, self.life.feed)


def drive(protocol: str) -> None:
    """Let the machine run, as often and as long as the settings say.

    Raises:
        AssertionError: something is lost or wrong; the steps stand in its notes.
    """
    run_state_machine_as_test(
        type(f"Machine of {protocol}", (BatchMachine if protocol == "batch" else Machine,), {"protocol": protocol}),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate, Phase.shrink] if SHRINKING else [Phase.generate],
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )


@pytest.mark.parametrize("protocol", ["rest", "sdk", "batch"])
def test_whatever_happens_nothing_is_lost_and_nothing_is_wrong(protocol: str) -> None:
    drive(protocol)
