"""What the tests share: databases, among them a real PostgreSQL that this run starts itself, and a small world."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, sync_playwright
from pydantic import SecretStr
from sqlmodel import col, select

from pipelines.clock import FixedClock
from pipelines.community import Community
from pipelines.exchange import PROTOCOLS, ExchangeClient, open_exchange, read_energy
from pipelines.frames import Quantity, State
from pipelines.sandbox.exchange.app import create_app
from pipelines.sandbox.exchange.ctn import open_ctn
from pipelines.sandbox.exchange.ways_in import read_origin
from pipelines.slots import forecast_window
from pipelines.store import AssetRow, Store, SubmissionRow, insert_rows, open_store


def _debian_postgres() -> Path | None:
    """The newest server that the system's packages installed, for Pythons without the wheel."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return found[-1].parent if found else None


# What a server must do to outlive its machine. A test's needn't, and a database is dropped ten times as fast without.
CAREFUL = ("fsync", "synchronous_commit", "full_page_writes")


@pytest.fixture(scope="session")
def postgres_server(_postgres_server: str) -> str:
    """Address of a PostgreSQL server of this test run's own (libpq form, database postgres)."""
    with psycopg.connect(_postgres_server, autocommit=True) as connection:
        for setting in CAREFUL:
            connection.execute(f"ALTER SYSTEM SET {setting} = off")  # ty: ignore - a name written above
        connection.execute("SELECT pg_reload_conf()")
    return _postgres_server


