"""A day without an exchange, lived through before a real exchange process whose clock each post moves on.

What a feed does between the meters and the exchange is done as it does it: readings become slots, slots submissions,
and these leave through an aggregator. Only time is made: a post takes as long as the test says.
"""

import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from pydantic import SecretStr
from sqlalchemy import func, select

from pipelines.clock import FixedClock
from pipelines.community import Community
from pipelines.convert import convert
from pipelines.deliver import DeliverSummary, deliver, open_line
from pipelines.exchange import PROTOCOLS, ExchangeClient, open_exchange
from pipelines.exchange.aggregators import create_aggregator, select_aggregator
from pipelines.exchange.transport import ExchangeTransport
from pipelines.sandbox.exchange.process import exchange_process
from pipelines.store import ReadingRow, Store, SubmissionRow, Verdict, insert_rows, table_of

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
USERNAME, PASSWORD, AGGREGATOR = "me", "hush-hush", "Street"
SLOT = timedelta(minutes=15)
MINUTES_2 = timedelta(minutes=2)
START = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One post as it left."""

    at: datetime
    """By the exchange's clock."""

    forecasts: dict[str, dict[datetime, float]]
    measurements: dict[str, dict[datetime, float]]
    """Asset -> slot -> kWh."""

    @property
    def slots(self) -> list[datetime]:
        """Of the measurements, newest first."""
        return sorted({slot for profile in self.measurements.values() for slot in profile}, reverse=True)


