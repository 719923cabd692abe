"""A meter database behind the contract of `Source`."""

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, column, func, select, table

from pipelines.collect.database.connection import SourceDatabase, open_source
from pipelines.collect.database.query import Asked, table_name
from pipelines.collect.database.rows import fetch as fetch_rows
from pipelines.collect.database.rows import require_columns, tells_order
from pipelines.collect.database.stamps import read_stamps, texts
from pipelines.collect.normalise import reach_of
from pipelines.collect.source import Answer, Device, Fetch, Wording
from pipelines.community import MeterDatabase, TimeType, resolve_sqlite_path
from pipelines.errors import SourceError
from pipelines.settings import Secrets, database_url, source_password

LONGEST_WINDOW = timedelta(days=7)
"""One query and one transaction hold no more: 40,000 rows for 60 streams of quarter hours."""


@contextlib.contextmanager
def open_database(name: str, settings: MeterDatabase, secrets: Secrets, folder: Path) -> Iterator["DatabaseSource"]:
    """A meter database as a source; nothing is connected before the first question.

    Args:
        name: of the source.
        settings: of the source.
        secrets: holds its password.
        folder: of the community file; a relative SQLite path starts there.

    Raises:
        ConfigurationError: no database URL.
        SourceError, SourceUnavailable: as of `open_source`.
    """
    url = database_url(
        resolve_sqlite_path(settings.url, folder), source_password(name), secrets, where=f"source '{name}'"
    )
    with open_source(name, url) as database:
        yield DatabaseSource(database, settings)


class DatabaseSource:
    """A meter database, open for a run."""

    longest_window = LONGEST_WINDOW
    ahead_s = 0.0
    settle = timedelta(0)
    step: timedelta | None = None
    """A table doesn't tell how often its meters are read."""

    memory = timedelta(0)

    def __init__(self, database: SourceDatabase, settings: MeterDatabase) -> None:
        self.name = database.name
        self.overlap = timedelta(minutes=settings.overlap)
        self.wording = wording_of(settings)
        self._database, self._settings = database, settings

    def devices(self) -> list[Device]:
        """Every meter in the table, with its registers and its newest row; as of `Source`."""
        settings = self._settings
        if settings.table is None:
            raise SourceError(
                f"source '{self.name}': what a statement (`sql`) can return isn't known before it is given meters; "
                "only a `table` can be listed"
            )
        schema, name = table_name(settings)
        meter: ColumnElement[Any] = column(settings.columns.meter)
        when: ColumnElement[Any] = column(settings.columns.time)
        told = settings.columns.register_
        register: list[ColumnElement[Any]] = [column(told)] if told else []
        query = (
            select(meter, func.max(when), *register)
            .select_from(table(name, schema=schema))
            .group_by(meter, *register)
            .order_by(meter)
        )
        with self._database.reading() as connection:
            require_columns(connection, self.name, settings)
            rows = connection.execute(query).all()
        registers: dict[str, set[str]] = {}
        newest: dict[str, datetime] = {}
        ids = texts([row[0] for row in rows])
        known = {raw.strip(): mapped for raw, mapped in settings.register_map.items()}
        for device, stamp, row in zip(ids, self._instants([row[1] for row in rows]), rows, strict=True):
            names = texts(row[2:]).to_list() if register else list((settings.wide or {}).values())
            registers.setdefault(device, set()).update(known.get(each, each) for each in names if each)
            if stamp is not None:
                newest[device] = max(stamp, newest.get(device, stamp))
        return [
            Device(device=device, registers=tuple(sorted(found)), newest=newest.get(device))
            for device, found in registers.items()
        ]

    def read(self, streams: pl.DataFrame, fetch: Fetch) -> Answer:
        """All rows of a window; as of `Source`."""
        asked = Asked(
            devices=streams["meter"].unique().sort().to_list(),
            registers=streams["wanted"].filter(streams["wanted"] != "").unique().sort().to_list(),
            within=reach_of(streams, self.wording, fetch.start, fetch.end),
            zones=streams["zone"].unique().to_list(),
            since=fetch.since,
        )
        with self._database.reading() as connection:
            return Answer(rows=fetch_rows(connection, self.name, self._settings, asked))

    def _instants(self, stamps: list[object]) -> pl.Series:
        read = read_stamps(stamps, self._settings.time_type, where=f"source '{self.name}'")
        if self._settings.time_type is not TimeType.NAIVE:
            return read
        zone = self._settings.time_zone or "UTC"
        local = read.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
        return local.dt.convert_time_zone("UTC")


def wording_of(settings: MeterDatabase) -> Wording:
    """How the rows of a meter database are to be read."""
    return Wording(
        tells_register=settings.columns.register_ is not None or settings.wide is not None,
        tells_end=settings.columns.end is not None,
        naive=settings.time_type is TimeType.NAIVE,
        ordered=tells_order(settings),
        scale=settings.scale,
        quality_map=None if settings.columns.quality is None else settings.quality_map,
    )