@pytest.fixture(scope="session")
def _postgres_server() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="slotfeed-pg-"))
    try:
        import pgserver  # noqa: PLC0415 - carries the server's binaries; absent on newer Pythons
    except ImportError:
        yield from _system_server(folder)
    else:
        server = pgserver.get_server(folder, cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def _system_server(folder: Path) -> Iterator[str]:
    binaries = _debian_postgres()
    if binaries is None:
        pytest.fail("These tests need PostgreSQL: install the package 'postgresql'")
    data = folder / "data"
    # PostgreSQL refuses to run as root; its package brings a user of its own.
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if prefix:
        shutil.chown(folder, "postgres", "postgres")

    def run(*command: str | Path) -> None:
        subprocess.run([*prefix, *command], check=True, stdout=subprocess.DEVNULL, cwd=folder)

    run(binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust")
    options = f"-k {folder} -c listen_addresses=''"
    run(binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
    yield f"postgresql://postgres@/postgres?host={folder}"
    run(binaries / "pg_ctl", "-D", data, "-w", "-m", "fast", "stop")


def _url_of(postgres_server: str, name: str) -> str:
    return postgres_server.replace("postgresql://", "postgresql+psycopg://").replace("/postgres?", f"/{name}?")


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> str:
    """Name of a database that holds the newest schema and nothing else: others are made after it."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE migrated")
    open_store(_url_of(postgres_server, "migrated")).close()
    return "migrated"


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file."""
    path = tmp_path_factory.mktemp("migrated") / "slotfeed.sqlite"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, postgres_server: str) -> Iterator[str]:
    """SQLAlchemy URL of a fresh PostgreSQL database; empty, save where the test asks for a store."""
    name = f"t_{uuid4().hex}"
    after = request.getfixturevalue("migrated_postgres") if "store" in request.fixturenames else "template1"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{after}"')  # ty: ignore - names made here
    yield _url_of(postgres_server, name)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database, once of each supported kind; empty, save where the test asks for a store."""
    if request.param == "sqlite":
        if "store" in request.fixturenames:
            shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "slotfeed.sqlite")
        return f"sqlite:///{tmp_path / 'slotfeed.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """An open store, once on SQLite and once on PostgreSQL."""
    opened = open_store(database_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_store(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Store]:
    """An open store on SQLite alone, for tests whose subject isn't the database."""
    shutil.copy(migrated_sqlite, tmp_path / "slotfeed.sqlite")
    opened = open_store(f"sqlite:///{tmp_path / 'slotfeed.sqlite'}")
    yield opened
    opened.close()


@pytest.fixture
def noon() -> datetime:
    """A round instant: 2026-03-02 12:00 UTC."""
    return datetime(2026, 3, 2, 12, tzinfo=UTC)


SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
SLOT = timedelta(minutes=15)


def small_community(protocol: str) -> Community:
    """Two loads and a PV plant; the exchange knows them as `load-1`, `load-2` and `pv-1`."""

    def asset(uuid: str, kind: str) -> dict[str, object]:
        stream = {"source": "meters", "device": uuid, "kind": "register", "unit": "Wh"}
        return {"name": uuid.upper(), "uuid": uuid, "type": kind, "rated_power_kw": 10, "streams": [stream]}

    return Community.model_validate(
        {
            "community": {"name": "Small", "simulation_uuid": SIMULATION},
            "exchange": {"base_url": "http://127.0.0.1:1", "protocol": protocol},
            "sources": {
                "meters": {
                    "type": "meter_database",
                    "url": "sqlite:///meters.sqlite",
                    "table": "t",
                    "columns": {"meter": "id", "time": "at", "value": "v"},
                    "time_type": "epoch_s",
                }
            },
            "assets": [asset("load-1", "load"), asset("load-2", "load"), asset("pv-1", "pv")],
        }
    )


def small_registry() -> dict[str, object]:
    """GSy's simulation config JSON of the same three assets."""
    leaves = [("load-1", "Load"), ("load-2", "Load"), ("pv-1", "PV")]
    children = [{"name": uuid.upper(), "type": kind, "uuid": uuid, "children": None} for uuid, kind in leaves]
    return {
        "username": "me",
        "name": "Small",
        "uuid": SIMULATION,
        "domain_name": "http://127.0.0.1",
        "web_socket_domain_name": "ws://127.0.0.1",
        "global_settings": {"slot_length": "15m"},
        "registry": {"name": "Grid", "type": "Area", "uuid": "grid", "children": children},
    }


class World:
    """A store, a community of three assets and a sandbox exchange in this process whose clock a test drives."""

    def __init__(self, store: Store, protocol: str, start: datetime, folder: Path) -> None:
        registry_file = folder / "registry.json"
        registry_file.write_text(json.dumps(small_registry()))
        self.store, self.community = store, small_community(protocol)
        self.clock = FixedClock(start)
        self.ctn = open_ctn(twin=read_origin(registry_file).twin, clock=self.clock, admin=("me", "hush"))
        self.journal, self.faults = self.ctn.journal, self.ctn.faults
        self.app = create_app(self.ctn)
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    @contextlib.asynccontextmanager
    async def client(self, transport: httpx.AsyncBaseTransport | None = None) -> AsyncIterator[ExchangeClient]:
        """Logged in; its clock runs from the sandbox's present time."""
        async with open_exchange(
            base_url="http://exchange.example",
            username=SecretStr("me"),
            password=SecretStr("hush"),
            clock=self.clock,
            concurrency=self.community.exchange.concurrency,
            transport=transport or httpx.ASGITransport(self.app),
            sleep=self.sleep,
        ) as client:
            await client.connect()
            yield client

    def submit(
        self,
        asset: str,
        slot_start: datetime,
        energy_wh: float,
        *,
        quantity: Quantity = Quantity.FORECAST,
        version: int = 0,
        **changes: object,
    ) -> None:
        """Put a row into the outbox as `convert` does, and let its asset be live."""
        abilities = PROTOCOLS[self.community.exchange.protocol].abilities
        window = forecast_window(slot_start, length=SLOT, margin=self.community.margin, abilities=abilities)
        times = {"opens_at": window.opens_at, "closes_at": window.closes_at}
        if quantity is Quantity.MEASUREMENT:
            times = {"opens_at": slot_start + SLOT, "closes_at": None}
        row = {
            "asset_id": asset,
            "slot_start": slot_start,
            "quantity": quantity.value,
            "version": version,
            "energy_wh": energy_wh,
            "source_slot": slot_start - 2 * SLOT,
            "quality": "MEASURED",
            "method": "persistence",
            "state": State.PENDING.value,
            "attempts": 0,
            "created_at": self.clock.now(),
            "run_id": "r",
        }
        live = {"asset_id": asset, "name": asset.upper(), "live_since": slot_start, "run_id": "r"}
        with self.store.writing() as connection:
            insert_rows(connection, SubmissionRow, [row | times | changes])
            insert_rows(connection, AssetRow, [live])

    def states(self) -> dict[tuple[str, datetime, str, int], str]:
        """(asset, slot, quantity, version) -> state, of the whole outbox."""
        row = SubmissionRow
        query = select(col(row.asset_id), col(row.slot_start), col(row.quantity), col(row.version), col(row.state))
        with self.store.reading() as connection:
            return {(a, s, q, v): state for a, s, q, v, state in connection.execute(query)}

    async def held(self, asset: str, start: datetime, slots: int) -> list[float | None]:
        """What the exchange says it used, in Wh, from `start` on."""
        async with self.client() as client:
            read = await read_energy(
                client,
                simulation=SIMULATION,
                assets=[asset],
                start=start,
                end=start + slots * SLOT,
                concurrency=1,
            )
        return [read.energy_wh[asset].get(start + i * SLOT) for i in range(slots)]

    def posts(self) -> list[str]:
        """Assets of the energy posts that reached the exchange, in order."""
        return [entry["asset"] for entry in self.journal.entries() if "energy" in entry["path"]]


def _worlds(store: Store, noon: datetime, folder: Path) -> Iterator[Callable[[str], World]]:
    made: list[World] = []

    def make(protocol: str) -> World:
        made.append(World(store, protocol, noon + timedelta(minutes=2), folder))
        return made[-1]

    yield make
    for world in made:
        world.ctn.close()


@pytest.fixture
def make_world(store: Store, tmp_path: Path, noon: datetime) -> Iterator[Callable[[str], World]]:
    """Build the world for a protocol; its clock stands at 12:02."""
    yield from _worlds(store, noon, tmp_path)


@pytest.fixture
def make_light_world(sqlite_store: Store, tmp_path: Path, noon: datetime) -> Iterator[Callable[[str], World]]:
    """The same on SQLite alone."""
    yield from _worlds(sqlite_store, noon, tmp_path)


BROWSER_OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium; closed before other modules run, whose event loops its own would block."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert found, "These tests need Chromium: install the package 'chromium'"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=BROWSER_OPTIONS)
        yield opened
        opened.close()
