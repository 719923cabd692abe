"""Places that all begin in one prepared state, so that each of many cases costs a copy of it and not its making."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import yaml
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, func, insert, make_url, select

from pipelines.sandbox.meter_replay import MeterReplay
from pipelines.store.migrate import alembic_config
from tests.flows.places import SLOT, Place, living_in
from tests.reliability.exchange_server import ExchangeServer
from tests.reliability.short_history import forget
from tests.reliability.template import Template

TARGET = datetime(2016, 10, 29, 9, tzinfo=UTC)
"""Start of the slot whose delivery is disturbed: heat pumps run and the sun shines, so that no value that is sent is
zero and could stand there by chance."""

AT = TARGET - SLOT + timedelta(minutes=2)
"""When it is: the feed that sends that slot's forecasts runs now."""

FED = (AT - 3 * SLOT, AT - 2 * SLOT)
"""Feeds before. One was missed since, so that two readings of each stream are new: a cursor may lose the first."""

HISTORY = FED[0] - timedelta(hours=3, minutes=2)
EACH_KIND = 4
"""Loads, PV plants, and heat pumps or chargers."""

ASSETS = 3 * EACH_KIND
CONCURRENCY = 4
"""So few that a third of the values is on the way while another waits."""

Databases = Callable[[Path, str | None], "contextlib.AbstractContextManager[str]"]
"""A database's URL for a folder, as long as it is needed; made like the one that the second argument names."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A community that has fed two slots, at rest."""

    folder: Path
    outside: Path
    database: str
    journal: tuple[Mapping[str, Any], ...]
    """What its feeds sent."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where places are made."""

    server: ExchangeServer
    exchange: httpx.Client
    databases: Databases

    @contextlib.contextmanager
    def prepared(self, template: Template, folder: Path, *, protocol: str) -> Iterator[Prepared]:
        """Build the state in which all cases of a protocol begin."""
        inside, outside = _folders(folder)
        with self.databases(inside, None) as database:
            with self._place(inside, outside, database, start=FED[0], protocol=protocol) as place:
                place.meters.create()
                place.meters.advance(FED[0])
                forget(inside / "meters.sqlite", before=HISTORY)
                for number, at in enumerate(FED):
                    place.live_until(at)
                    run = template.start(
                        "feed", "--at", at.isoformat(), cwd=inside, output=outside / f"prepared {number}.txt"
                    )
                    assert run.wait() == 0, run.printed
                place.live_until(AT)
                journal = tuple(place.exchange.get("/sandbox/journal").json())
            yield Prepared(folder=inside, outside=outside, database=database, journal=journal)

    @contextlib.contextmanager
    def former(self, prepared: Prepared, folder: Path) -> Iterator[Prepared]:
        """The same state with the schema before the newest."""
        inside, _ = _folders(folder)
        with self.databases(inside, None) as database:
            _write_former(prepared.database, database)
            yield replace(prepared, database=database)

    @contextlib.contextmanager
    def copy(self, prepared: Prepared, folder: Path, *, protocol: str) -> Iterator[Place]:
        """A place of its own in that state; its exchange's clock stands at `AT`."""
        inside, outside = _folders(folder)
        shutil.copy(prepared.folder / "meters.sqlite", inside / "meters.sqlite")
        for part in prepared.outside.glob("exchange.sqlite*"):
            shutil.copy(part, outside / part.name)
        with (
            self.databases(inside, prepared.database) as database,
            self._place(inside, outside, database, start=AT, protocol=protocol) as place,
        ):
            yield place

    @contextlib.contextmanager
    def _place(self, inside: Path, outside: Path, database: str, *, start: datetime, protocol: str) -> Iterator[Place]:
        with (
            self.server.open(outside, start=start),
            contextlib.closing(MeterReplay(f"sqlite:///{inside / 'meters.sqlite'}")) as meters,
        ):
            place = Place(folder=inside, exchange=self.exchange, meters=meters, ledger=outside / "exchange.sqlite")
            place.write_file(protocol=protocol, database=database)
            _make_small(place.file)
            with living_in(place):
                yield place


def _folders(folder: Path) -> tuple[Path, Path]:
    inside, outside = folder / "community", folder / "exchange"
    for one in (inside, outside):
        one.mkdir(parents=True)
    return inside, outside


def _make_small(file: Path) -> None:
    """A third of the demo's assets, with as many of each source; nothing is read twice."""
    community = yaml.safe_load(file.read_text(encoding="utf-8"))
    kept: dict[str, list[Any]] = {}
    for asset in community["assets"]:
        kept.setdefault(asset["streams"][0]["source"], []).append(asset)
    community["assets"] = [asset for of_source in kept.values() for asset in of_source[:EACH_KIND]]
    community["exchange"]["concurrency"] = CONCURRENCY
    for source in community["sources"].values():
        # Without it, what a cursor has passed is never read again.
        source["overlap"] = 0
    file.write_text(yaml.safe_dump(community, sort_keys=False), encoding="utf-8")


@contextlib.contextmanager
def sqlite_databases(folder: Path, like: str | None) -> Iterator[str]:
    """A file in the folder."""
    url = f"sqlite:///{folder / 'slotfeed.sqlite'}"
    if like is not None:
        origin = Path(like.removeprefix("sqlite:///"))
        for part in origin.parent.glob(f"{origin.name}*"):
            shutil.copy(part, folder / part.name)
    yield url


def postgres_databases(server: str) -> Databases:
    """Databases of a PostgreSQL server.

    Args:
        server: its address in libpq's form, database postgres.
    """

    @contextlib.contextmanager
    def databases(folder: Path, like: str | None) -> Iterator[str]:
        name = f"c_{abs(hash(folder)):x}"
        origin = "" if like is None else f' TEMPLATE "{make_url(like).database}"'
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"{origin}')
        try:
            yield server.replace("postgresql://", "postgresql+psycopg://").replace("/postgres?", f"/{name}?")
        finally:
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    return databases


def _write_former(url: str, target: str) -> None:
    """Write a database's rows into an empty one with the schema before the newest.

    Args:
        url: of the database with the newest schema.
        target: of the empty one.
    """
    scripts = ScriptDirectory.from_config(alembic_config())
    head = scripts.get_current_head()
    assert head is not None
    revision = str(scripts.get_revision(head).down_revision)
    origin, old = create_engine(url), create_engine(target)
    with origin.connect() as source, old.begin() as connection:
        command.upgrade(alembic_config(connection), revision)
        new_tables, old_tables = MetaData(), MetaData()
        new_tables.reflect(source)
        old_tables.reflect(connection)
        for name, table in old_tables.tables.items():
            if name == "alembic_version":
                continue
            shared = [new_tables.tables[name].c[column.name] for column in table.c]
            rows = [dict(row) for row in source.execute(select(*shared)).mappings()]
            if rows:
                connection.execute(insert(table), rows)
            if "id" in table.c and connection.dialect.name == "postgresql":
                newest = select(func.setval(func.pg_get_serial_sequence(name, "id"), func.max(table.c.id)))
                connection.execute(newest)
    origin.dispose()
    old.dispose()
