"""Meter databases to read from, and communities that read from them."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, select, text, update
from sqlmodel import SQLModel, col

from pipelines.clock import FixedClock
from pipelines.collect.run import collect
from pipelines.collect.summary import CollectSummary
from pipelines.community import Community
from pipelines.settings import Secrets
from pipelines.store import Cursor, Store, open_store


class Meters:
    """A meter database that a test fills and changes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = create_engine(url)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def run(self, *statements: str, **values: object) -> None:
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement), values)

    def add(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert rows one after another, so that the table's own order is theirs."""
        rows = list(rows)
        with self.engine.begin() as connection:
            names = ", ".join(rows[0])
            values = ", ".join(f":{name}" for name in rows[0])
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), rows)  # noqa: S608


@pytest.fixture(params=["sqlite", "postgresql"])
def meters(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Meters]:
    """An empty meter database, once of each tested engine."""
    sqlite = request.param == "sqlite"
    made = Meters(f"sqlite:///{tmp_path / 'meters.sqlite'}" if sqlite else request.getfixturevalue("postgres_url"))
    yield made
    made.engine.dispose()


@pytest.fixture
def sqlite_meters(tmp_path: Path) -> Iterator[Meters]:
    """An empty meter database on SQLite."""
    made = Meters(f"sqlite:///{tmp_path / 'meters.sqlite'}")
    yield made
    made.engine.dispose()


@pytest.fixture
def postgres_meters(postgres_url: str) -> Iterator[Meters]:
    """An empty meter database on PostgreSQL."""
    made = Meters(postgres_url)
    yield made
    made.engine.dispose()


class Desk:
    """Where a test collects, and sees what came of it."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder

    def community(self, sources: Mapping[str, Mapping[str, Any]], *streams: Mapping[str, Any]) -> Community:
        """A community of one asset with these sources and streams."""
        return Community.model_validate(
            {
                "community": {"name": "Test", "simulation_uuid": "s"},
                "exchange": {"base_url": "http://127.0.0.1:1"},
                "sources": {name: {"type": "meter_database", **source} for name, source in sources.items()},
                "assets": [{"name": "A", "uuid": "a", "type": "load", "rated_power_kw": 10, "streams": streams}],
            }
        )

    def collect(
        self,
        of: Community,
        end: datetime,
        *,
        start: datetime | None = None,
        received_at: datetime | None = None,
        run_id: str = "r",
        environment: Mapping[str, str] | None = None,
    ) -> CollectSummary:
        """`collect`, at the time of `end`."""
        return collect(
            self.store,
            of,
            Secrets(self.folder, environment=environment or {}),
            folder=self.folder,
            end=end,
            run_id=run_id,
            clock=FixedClock(received_at or end),
            start=start,
        )

    def readings(self, *names: str) -> list[tuple[Any, ...]]:
        """These columns of all readings, by stream, stamp and revision."""
        table = SQLModel.metadata.tables["reading"]
        query = select(*(table.c[name] for name in names)).order_by(table.c.stream_id, table.c.ts, table.c.revision)
        with self.store.reading() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def cursors(self) -> dict[str, datetime]:
        """How far each stream was read."""
        with self.store.reading() as connection:
            rows = connection.execute(select(col(Cursor.stream_id), col(Cursor.position))).all()
        return {row.stream_id: row.position for row in rows}

    def whole(self) -> list[list[str]]:
        """Every row of the tables that collect writes."""
        with self.store.reading() as connection:
            tables = [SQLModel.metadata.tables[name] for name in ("reading", "cursor")]
            return [sorted(str(tuple(row)) for row in connection.execute(select(table))) for table in tables]

    def judge(self, verdict: str) -> None:
        """Give all new readings this verdict, as validation does."""
        table = SQLModel.metadata.tables["reading"]
        with self.store.writing() as connection:
            connection.execute(update(table).where(table.c.verdict == "new").values(verdict=verdict))


@pytest.fixture
def desk(sqlite_store: Store, tmp_path: Path) -> Desk:
    """A desk with a store on SQLite."""
    return Desk(sqlite_store, tmp_path)


@pytest.fixture
def any_desk(store: Store, tmp_path: Path) -> Desk:
    """A desk with a store on each supported engine."""
    return Desk(store, tmp_path)


@pytest.fixture
def other_desk(tmp_path: Path) -> Iterator[Desk]:
    """A second desk, to compare with."""
    opened = open_store(f"sqlite:///{tmp_path / 'other.sqlite'}")
    yield Desk(opened, tmp_path)
    opened.close()
