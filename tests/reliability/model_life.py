"""A community's life before the model of the exchange: its meters, its runs, and what the checker sees of it."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.collect.keep import keep
from pipelines.collect.source import Fetch
from pipelines.community import Community
from pipelines.convert import convert
from pipelines.deliver import DeliverSummary, deliver, expire_overdue
from pipelines.deliver.posting import Line
from pipelines.exchange import PROTOCOLS
from pipelines.frames import READINGS
from pipelines.reconcile import ReconcileSummary, reconcile
from pipelines.reconcile.repair import repair
from pipelines.store import finish_run, open_store, start_run
from pipelines.validate import validate
from tests.conftest import small_community
from tests.reliability.model_exchange import ModelExchange
from tests.reliability.model_process import Machine, Process, Socket
from tests.reliability.posts import Post, posts_in
from tests.reliability.world import AtSource, Held, Key, Row, World

SLOT = timedelta(minutes=15)
START = datetime(2026, 3, 2, 12, 2, tzinfo=UTC)
HISTORY = START - timedelta(hours=2, minutes=2)
ON_TIME = timedelta(minutes=2)
"""Into a slot: when its feed runs."""


@dataclass
class Meters:
    """Registers of all assets, read at each slot's start. No two assets and no two neighbouring slots are alike."""

    streams: Mapping[str, str]
    """Stream -> asset."""

    corrections: dict[tuple[str, datetime], float] = field(default_factory=dict)
    silent: dict[str, datetime] = field(default_factory=dict)
    """Streams that aren't heard, since when."""

    def __post_init__(self) -> None:
        """Number the streams."""
        self._numbers = {stream: number for number, stream in enumerate(self.streams)}
        self._states: dict[str, list[float]] = {stream: [1_000.0] for stream in self.streams}

    def at_source(self, until: datetime) -> list[AtSource]:
        """All that can be read by then."""
        found = []
        for stream in self.streams:
            end = min(until, self.silent.get(stream, until))
            count = (end - HISTORY) // SLOT + 1
            for step, state in enumerate(self._states_of(stream, count)):
                ts = HISTORY + step * SLOT
                value = state + self.corrections.get((stream, ts), 0.0)
                found.append(AtSource(stream_id=stream, ts=ts, value=value))
        return found

    def _states_of(self, stream: str, count: int) -> list[float]:
        states, number = self._states[stream], self._numbers[stream]
        while len(states) < count:
            step = len(states)
            states.append(states[-1] + 200 + 400.25 * number + 37 * (step + number) % 191)
        return states[:count]


@dataclass(frozen=True)
class Ran:
    """One feed that got as far as making slots."""

    at: datetime
    """In truth."""

    clock_right: bool


@dataclass(frozen=True, kw_only=True)
class ModelWorld(World):
    """The world as the checker takes it, with the model's exchange in the place of the sandbox's ledger.

    Instants that the machine's clock has written are told as they were in truth: where it was wrong, their order would
    say nothing.
    """

    exchange: ModelExchange
    ran: Mapping[str, Ran]
    """Run -> when it was."""

    @cached_property
    def posts(self) -> list[Post]:
        told = posts_in(self.journal, slot_length=SLOT, lead=self.lead)
        return [replace(post, dropped=True) if post.entry in self.exchange.forgotten else post for post in told]

    @cached_property
    def applied(self) -> dict[Key, Held]:
        held = {(asset, slot, "forecast"): kwh for (asset, slot), kwh in self.exchange.applied.items()}
        held |= {(asset, slot, "measurement"): kwh for (asset, slot), kwh in self.exchange.measured.items()}
        for asset, since in self.exchange.standing.items():
            held |= {(asset, slot, "forecast"): kwh for slot, kwh in since.items()}
        return {key: Held(energy_wh=kwh * 1000, where="exchange's model") for key, kwh in held.items()}

    @cached_property
    def cycle(self) -> datetime:
        return self.exchange.slot

    @cached_property
    def converted_at(self) -> list[datetime]:
        return sorted(ran.at for ran in self.ran.values() if ran.clock_right)

    def _rows(self, model: Any) -> list[Row]:
        rows = super()._rows(model)
        return [self._in_truth(row) if "created_at" in row else row for row in rows]

    def _in_truth(self, row: Row) -> Row:
        return row | {"created_at": self.ran[row["run_id"]].at}


