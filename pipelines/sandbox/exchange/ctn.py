"""The local Canary Test Network as one object: its twin, its engine's time, its people and who listens to it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from pipelines.clock import Clock
from pipelines.sandbox.connections import HangUp, refuse_to_answer
from pipelines.sandbox.exchange.accounts.audit import Audit
from pipelines.sandbox.exchange.accounts.people import People
from pipelines.sandbox.exchange.engine.market import Market
from pipelines.sandbox.exchange.engine.pending import Answer, Pending
from pipelines.sandbox.exchange.engine.trading import Trading
from pipelines.sandbox.exchange.engine.twin import Twin
from pipelines.sandbox.exchange.faults import Faults
from pipelines.sandbox.exchange.hub import Hub
from pipelines.sandbox.exchange.journal import Journal
from pipelines.sandbox.exchange.ledger import Ledger, open_ledger
from pipelines.slots import slot_floor

TOKEN_LIFETIME = timedelta(hours=48)
"""gsy_framework/constants_limits.py:347."""

AT_ONCE = timedelta(0)
JUST_BEFORE = timedelta(microseconds=1)


def _nobody(*_: object) -> None:
    """Tells nothing."""


@dataclass(frozen=True, kw_only=True)
class Tellers:
    """Who puts what has happened into words for the listeners (`events.py`); by default nobody."""

    cycle: Callable[["Ctn", datetime], None] = _nobody
    """A market cycle has begun this slot."""

    tick: Callable[["Ctn", datetime, int], None] = _nobody
    """A tick of this slot is over: so many percent of the slot have passed."""

    finish: Callable[["Ctn"], None] = _nobody
    """The exchange ends."""


@dataclass(kw_only=True)
class Ctn:
    """One simulation that runs."""

    twin: Twin
    clock: Clock
    ledger: Ledger
    market: Market
    people: People
    audit: Audit
    trading: Trading
    hub: Hub
    journal: Journal
    faults: Faults
    hang_up: HangUp = refuse_to_answer
    tick: timedelta = AT_ONCE
    """0: commands are answered at once; else they wait for the next tick, `tick` after the last."""

    lead: timedelta = timedelta(0)
    """How far the engine is ahead of the clock that the HTTP answers tell."""

    tellers: Tellers = field(default_factory=Tellers)
    _pending: list[Pending] = field(default_factory=list, init=False)
    _ticked_at: datetime = field(init=False)
    _late: tuple[datetime, timedelta] | None = field(default=None, init=False)
    """The slot whose cycle was last asked for, and how late it is."""

    def __post_init__(self) -> None:
        """Begin in the tick that runs."""
        self._ticked_at = self._tick_of(self.clock.now() + self.lead)

    def advance(self) -> None:
        """Let the engine live until now: serve the ticks and market cycles that are due, and tell the listeners.

        After a jump over many slots or ticks only the last of each is told: those between were over before anybody
        could have heard of them.
        """
        engine = self._engine_time()
        tick = self._tick_of(engine)
        if tick <= self._ticked_at:
            return
        cycle = slot_floor(engine, self.market.slot_length) > self.market.slot
        if cycle and self._ticked_at + self._tick_length >= self.market.slot + self.market.slot_length:
            self._settle(lambda command: command.refuse())
        else:
            self._settle(lambda command: command.serve())
        self._ticked_at = tick
        if cycle:
            self.market.advance(engine)
            self.tellers.cycle(self, self.market.slot)
        if tick > self.market.slot:
            completion = round(100 * ((tick - self.market.slot) / self.market.slot_length))
            self.tellers.tick(self, self.market.slot, completion)

    def take(self, command: Pending) -> Answer | None:
        """Carry a command out, or let it wait for the next tick.

        Returns:
            The answer; the caller replies with it and then tells it to the hub. None: it waits, and the hub is told
            when it is served or refused.
        """
        if self.tick:
            self._pending.append(command)
            return None
        return command.serve()

    def next_tick(self) -> datetime:
        """When, by the clock, the engine has something to do next."""
        return self._ticked_at + self._tick_length - self.lead

    def finish(self) -> None:
        """Tell the listeners that it ends. What is buffered is lost, as in the engine."""
        self.tellers.finish(self)

    def close(self) -> None:
        """Let go of the ledger's file."""
        self.ledger.close()

    @property
    def _tick_length(self) -> timedelta:
        return self.tick or self.twin.settings.tick_length

    def _tick_of(self, engine: datetime) -> datetime:
        """Start of the tick that runs; each slot begins with one."""
        slot = slot_floor(engine, self.market.slot_length)
        return slot + (engine - slot) // self._tick_length * self._tick_length

    def _engine_time(self) -> datetime:
        engine = self.clock.now() + self.lead
        slot = slot_floor(engine, self.market.slot_length)
        if slot <= self.market.slot:
            return engine
        if self._late is None or self._late[0] != slot:
            self._late = slot, self.faults.lateness(slot)
        return engine if engine >= slot + self._late[1] else slot - JUST_BEFORE

    def _settle(self, end: Callable[[Pending], Answer | None]) -> None:
        waiting, self._pending = self._pending, []
        for command in waiting:
            if (answer := end(command)) is not None:
                self.hub.tell(command.to, answer)


def open_ctn(
    *,
    twin: Twin,
    clock: Clock,
    database: Path | None = None,
    admin: tuple[str, str],
    tick: timedelta = AT_ONCE,
    lead: timedelta = timedelta(0),
    token_lifetime: timedelta = TOKEN_LIFETIME,
    faults: Faults | None = None,
    hang_up: HangUp = refuse_to_answer,
) -> Ctn:
    """A network that goes on where its database stands.

    Args:
        twin: the simulation; what had changed of it is taken from the database.
        clock: a FixedClock is driven by PUT /sandbox/clock.
        database: SQLite file; None keeps everything in memory.
        admin: user name and password of the administrator.
        tick: see `Ctn.tick`.
        lead: see `Ctn.lead`.
        token_lifetime: of the tokens, by the clock.
        faults: rules in force from the start.
        hang_up: closes a request's connection; the default raises, for use without a server.

    Raises:
        ConfigurationError: the database can't be used.
    """
    ledger = open_ledger(database, simulation=twin.simulation)
    twin.restore(ledger)
    return Ctn(
        twin=twin,
        clock=clock,
        ledger=ledger,
        market=Market(twin, ledger, clock.now() + lead),
        people=People(ledger, clock=clock, admin=admin, token_lifetime=token_lifetime),
        audit=Audit(ledger, clock),
        trading=Trading(twin, ledger),
        hub=Hub(),
        journal=Journal(),
        faults=faults or Faults(),
        hang_up=hang_up,
        tick=tick,
        lead=lead,
    )
