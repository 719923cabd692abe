"""How far each asset was compared: never past a slot that wasn't, and on with each window that follows."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from pipelines.reconcile.standing import keep_compared, oldest_uncompared
from pipelines.store import AssetRow, Store, insert_rows, table_of
from pipelines.store.compared import compared_until
from tests.conftest import small_community

SLOT = timedelta(minutes=15)
LIVE_SINCE = {"load-1": 0, "load-2": 3, "pv-1": 5}
"""Slot with which each begins."""

WINDOWS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 4), st.sets(st.sampled_from(sorted(LIVE_SINCE)))), max_size=12
)
"""First slot, number of slots, and assets that could be read."""

Windows = Sequence[tuple[int, int, set[str]]]


def through(store: Store, noon: datetime, windows: Windows) -> dict[str, int]:
    """asset_id -> the first slot in which it may not have been compared, after these windows."""
    asset = table_of(AssetRow)
    with store.writing() as connection:
        connection.execute(delete(asset))
        rows = [{"asset_id": a, "name": a, "live_since": noon + n * SLOT, "run_id": "r"} for a, n in LIVE_SINCE.items()]
        insert_rows(connection, AssetRow, rows)
        for first, length, read in windows:
            pairs = pl.DataFrame({"asset_id": sorted(read) * length}, schema={"asset_id": pl.String()})
            keep_compared(connection, pairs, start=noon + first * SLOT, end=noon + (first + length) * SLOT)
        found = connection.execute(select(asset.c.asset_id, compared_until(asset))).tuples()
        return {name: (until - noon) // SLOT for name, until in found}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(windows=WINDOWS)
def test_no_slot_before_it_was_left_out(sqlite_store: Store, noon: datetime, windows: Windows) -> None:
    for name, until in through(sqlite_store, noon, windows).items():
        seen = {slot for first, length, read in windows if name in read for slot in range(first, first + length)}
        assert set(range(LIVE_SINCE[name], until)) <= seen


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(ends=st.lists(st.integers(1, 20), min_size=1, unique=True).map(sorted), overlap=st.integers(0, 3))
def test_it_goes_on_with_each_window_that_follows(
    sqlite_store: Store, noon: datetime, ends: list[int], overlap: int
) -> None:
    windows = [
        (max(0, start - overlap), end - max(0, start - overlap), set(LIVE_SINCE)) for start, end in pairwise([0, *ends])
    ]
    assert through(sqlite_store, noon, windows) == {name: max(ends[-1], since) for name, since in LIVE_SINCE.items()}


def test_a_reconciliation_begins_where_one_of_the_live_assets_was_not_compared(
    sqlite_store: Store, noon: datetime
) -> None:
    community, now = small_community("sdk"), noon + timedelta(days=3)
    begins = {}
    for unread in ("load-2", "pv-1"):
        through(sqlite_store, noon, [(0, 2, set(LIVE_SINCE)), (2, 99, set(LIVE_SINCE) - {unread})])
        with sqlite_store.reading() as connection:
            begins[unread] = (oldest_uncompared(connection, community, now=now) - noon) // SLOT
    assert begins == {"load-2": 3, "pv-1": 5}