class Life:
    """A feed's processes on one database, the meters and the exchange."""

    def __init__(self, folder: Path, protocol: str, lead_s: float) -> None:
        """Begin at 12:02 with two hours of readings at the meters and an empty store."""
        self.folder, self.url = folder, f"sqlite:///{folder / 'slotfeed.sqlite'}"
        self.community = _community(protocol)
        self.abilities = PROTOCOLS[protocol].abilities
        self.exchange = ModelExchange(
            now=START, length=SLOT, lead=timedelta(seconds=lead_s), keyed=self.abilities.carries_slot_time
        )
        self.machine = Machine(self.exchange)
        self.meters = Meters({a.streams[0].stream_id: a.asset_id for a in self.community.assets})
        self.read: list[AtSource] = []
        """What the meters held when they were last read."""

        self.ran: dict[str, Ran] = {}
        self.kills = 0
        self.process = Process(self.machine, self.community, self.url)
        self.seen = open_store(self.url)
        """As the checker opens it, which isn't killed."""

    def close(self) -> None:
        """Let the database go."""
        self.process.store.close()
        self.seen.close()

    async def feed(self, process: Process, **more: Any) -> DeliverSummary:
        """What `slotfeed feed` does, by the machine's clock."""
        run_id = self.prepare(process)
        done = await self.deliver(process, **more)
        finish_run(process.store, run_id, outcome="ok", summary={"convert": {}}, now=self.machine.now())
        return done

    def prepare(self, process: Process) -> str:
        """All of it but the last: read, judge, convert. The run's id."""
        now, store = self.machine.now(), process.store
        run_id = start_run(store, "feed", logical_time=now, now=now)
        # Before the slots are there: a killed run's are told of, too.
        self.ran[run_id] = Ran(self.exchange.now, clock_right=not self.machine.off)
        self.collect(process, run_id)
        validate(store, self.community, now=now, run_id=run_id)
        convert(store, self.community, abilities=self.abilities, forecast=True, now=now, run_id=run_id)
        return run_id

    def collect(self, process: Process, run_id: str) -> None:
        """Read the meters, up to the machine's present."""
        now = self.machine.now()
        until = min(now, self.exchange.now)
        self.read = self.meters.at_source(until)
        rows = [
            {
                "stream_id": one.stream_id,
                "ts": one.ts,
                "ts_end": None,
                "kind": "register",
                "value": one.value,
                "unit": "Wh",
                "quality": "MEASURED",
                "ingested_at": None,
                "received_at": now,
                "run_id": run_id,
            }
            for one in self.read
        ]
        fetch = Fetch(source="meters", start=HISTORY, end=now, since=None, received_at=now, run_id=run_id)
        keep(
            process.store,
            pl.DataFrame(rows, schema=READINGS),
            fetch,
            moving=list(self.meters.streams),
            up_to_date=True,
            yielding=False,
            beside=lambda _: None,
        )

    async def deliver(self, process: Process, **more: Any) -> DeliverSummary:
        """What `slotfeed feed` does in the end."""
        socket = Socket(self.exchange, process.switch) if self.abilities.many_assets else None
        line = Line(aggregator="aggregator", listener=socket)
        async with process.client(**more) as client:
            return await deliver(process.store, self.community, client, line=line)

    async def reconcile(self, process: Process, *, repairing: bool = False) -> ReconcileSummary:
        """What `slotfeed reconcile` does, or `reconcile --repair`."""
        now = self.machine.now()
        run_id = start_run(process.store, "reconcile", logical_time=now, now=now)
        async with process.client() as client:
            expire_overdue(process.store, now=client.clock.now())
            found = await reconcile(process.store, self.community, client, start=None, end=None, run_id=run_id)
            if repairing:
                repair(process.store, self.community, act=True, now=client.clock.now())
            return found

    @contextlib.contextmanager
    def second_process(self) -> Iterator[Process]:
        """Another worker on the same database."""
        other = Process(self.machine, self.community, self.url)
        try:
            yield other
        finally:
            other.store.close()

    def world(self, *, settled: bool) -> ModelWorld:
        """What the checker looks at, now."""
        return ModelWorld(
            community=self.community,
            store=self.seen,
            journal=self.exchange.journal,
            ledger=self.folder,
            at_source=self.read,
            kills=self.kills,
            lead=self.exchange.lead,
            settled=settled,
            exchange=self.exchange,
            ran=self.ran,
        )


def _community(protocol: str) -> Community:
    found = small_community(protocol)
    return found.model_copy(update={"exchange": found.exchange.model_copy(update={"concurrency": 2})})
