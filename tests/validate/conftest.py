"""Readings and a community for the tests of validation."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from expectations.names import Suite
from pipelines.community import Community
from pipelines.store import ReadingRow, Store, insert_rows
from pipelines.validate.engine import warm_up
from pipelines.validate.run import ValidateSummary, validate

UNITS = {"register": "Wh", "interval": "Wh", "power": "W"}


@pytest.fixture(scope="session", autouse=True)
def _great_expectations() -> None:
    warm_up(Suite.READINGS)


def _stream(device: str, kind: str, **more: object) -> dict[str, object]:
    return {"source": "m", "device": device, "kind": kind, "unit": UNITS[kind], **more}


@pytest.fixture(scope="session")
def community() -> Community:
    """10 kW loads and a 20 kW PV plant; they share the two-way meter `grid`."""

    def asset(name: str, rated_power_kw: float, *streams: dict[str, object], type: str = "load") -> dict[str, object]:  # noqa: A002
        return {"name": name, "uuid": name, "type": type, "rated_power_kw": rated_power_kw, "streams": list(streams)}

    return Community.model_validate(
        {
            "community": {"name": "c", "simulation_uuid": "s"},
            "exchange": {"base_url": "http://127.0.0.1:1"},
            "sources": {
                "m": {
                    "type": "meter_database",
                    "url": "sqlite:///meters.sqlite",
                    "columns": {"meter": "meter", "time": "time"},
                    "time_type": "timestamptz",
                }
            },
            "assets": [
                asset("flats", 10, *(_stream(f"flat{n}", "register") for n in range(60))),
                asset("interval", 10, _stream("interval", "interval")),
                asset("power", 10, _stream("power", "power")),
                asset("reversed", 10, _stream("reversed", "power", sign=-1), _stream("backwards", "register", sign=-1)),
                asset("import", 10, _stream("grid", "power", two_way=True), _stream("net", "register", two_way=True)),
                asset("export", 20, _stream("grid", "power", two_way=True, sign=-1), type="pv"),
                asset("dials", 10, _stream("dials", "register", dials=5)),
                asset("tap", 10, _stream("tap", "power", rated_power_kw=1)),
            ],
        }
    )


@pytest.fixture
def row(noon: datetime) -> Callable[..., dict[str, Any]]:
    """A reading as the store holds it; `minutes` after noon."""

    def build(value: float | None = 0.0, *, minutes: float = 0.0, **other: object) -> dict[str, Any]:
        kind = str(other.get("kind", "register"))
        return {
            "stream_id": "m/flat0/-",
            "ts": noon + timedelta(minutes=minutes),
            "ts_end": noon + timedelta(minutes=minutes + 15) if kind == "interval" else None,
            "revision": 0,
            "kind": "register",
            "value": value,
            "unit": UNITS.get(kind, "Wh"),
            "quality": "MEASURED",
            "ingested_at": None,
            "received_at": noon,
            "run_id": "r",
        } | other

    return build


class Journal:
    """A store with what a test does to it."""

    def __init__(self, store: Store, community: Community, now: datetime) -> None:
        self.store = store
        self.community = community
        self.now = now

    def put(self, *rows: dict[str, Any]) -> None:
        """Store readings."""
        with self.store.writing() as connection:
            insert_rows(connection, ReadingRow, rows)

    def validate(self, run_id: str = "r") -> ValidateSummary:
        """Judge what is new."""
        return validate(self.store, self.community, now=self.now, run_id=run_id)

    def rows(self) -> list[dict[str, Any]]:
        """All readings, in the order in which they were stored."""
        query = select(ReadingRow.__table__).order_by(col(ReadingRow.id))  # type: ignore[attr-defined]
        with self.store.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def verdicts(self) -> list[str]:
        """Verdicts of all readings, with what they broke: `quarantined: value_present`."""
        return [row["verdict"] + (f": {row['broken']}" if row["broken"] else "") for row in self.rows()]


@pytest.fixture
def journal(store: Store, community: Community, noon: datetime) -> Journal:
    """An empty store, once on SQLite and once on PostgreSQL; judged a day after noon."""
    return Journal(store, community, noon + timedelta(days=1))


@pytest.fixture
def sqlite_journal(sqlite_store: Store, community: Community, noon: datetime) -> Journal:
    """The same on SQLite alone."""
    return Journal(sqlite_store, community, noon + timedelta(days=1))
