"""Confirming, also by several connections: what is proven and nothing else, and what isn't kept is read again."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select, update

from pipelines.errors import StoreError
from pipelines.exchange.results import ReadBack
from pipelines.frames import State
from pipelines.reconcile import confirming, run
from pipelines.reconcile.confirming import stretches
from pipelines.reconcile.run import ReconcileSummary, compare
from pipelines.reconcile.standing import oldest_unsettled
from pipelines.store import ExchangeEnergyRow, SubmissionRow, engine, table_of

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
def sent(make_world: Callable[[str], World], noon: datetime, monkeypatch: pytest.MonkeyPatch) -> World:
    """Slots of three assets, accepted, of three days ago; any number is worth several connections."""
    monkeypatch.setattr(confirming, "WORTH_IT", 1)
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


def test_several_connections_confirm_what_is_proven_and_nothing_else(
    sent: World, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    by: dict[str, list[int]] = {}
    original = confirming.confirm

    def noted(connection: Connection, proven: pl.Series, *, now: datetime) -> None:
        by.setdefault(threading.current_thread().name, []).extend(proven)
        original(connection, proven, now=now)

    monkeypatch.setattr(confirming, "confirm", noted)
    found = compared(sent, noon, told(noon, load_2=1.0))
    wrong = ("load-2", noon + SLOT)
    assert {key for key, state in states(sent).items() if state == State.CONFIRMED} == states(sent).keys() - {wrong}
    assert states(sent)[wrong] == State.ACCEPTED
    assert (found.confirmed, found.discrepancies, read_back_rows(sent)) == (14, 1, 15)
    # Each once, by two threads beside this one, where the database lets several write.
    assert sorted(one for ids in by.values() for one in ids) == sorted({one for ids in by.values() for one in ids})
    several = sent.store.engine.dialect.name == "postgresql"
    assert len(by) == (confirming.CONNECTIONS if several else 1)
    assert (threading.current_thread().name in by) is not several


def test_what_was_not_kept_is_read_again_though_it_is_confirmed(
    sent: World, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(run, "write_discrepancies", fail)
        with pytest.raises(StoreError, match="disk is full"):
            compared(sent, noon, told(noon, load_2=1.0))
    assert read_back_rows(sent) == 0
    with sent.store.reading() as connection:
        begins = oldest_unsettled(connection, sent.community, now=noon + timedelta(days=3))
    assert begins <= noon
    found = compared(sent, noon, told(noon, load_2=1.0))
    assert (found.confirmed, found.discrepancies, read_back_rows(sent)) == (14, 1, 15)


def test_nothing_is_kept_of_a_window_whose_values_could_not_be_confirmed(
    sent: World, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: Connection, proven: pl.Series, *, now: datetime) -> None:
        raise StoreError(f"{proven.len()} rows are locked")

    monkeypatch.setattr(confirming, "confirm", fail)
    with pytest.raises(StoreError, match="rows are locked"):
        compared(sent, noon, told(noon))
    assert read_back_rows(sent) == 0
    assert set(states(sent).values()) == {State.ACCEPTED}


def test_who_waits_for_long_is_not_taken_for_dead(sent: World, noon: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    original = confirming.confirm

    def slow(connection: Connection, proven: pl.Series, *, now: datetime) -> None:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_sleep(1.2)")
        original(connection, proven, now=now)

    monkeypatch.setattr(confirming, "confirm", slow)
    monkeypatch.setattr(engine, "STUCK_MS", 400)
    monkeypatch.setattr(confirming, "SIGN_OF_LIFE_S", 0.1)
    assert compared(sent, noon, told(noon)).confirmed == len(states(sent))
    assert set(states(sent).values()) == {State.CONFIRMED}
    assert read_back_rows(sent) == len(states(sent))