@dataclass(kw_only=True)
class Street:
    """A community of loads, each with a register, and its exchange."""

    store: Store
    community: Community
    control: httpx.Client
    clock: FixedClock
    post_takes: timedelta | None
    """Of the exchange's time; None: what it takes here."""

    sent: list[Sent] = field(default_factory=list)
    most_leased: int = 0
    numbers: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = {asset.asset_id: number for number, asset in enumerate(self.community.assets)}
        self._moved_s = time.perf_counter()

    @property
    def assets(self) -> list[str]:
        return list(self.numbers)

    def energy_wh(self, asset: str, slot: datetime) -> float:
        """What the asset's meter measures: no two neighbours alike, nor two slots of a day."""
        return float(100 + self.numbers[asset] + 7 * ((slot - START) // SLOT % 96))

    def at(self, moment: datetime) -> None:
        self._moved_s = time.perf_counter()
        self.clock.set(moment)
        self.control.put("/sandbox/clock", json={"now": moment.isoformat()}).raise_for_status()

    def faults(self, *rules: dict[str, object]) -> None:
        self.control.put("/sandbox/faults", json=rules).raise_for_status()

    def meter(self, first: datetime, end: datetime, *, begin: bool = False) -> None:
        """Registers at the end of each slot in [first, end), and with `begin` where they stood before; judged."""
        rows: list[dict[str, object]] = []
        for asset in self.community.assets:
            state = sum(self.energy_wh(asset.asset_id, slot) for slot in _slots(START - 4 * SLOT, first))
            stamps = [(first, state)] if begin else []
            for slot in _slots(first, end):
                state += self.energy_wh(asset.asset_id, slot)
                stamps.append((slot + SLOT, state))
            rows += [self._reading(asset.streams[0].stream_id, at, value) for at, value in stamps]
        with self.store.writing() as connection:
            insert_rows(connection, ReadingRow, rows)

    def _reading(self, stream_id: str, at: datetime, value: float) -> dict[str, object]:
        return {
            "stream_id": stream_id,
            "ts": at,
            "revision": 0,
            "kind": "register",
            "value": value,
            "unit": "Wh",
            "quality": "MEASURED",
            "received_at": at,
            "verdict": Verdict.GOOD.value,
            "run_id": "r",
        }

    def plan(self) -> int:
        """Slots of what was metered, and what follows for the exchange."""
        abilities = PROTOCOLS[self.community.exchange.protocol].abilities
        made = convert(self.store, self.community, abilities=abilities, forecast=True, now=self.clock.now(), run_id="r")
        return made.planned

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[ExchangeClient]:
        """Logged in, by the clock that the posts move."""
        section = self.community.exchange
        async with open_exchange(
            base_url=section.base_url,
            username=SecretStr(USERNAME),
            password=SecretStr(PASSWORD),
            clock=self.clock,
            concurrency=section.concurrency,
            transport=_Paced(self),
            sleep=_at_once,
        ) as client:
            await client.connect()
            client.http_clock = self.clock
            yield client

    async def deliver(self) -> DeliverSummary:
        """The last step of a feed."""
        async with self.client() as client, open_line(client, self.community) as line:
            return await deliver(self.store, self.community, client, line=line)

    async def select_aggregator(self) -> None:
        """Let every asset be sent for."""
        async with self.client() as client:
            made = await create_aggregator(client, SIMULATION, AGGREGATOR)
            for asset in self.assets:
                await select_aggregator(client, SIMULATION, made, asset=asset, name=asset)

    def states(self) -> dict[tuple[str, str], int]:
        """(quantity, state) -> submissions."""
        row = table_of(SubmissionRow)
        query = select(row.c.quantity, row.c.state, func.count()).group_by(row.c.quantity, row.c.state)
        with self.store.reading() as connection:
            return {(quantity, state): count for quantity, state, count in connection.execute(query)}

    def leaves(self, body: dict[str, object]) -> None:
        """A post begins: the exchange's time goes on."""
        self.sent.append(_sent(self.clock.now(), body))
        row = table_of(SubmissionRow)
        with self.store.reading() as connection:
            leased = connection.execute(select(func.count()).where(row.c.state == "sending")).scalar_one()
        self.most_leased = max(self.most_leased, leased)
        here = timedelta(seconds=time.perf_counter() - self._moved_s)
        self.at(self.clock.now() + (here if self.post_takes is None else self.post_takes))


class _Paced(ExchangeTransport):
    def __init__(self, street: Street) -> None:
        section = street.community.exchange
        super().__init__(section.base_url, connections=section.concurrency)
        self._street = street

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if "batch-commands" in request.url.path:
            self._street.leaves(json.loads(request.content))
        return await super().handle_async_request(request)


async def _at_once(_seconds: float) -> None:
    """No test waits."""


def _sent(at: datetime, body: dict[str, object]) -> Sent:
    commands = body["batch_commands"]
    assert isinstance(commands, dict)
    found: dict[str, dict[str, dict[datetime, float]]] = {"energy_forecast": {}, "energy_measurement": {}}
    for asset, some in commands.items():
        for command in some:
            for key, profiles in found.items():
                if key in command:
                    told = {datetime.fromisoformat(slot).replace(tzinfo=UTC): kwh for slot, kwh in command[key].items()}
                    profiles.setdefault(asset, {}).update(told)
    return Sent(at=at, forecasts=found["energy_forecast"], measurements=found["energy_measurement"])


def _slots(first: datetime, end: datetime) -> Iterator[datetime]:
    while first < end:
        yield first
        first += SLOT


@contextlib.contextmanager
def open_street(
    store: Store,
    folder: Path,
    *,
    assets: int,
    assets_per_batch: int,
    concurrency: int,
    post_takes: timedelta | None,
    history: bool = True,
) -> Iterator[Street]:
    """The street, two minutes into a day.

    Args:
        store: empty.
        folder: of the exchange's registry.
        assets: how many.
        assets_per_batch: of the community file.
        concurrency: of the community file.
        post_takes: of the exchange's time; None: what it takes here.
        history: its meters have run for an hour.
    """
    uuids = [f"00000000-0000-4000-8000-{number:012d}" for number in range(assets)]
    registry = folder / "street.json"
    registry.write_text(json.dumps(_registry(uuids)))
    begun = START + MINUTES_2
    with (
        exchange_process(registry, username=USERNAME, password=PASSWORD, clock_start=begun) as url,
        httpx.Client(base_url=url) as control,
    ):
        street = Street(
            store=store,
            community=_community(url, uuids, assets_per_batch=assets_per_batch, concurrency=concurrency),
            control=control,
            clock=FixedClock(begun),
            post_takes=post_takes,
        )
        if history:
            street.meter(START - 4 * SLOT, START, begin=True)
        yield street


def _registry(uuids: list[str]) -> dict[str, object]:
    leaves = [{"name": f"Load {number}", "type": "Load", "uuid": uuid} for number, uuid in enumerate(uuids)]
    return {
        "username": USERNAME,
        "name": "Street",
        "uuid": SIMULATION,
        "domain_name": "http://127.0.0.1",
        "web_socket_domain_name": "ws://127.0.0.1",
        "global_settings": {"slot_length": "15m"},
        "registry": {"name": "Grid", "type": "Area", "uuid": "grid", "children": leaves},
    }


def _community(url: str, uuids: list[str], *, assets_per_batch: int, concurrency: int) -> Community:
    def asset(number: int, uuid: str) -> dict[str, object]:
        stream = {"source": "meters", "device": uuid, "kind": "register", "unit": "Wh"}
        return {"name": f"Load {number}", "uuid": uuid, "type": "load", "rated_power_kw": 10, "streams": [stream]}

    return Community.model_validate(
        {
            "community": {"name": "Street", "simulation_uuid": SIMULATION},
            "exchange": {
                "base_url": url,
                "protocol": "batch",
                "aggregator": AGGREGATOR,
                "assets_per_batch": assets_per_batch,
                "concurrency": concurrency,
            },
            "sources": {
                "meters": {
                    "type": "meter_database",
                    "url": "sqlite:///meters.sqlite",
                    "table": "t",
                    "columns": {"meter": "id", "time": "at", "value": "v"},
                    "time_type": "epoch_s",
                }
            },
            "assets": [asset(number, uuid) for number, uuid in enumerate(uuids)],
        }
    )
