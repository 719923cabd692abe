"""The outbox, a model of the exchange and the clock, driven at random: nothing is lost, nothing is wrong.

The code of `validate`, `convert`, `deliver` and `reconcile` is the program's own, on a real store. Each step is
followed by the checker; in the end all trouble ceases, and after two slots and a reconciliation all must be settled.
"""

import asyncio
import contextlib
import os
import tempfile
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pipelines.deliver.outbox import LEASE
from pipelines.errors import SlotfeedError
from pipelines.store import DiscrepancyRow
from tests.reliability.invariants import CHECKS, Invariant, check_all, told
from tests.reliability.model_exchange import FAULTS
from tests.reliability.model_life import ON_TIME, SLOT, Life
from tests.reliability.model_process import Killed, Process
from tests.reliability.outcomes import WAITING
from tests.reliability.world import Key

EXAMPLES, STEPS = (
    int(os.environ.get(f"SLOTFEED_MACHINE_{name}", usual)) for name, usual in (("EXAMPLES", 8), ("STEPS", 20))
)

SHRINKING = os.environ.get("SLOTFEED_MACHINE_SHRINKS") == "1"
IN_MEMORY = Path("/dev/shm")
"""Where there is one: nothing here must outlive the power."""

AT_ANY_TIME = (
    Invariant.ONE_FINAL_STATE,
    Invariant.IN_TIME,
    Invariant.FEW_REPEATS,
    Invariant.RIGHT_PLACE,
    Invariant.CURSORS_BEHIND,
)
"""What holds also in the midst of trouble. The others hold once what was read is converted, and compared."""

TOLERANCE_WH = 0.02
SHORT = st.sampled_from([5, 20, 60, 240, 400, 900])
LONG_H = st.sampled_from([0.5, 2, 6, 30])
POINTS = st.integers(0, 60)


