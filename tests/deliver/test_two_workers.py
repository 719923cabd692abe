"""Two workers at one outbox."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from sqlalchemy import select

from pipelines.deliver.outbox import lease_due
from pipelines.store import Store, SubmissionRow, open_store, table_of
from tests.conftest import SLOT, World


@pytest.fixture
def store(postgres_url: str) -> Store:
    """On PostgreSQL: SQLite's write transactions exclude each other."""
    return open_store(postgres_url)


def test_what_another_worker_is_leasing_is_passed_over(make_world: Callable[[str], World], noon: datetime) -> None:
    world = make_world("rest")
    for asset in ("load-1", "load-2"):
        world.submit(asset, noon + SLOT, 100.0)
    row = table_of(SubmissionRow)

    def lease() -> list[str]:
        found = lease_due(world.store, assets=["load-1", "load-2"], now=world.clock.now(), worker="other", limit=10)
        return [one.asset_id for one in found]

    with ThreadPoolExecutor(1) as pool:
        with world.store.writing() as connection:
            connection.execute(select(row.c.id).where(row.c.asset_id == "load-1").with_for_update())
            assert pool.submit(lease).result(timeout=30) == ["load-2"]
        assert lease() == ["load-1"]
    world.store.close()
