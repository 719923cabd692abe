"""Confirming: what is proven and nothing else, in its place, and with all that was read or not at all."""

from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from pipelines.errors import StoreError
from pipelines.exchange.results import ReadBack
from pipelines.frames import State
from pipelines.reconcile import run
from pipelines.reconcile.confirming import confirm, stretches
from pipelines.reconcile.expected import SUBMITTED
from pipelines.reconcile.run import ReconcileSummary, compare
from pipelines.reconcile.standing import oldest_uncompared
from pipelines.store import ExchangeEnergyRow, SubmissionRow, insert_rows, open_store, read_frame, table_of

World = Any
SLOT = timedelta(minutes=15)
SLOTS, ASSETS = 5, ("load-1", "load-2", "pv-1")
ROW = table_of(SubmissionRow)


@given(st.sets(st.one_of(st.integers(-20, 60), st.integers(2**40, 2**40 + 9)), max_size=60))
def test_stretches_hold_the_numbers_and_no_other(numbers: set[int]) -> None:
    found = stretches(pl.Series("id", sorted(numbers), dtype=pl.Int64))
    held = [number for first, last in found.iter_rows() for number in range(first, last + 1)]
    assert held == sorted(numbers)
    # None touches the next.
    assert all(later > last + 1 for last, later in zip(found["last_id"], found["first_id"][1:], strict=False))


def energy_wh(slot: int, asset: int) -> float:
    return 100.0 * slot + 7 * asset


@pytest.fixture
def sent(make_world: Callable[[str], World], noon: datetime) -> World:
    """Slots of three assets, accepted, of three days ago."""
    world = make_world("sdk")
    for slot in range(SLOTS):
        for place, asset in enumerate(ASSETS):
            world.submit(asset, noon + slot * SLOT, energy_wh(slot, place))
    with world.store.writing() as connection:
        connection.execute(update(ROW).values(state=State.ACCEPTED.value, attempts=1))
    return world


def told(noon: datetime, **others: float) -> ReadBack:
    """What the exchange holds: what was sent, but in an asset's second slot."""
    energies = {
        asset: {noon + slot * SLOT: energy_wh(slot, place) for slot in range(SLOTS)}
        for place, asset in enumerate(ASSETS)
    }
    for asset, other in others.items():
        energies[asset.replace("_", "-")][noon + SLOT] = other
    return ReadBack(energy_wh=energies)


def compared(world: World, noon: datetime, read: ReadBack) -> ReconcileSummary:
    end = noon + SLOTS * SLOT
    return compare(world.store, world.community, read, start=noon, end=end, now=noon + timedelta(days=3), run_id="r")


def states(world: World) -> dict[tuple[str, datetime], str]:
    return {(asset, slot): state for (asset, slot, *_), state in world.states().items()}


def read_back_rows(world: World) -> int:
    with world.store.reading() as connection:
        count: int = connection.execute(select(func.count()).select_from(table_of(ExchangeEnergyRow))).scalar_one()
    return count


def test_what_is_proven_is_confirmed_and_nothing_else(sent: World, noon: datetime) -> None:
    found = compared(sent, noon, told(noon, load_2=1.0))
    wrong = ("load-2", noon + SLOT)
    assert {key for key, state in states(sent).items() if state == State.CONFIRMED} == states(sent).keys() - {wrong}
    assert states(sent)[wrong] == State.ACCEPTED
    assert (found.confirmed, found.discrepancies, read_back_rows(sent)) == (14, 1, 15)


@pytest.mark.parametrize(
    "step", ["confirm", "keep_read_back", "close_agreeing", "write_discrepancies", "keep_compared"]
)
def test_a_window_is_kept_whole_or_not_at_all(
    sent: World, noon: datetime, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(run, step, fail)
        with pytest.raises(StoreError, match="disk is full"):
            compared(sent, noon, told(noon, load_2=1.0))
    assert read_back_rows(sent) == 0
    assert set(states(sent).values()) == {State.ACCEPTED}
    # It is read again, and then no more.
    for begins in (noon, noon + SLOTS * SLOT):
        with sent.store.reading() as connection:
            assert oldest_uncompared(connection, sent.community, now=noon + timedelta(days=3)) == begins
        found = compared(sent, noon, told(noon, load_2=1.0))
    assert (found.confirmed, found.discrepancies, read_back_rows(sent)) == (14, 1, 15)


def test_postgresql_confirms_each_row_in_its_own_page(postgres_url: str, noon: datetime) -> None:
    """A day of twenty assets, which fills many pages; a row that left its page would need new entries in each index."""
    common = {"quantity": "forecast", "version": 0, "energy_wh": 1.0, "source_slot": noon, "quality": "MEASURED"}
    common |= {"method": "measured", "state": "accepted", "attempts": 1, "accepted_at": noon, "created_at": noon}
    common |= {"opens_at": noon, "closes_at": noon + SLOT, "run_id": "r"}
    sent = [
        {"asset_id": f"{asset:036}", "slot_start": noon + slot * SLOT} | common
        for slot in range(96)
        for asset in range(20)
    ]
    carried = {
        "carried_from": pl.col("slot_start"),
        "carried_wh": pl.col("energy_wh"),
        "carried_state": pl.lit("accepted"),
    }
    counted = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'submission'"
    with closing(open_store(postgres_url)) as store:
        with store.writing() as connection:
            insert_rows(connection, SubmissionRow, sent)
            rows = read_frame(connection, select(*(ROW.c[name] for name in SUBMITTED.names())), SUBMITTED)
        pairs = rows.with_columns(agrees=pl.lit(value=True), carried_id="id", exchange_wh="energy_wh", **carried)
        with store.writing() as connection:
            confirm(connection, pairs, now=noon + timedelta(hours=1))
            updated, in_place = connection.exec_driver_sql(counted).one()
        assert updated == in_place == len(sent)