class Machine(RuleBasedStateMachine):
    """One community's life, rule by rule."""

    protocol = "rest"

    def __init__(self) -> None:
        """Make a folder and a loop; the rest waits for the first draw."""
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None)
        self.runner = asyncio.Runner()
        self.life: Life | None = None
        self.broken = False

    @initialize(lead_s=st.sampled_from([0, 7, -4]))
    def begin(self, lead_s: float) -> None:
        """The first feed, undisturbed: assets go live."""
        self.life = Life(Path(self.folder.name), self.protocol, lead_s)
        self.run(self.life.process, self.life.feed)

    @rule(seconds=SHORT)
    def time_passes(self, seconds: int) -> None:
        self.life.exchange.pass_time(timedelta(seconds=seconds))

    @rule(hours=LONG_H)
    def nobody_is_there(self, hours: float) -> None:
        self.life.exchange.pass_time(timedelta(hours=hours))

    @rule(slots=st.integers(1, 3))
    def live_on(self, slots: int) -> None:
        """As the schedule has it: a feed in each slot."""
        for _ in range(slots):
            self.to_the_next_feed()
            self.run(self.life.process, self.life.feed)

    @rule()
    def feed(self) -> None:
        """A run at this moment: late, doubled, or just before the slot's end."""
        self.run(self.life.process, self.life.feed)

    @rule()
    def deliver(self) -> None:
        self.run(self.life.process, self.life.deliver)

    @rule(first=st.lists(st.integers(0, 3), min_size=1, max_size=6), second=st.lists(st.integers(0, 3), min_size=1))
    def two_deliver_in_turns(self, first: list[int], second: list[int]) -> None:
        """Two workers on one outbox: now the one, now the other."""

        async def both(process: Process) -> None:
            with self.life.second_process() as other:
                await asyncio.gather(self.life.deliver(process, turns=first), self.life.deliver(other, turns=second))

        self.run(self.life.process, both)

    @rule(after=st.integers(0, 2), hours=st.sampled_from([0.05, 0.2, 1, 8]), fed=st.booleans())
    def the_machine_sleeps_over_a_post(self, after: int, hours: float, fed: bool) -> None:
        """Before the post has left; meanwhile another machine may go on with the work."""

        async def feed(process: Process) -> None:
            await self.life.feed(process, on_sleep=elsewhere)

        async def elsewhere() -> None:
            if fed:
                with self.life.second_process() as other:
                    await self.life.feed(other)

        self.to_the_next_feed()
        self.life.exchange.faults = deque([*["slow reply"] * after, f"asleep {hours}"])
        self.run(self.life.process, feed)
        self.life.exchange.faults.clear()
        if timedelta(hours=hours) > LEASE:
            # What it had sent and not written yet is sent again, as after a kill.
            self.life.kills += 1

    @rule(asset=st.integers(0, 2), back=st.integers(0, 9), wh=st.integers(-60, 60).filter(bool))
    def a_reading_is_corrected(self, asset: int, back: int, wh: int) -> None:
        stream = list(self.life.meters.streams)[asset]
        now = self.life.exchange.now
        ts = self.life.exchange.slot_of(now) - back * SLOT
        self.life.meters.corrections[stream, ts] = float(wh)

    @rule(asset=st.integers(0, 2))
    def a_meter_is_not_heard(self, asset: int) -> None:
        self.life.meters.silent.setdefault(list(self.life.meters.streams)[asset], self.life.exchange.now)

    @precondition(lambda self: self.life and self.life.meters.silent)
    @rule()
    def all_meters_are_heard(self) -> None:
        """Late readings come with the new ones."""
        self.life.meters.silent.clear()

    @rule(faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=4))
    def trouble_awaits(self, faults: list[str]) -> None:
        """The next posts meet these."""
        self.life.exchange.faults.extend(faults)

    @rule(point=POINTS)
    def a_kill_awaits(self, point: int) -> None:
        """The next run dies at this point, if it comes so far."""
        self.life.process.switch.left = point

    @rule(status=st.sampled_from(["503", "401"]))
    def the_token_must_be_renewed(self, status: str) -> None:
        """All tokens have ended, and the first login fails."""
        self.life.exchange.tokens.clear()
        self.life.exchange.login_faults.append(status)

    @rule()
    def the_exchange_is_down(self) -> None:
        self.life.exchange.up = False

    @precondition(lambda self: self.life and not self.life.exchange.up)
    @rule()
    def the_exchange_is_up_again(self) -> None:
        self.life.exchange.up = True

    @rule()
    def the_exchange_starts_anew(self) -> None:
        """What it had buffered is lost."""
        self.life.exchange.forget()

    @rule(minutes=st.sampled_from([-130, -20, -3, 0, 4, 35, 200]))
    def the_machines_clock_is_set(self, minutes: int) -> None:
        self.life.machine.off = timedelta(minutes=minutes)

    @rule(repairing=st.booleans())
    def reconcile(self, repairing: bool) -> None:
        if self.run(self.life.process, partial(self.life.reconcile, repairing=repairing)):
            self.hold_the_list()

    @invariant()
    def nothing_is_wrong(self) -> None:
        """The checker's, after each step."""
        if self.life is None or self.broken:
            return
        world = self.life.world(settled=False)
        self.hold(told([found for number in AT_ANY_TIME for found in CHECKS[number](world)]))

    def teardown(self) -> None:
        """Let trouble cease, live two slots on, and look whether all is settled."""
        try:
            if self.life is not None and not self.broken:
                self.settle()
        finally:
            self.runner.close()
            if self.life is not None:
                self.life.close()
            self.folder.cleanup()

    def settle(self) -> None:
        """The end: everything has its final state, and what differs is listed."""
        life = self.life
        life.machine.off, life.exchange.up, life.process.switch.left = timedelta(0), True, None
        for trouble in (life.exchange.faults, life.exchange.login_faults, life.meters.silent):
            trouble.clear()
        self.feed_undisturbed()
        waiting = [slot for _, slot, _ in self.waiting()]
        if waiting:
            # A clock that was ahead has planned for slots to come.
            life.exchange.pass_time(max(max(waiting) - life.exchange.now - SLOT, timedelta(0)))
        self.feed_undisturbed()
        # What was leased by the dead is free now, and what a market cycle takes is taken.
        self.to_the_next_feed()
        assert self.run(life.process, life.deliver)
        life.exchange.pass_time(SLOT)
        assert self.run(life.process, life.reconcile)
        self.hold(told(check_all(life.world(settled=True))))
        self.hold_the_list()

    def feed_undisturbed(self) -> None:
        self.to_the_next_feed()
        assert self.run(self.life.process, self.life.feed), "an undisturbed feed failed"

    def waiting(self) -> list[Key]:
        """What the outbox still holds back."""
        outbox = self.life.world(settled=False).submissions
        return [key for key, versions in outbox.items() if versions[-1]["state"] in WAITING]

    def hold_the_list(self) -> None:
        """The promise, by the model's own values: each slot agrees, or is listed; and what is listed differs."""
        world, exchange = self.life.world(settled=False), self.life.exchange
        listed = {(r["asset_id"], r["slot_start"]) for r in world._rows(DiscrepancyRow) if r["closed_at"] is None}
        wrong = []
        for asset in world.live_assets:
            slot = asset["live_since"]
            while slot < exchange.slot:
                versions = world.submissions.get((asset["asset_id"], slot, "forecast"))
                held_wh = 1000 * exchange.held_kwh(asset["asset_id"], slot)
                wanted_wh = versions[-1]["energy_wh"] if versions else None
                agrees = wanted_wh is not None and abs(held_wh - wanted_wh) <= TOLERANCE_WH
                if agrees is ((asset["asset_id"], slot) in listed):
                    words = "is listed and agrees" if agrees else "is not listed"
                    wrong.append(f"{asset['asset_id']} {slot:%d %H:%M}: {held_wh:.3f} of {wanted_wh} {words}")
                slot += SLOT
        self.hold("\n".join(wrong))

    def hold(self, found: str) -> None:
        self.broken = bool(found)
        assert found == "", found

    def to_the_next_feed(self) -> None:
        """The market's next slot, and two minutes."""
        exchange = self.life.exchange
        exchange.pass_time(exchange.slot + SLOT + ON_TIME - exchange.lead - exchange.now)

    def run(self, process: Process, story: Callable[[Process], Awaitable[object]]) -> bool:
        """Run a story; whether it came to its end. A process that was killed is started anew."""
        ended = False
        with contextlib.suppress(SlotfeedError), self.life.machine.runs():
            try:
                self.runner.run(story(process))
                ended = True
            except BaseException as error:
                if not _killed(error):
                    raise
        process.switch.left = None
        if process.switch.dead:
            self.life.kills += 1
            process.start_again()
            ended = False
        return ended


def _killed(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(_killed, error.exceptions))
    return isinstance(error, Killed)


def drive(protocol: str) -> None:
    """Let the machine run, as often and as long as the settings say.

    Raises:
        AssertionError: something is lost or wrong; the steps stand in its notes.
    """
    run_state_machine_as_test(
        type(f"Machine of {protocol}", (Machine,), {"protocol": protocol}),
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


@pytest.mark.parametrize("protocol", ["rest", "sdk"])
def test_whatever_happens_nothing_is_lost_and_nothing_is_wrong(protocol: str) -> None:
    drive(protocol)
