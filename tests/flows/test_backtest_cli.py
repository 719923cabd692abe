"""`slotfeed backtest` as a user types it, over six weeks of real assets."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml
from sqlalchemy import select
from sqlmodel import col

from pipelines.convert.forecast import model
from pipelines.store import ForecastChoiceRow, ForecastModelRow, RunRow, Store, open_store
from tests.convert.forecast.helpers import FEW, SPRING, SUMMER, community, cut, store_slots

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A community's folder whose database is still empty."""
    monkeypatch.setattr(model, "TREES", 30)
    monkeypatch.chdir(tmp_path)
    known = community(FEW, a0={"name": "Farm [north]"})
    text = yaml.safe_dump(known.model_dump(mode="json", by_alias=True, exclude_defaults=True))
    (tmp_path / "community.yaml").write_text(text)
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{folder / 'slotfeed.sqlite'}")
    yield opened
    opened.close()


def kept(store: Store) -> tuple[dict[str, tuple[datetime, datetime]], int]:
    """Asset -> the stretch its choice rests on; and the number of models."""
    row = ForecastChoiceRow
    with store.reading() as connection:
        chosen = connection.execute(select(col(row.asset_id), col(row.scored_from), col(row.scored_until))).all()
        texts = connection.execute(select(col(ForecastModelRow.id))).all()
    return {asset_id: (low, high) for asset_id, low, high in chosen}, len(texts)


def test_it_prints_table_and_chart_and_keeps_the_result(store: Store, folder: Path, slotfeed: Command) -> None:
    store_slots(store, cut())
    status, told = slotfeed("backtest", "--assets", "--chart", "charts/backtest.svg")
    assert status == 0, told
    assert "History from 2016-03-01 00:00; scored from 2016-04-01 12:15 to 2016-04-12 00:00" in told
    for word in ("all", "load", "heat_pump", "ev_charger", "pv", "Farm [north]", "chosen", "last week", "█"):
        assert word in told
    assert "4 assets were judged" in told
    chosen, models = kept(store)
    assert set(chosen) == set(FEW)
    assert {until for _, until in chosen.values()} == {SUMMER}
    assert models == 1
    drawing = (folder / "charts" / "backtest.svg").read_text()
    assert drawing.startswith("<svg")
    for word in ("heat pumps", "as last week", "persistence"):
        assert word in drawing
    with store.reading() as connection:
        (run,) = connection.execute(select(col(RunRow.command), col(RunRow.outcome))).all()
    assert tuple(run) == ("backtest", "ok")


def test_a_dry_run_keeps_nothing(store: Store, slotfeed: Command) -> None:
    store_slots(store, cut())
    status, told = slotfeed("backtest", "--dry-run", "--start", "2016-03-05", "--end", "2016-04-09")
    assert status == 0, told
    assert "History from 2016-03-05 00:00" in told
    assert "to 2016-04-09 00:00" in told
    assert "nothing is changed" in told
    assert kept(store) == ({}, 0)


def test_too_little_history_is_told_with_what_to_do(store: Store, slotfeed: Command) -> None:
    store_slots(store, cut(SPRING, SPRING + timedelta(days=10)))
    status, told = slotfeed("backtest")
    assert status == 1
    assert "10.0 days of slots" in told
    assert "slotfeed backfill --start" in told
    assert kept(store) == ({}, 0)


def test_an_end_before_its_start_is_refused(folder: Path, slotfeed: Command) -> None:
    status, told = slotfeed("backtest", "--start", "2016-04-09", "--end", "2016-04-01")
    assert status == 1
    assert "--end" in told
    assert "the end isn't after the start" in told
