"""What the state machine stands on: its life, how a story is run, and what must hold.

Each step is followed by the checker. In the end all trouble ceases, and after two slots and a reconciliation all must
be settled.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from hypothesis.stateful import RuleBasedStateMachine, invariant

from pipelines.errors import SlotfeedError
from pipelines.store import DiscrepancyRow
from tests.reliability.invariants import CHECKS, Invariant, check_all, told
from tests.reliability.model_life import ON_TIME, SLOT, Life
from tests.reliability.model_process import Killed, Process
from tests.reliability.outcomes import WAITING
from tests.reliability.world import Key

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


class LivedMachine(RuleBasedStateMachine):
    """One community's life; its rules are added by whoever drives it."""

    def __init__(self) -> None:
        """Make a folder and a loop; the rest waits for the first draw."""
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None)
        self.runner = asyncio.Runner()
        self.life: Life | None = None
        self.broken = False

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
        life.machine.off, life.exchange.up, life.exchange.heard = timedelta(0), True, True
        life.process.switch.left = None
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
