"""What the tests share: databases, among them a real PostgreSQL that this run starts itself."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from pipelines.store import Store, open_store


def _debian_postgres() -> Path | None:
    """The newest server that the system's packages installed, for Pythons without the wheel."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return found[-1].parent if found else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Address of a PostgreSQL server of this test run's own (libpq form, database postgres)."""
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
    subprocess.run([binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust"], check=True, capture_output=True)
    options = f"-k {folder} -c listen_addresses=''"
    subprocess.run([binaries / "pg_ctl", "-D", data, "-w", "-o", options, "start"], check=True, capture_output=True)
    yield f"postgresql://postgres@/postgres?host={folder}"
    subprocess.run([binaries / "pg_ctl", "-D", data, "-w", "-m", "fast", "stop"], check=True, capture_output=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """SQLAlchemy URL of a fresh, empty PostgreSQL database."""
    name = f"t_{uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # ty: ignore - a name made here
    yield postgres_server.replace("postgresql://", "postgresql+psycopg://").replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, once of each supported kind."""
    if request.param == "sqlite":
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
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    """An open store on SQLite alone, for tests whose subject isn't the database."""
    opened = open_store(f"sqlite:///{tmp_path / 'slotfeed.sqlite'}")
    yield opened
    opened.close()


@pytest.fixture
def noon() -> datetime:
    """A round instant: 2026-03-02 12:00 UTC."""
    return datetime(2026, 3, 2, 12, tzinfo=UTC)
