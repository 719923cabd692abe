"""How PostgreSQL finds rows among very many: what a live slot takes must not grow with the past."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from pipelines.convert.standing import slots_within
from pipelines.store import Store, open_store
from tests.plans import planned

SLOT = timedelta(minutes=15)
ASSETS, SLOTS = 1_000, 400


@pytest.fixture
def long_store(postgres_url: str) -> Iterator[Store]:
    """A store with a past."""
    store = open_store(postgres_url)
    with store.writing() as connection:
        connection.execute(
            text(
                "INSERT INTO slot_energy (asset_id, slot_start, version, energy_wh, quality, coverage, method,"
                " created_at, run_id) SELECT 'asset-' || a, timestamptz '2026-01-01 00:00Z' + s * interval '15 min',"
                " 0, 1.0, 'MEASURED', 1.0, 'measured', now(), 'r'"
                " FROM generate_series(1, :assets) a, generate_series(1, :slots) s"
            ),
            {"assets": ASSETS, "slots": SLOTS},
        )
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE slot_energy")
    yield store
    store.close()


def test_the_standing_slots_of_all_assets_are_found_by_their_keys(long_store: Store) -> None:
    end = datetime.fromisoformat("2026-01-01T00:00Z") + SLOTS * SLOT
    with planned(long_store) as plans, long_store.reading() as connection:
        slots = slots_within(connection, [(f"asset-{n}", end - SLOT, end) for n in range(1, ASSETS + 1)])
    assert slots.height == 2 * ASSETS
    [plan] = [one for one in plans if "slot_energy" in one]
    assert "Seq Scan on slot_energy" not in plan, plan
