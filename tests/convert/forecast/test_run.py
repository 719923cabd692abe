import json
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from sqlalchemy import func, select
from sqlmodel import col

from pipelines.convert.forecast import choose_forecasts, history, model
from pipelines.convert.forecast.features import FEATURES
from pipelines.convert.forecast.live import foretell
from pipelines.convert.forecast.run import MODELS_KEPT
from pipelines.store import ForecastChoiceRow, ForecastModelRow, Store
from tests.convert.forecast.helpers import FEW, QUARTER, SPRING, SUMMER, community, cut, store_slots

NEW, BARE = "new", "bare"
"""An asset with three days of history, and one with none."""


@pytest.fixture(autouse=True)
def _small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of the trees: here the way through the store is the subject."""
    monkeypatch.setattr(model, "TREES", 40)


def fill(store: Store, end: datetime = SUMMER) -> None:
    slots = cut(SPRING, end)
    store_slots(store, slots)
    new = slots.filter(pl.col("asset_id") == FEW[0], pl.col("slot_start") >= end - timedelta(days=3))
    store_slots(store, new.with_columns(asset_id=pl.lit(NEW)))


def choices(store: Store) -> dict[str, dict[str, Any]]:
    with store.reading() as connection:
        rows = connection.execute(select(ForecastChoiceRow.__table__)).mappings()  # type: ignore[attr-defined]
        return {row["asset_id"]: dict(row) for row in rows}


def models(store: Store) -> int:
    with store.reading() as connection:
        count: int = connection.execute(select(func.count(col(ForecastModelRow.id)))).scalar_one()
    return count


def test_choices_and_the_model_are_kept_and_used(store: Store) -> None:
    fill(store)
    known = community((*FEW, NEW, BARE))
    now = SUMMER + timedelta(minutes=2)
    summary = choose_forecasts(store, known, now=now, run_id="r9")
    found = choices(store)
    assert set(found) == set(FEW)
    assert summary.assets == 4
    assert sum(summary.methods.values()) == 4
    assert summary.error_ratio is not None
    assert summary.error_ratio < 0.95
    assert [text for text in summary.notices if "2 of 6 assets" in text]
    for row in found.values():
        errors = row["mean_errors_wh"]
        assert set(errors) == {"persistence", "yesterday", "last_week", "blend", "model", "chosen"}
        best = min(errors[m] for m in ("persistence", "yesterday", "last_week", "blend", "model"))
        assert errors[row["method"]] == best or row["method"] == "persistence"
        assert sum(row["weights"].values()) == pytest.approx(1.0)
        assert row["scored_slots"] == 1007
        assert (row["scored_from"], row["scored_until"]) == (SUMMER - 1007 * QUARTER, SUMMER)
        assert (row["chosen_at"], row["run_id"]) == (now, "r9")
    with store.reading() as connection:
        kept = connection.execute(select(ForecastModelRow.__table__)).mappings().one()  # type: ignore[attr-defined]
        assert kept["features"] == list(FEATURES)
        assert kept["library"].startswith("lightgbm 4")
        assert (kept["fitted_from"], kept["fitted_until"]) == (SPRING, SUMMER)
        model.load(kept["text"], kept["features"])
        coming = SUMMER + QUARTER
        told = foretell(connection, known, [(asset.asset_id, coming) for asset in known.assets])
    assert {row["asset_id"]: row["method"] for row in told.iter_rows(named=True)} == {
        asset_id: found[asset_id]["method"] if asset_id in found else "persistence" for asset_id in (*FEW, NEW)
    }


def test_the_same_history_gives_the_same_choices_however_it_is_read(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(sqlite_store)
    now = SUMMER + timedelta(minutes=2)
    choose_forecasts(sqlite_store, community(), now=now, run_id="r")
    first = choices(sqlite_store)
    # One asset at a time, as long histories are read.
    monkeypatch.setattr(history, "SLOTS_AT_ONCE", 1)
    choose_forecasts(sqlite_store, community(), now=now, run_id="r")
    assert choices(sqlite_store) == first
    with sqlite_store.reading() as connection:
        texts = connection.scalars(select(col(ForecastModelRow.text))).all()
    assert len(texts) == 2
    assert texts[0] == texts[1]


def test_too_short_a_history_chooses_nothing_and_says_what_to_do(sqlite_store: Store) -> None:
    fill(sqlite_store, SPRING + timedelta(days=27))
    summary = choose_forecasts(sqlite_store, community(), now=SUMMER, run_id="r")
    assert (summary.assets, summary.error_ratio, choices(sqlite_store), models(sqlite_store)) == (0, None, {}, 0)
    assert len(summary.notices) == 1
    assert "27.0 days" in summary.notices[0]
    assert "slotfeed backfill" in summary.notices[0]


def test_an_empty_store_is_no_error(sqlite_store: Store) -> None:
    summary = choose_forecasts(sqlite_store, community(), now=SUMMER, run_id="r")
    assert summary.methods == {}
    assert "0.0 days" in summary.notices[0]


def test_slots_after_now_are_left_out(sqlite_store: Store) -> None:
    fill(sqlite_store)
    now = SPRING + timedelta(days=30)
    choose_forecasts(sqlite_store, community(), now=now, run_id="r")
    assert {row["scored_until"] for row in choices(sqlite_store).values()} == {now}


def test_without_the_library_a_notice_says_so(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(sqlite_store)
    monkeypatch.setattr(model, "library_problem", lambda: "LightGBM can't be loaded (no libgomp)")
    summary = choose_forecasts(sqlite_store, community(), now=SUMMER, run_id="r")
    assert summary.assets == 4
    assert "model" not in summary.methods
    assert models(sqlite_store) == 0
    assert "can't be loaded" in summary.notices[0]


def test_old_models_are_forgotten(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "TREES", 2)
    fill(sqlite_store, SPRING + timedelta(days=29))
    for day in range(MODELS_KEPT + 2):
        choose_forecasts(sqlite_store, community(), now=SUMMER + timedelta(days=day), run_id=f"r{day}")
    assert models(sqlite_store) == MODELS_KEPT
    with sqlite_store.reading() as connection:
        newest = connection.execute(select(col(ForecastModelRow.run_id)).order_by(col(ForecastModelRow.id))).all()
    assert [run_id for (run_id,) in newest] == [f"r{day}" for day in range(2, MODELS_KEPT + 2)]


def test_a_summary_is_plain_enough_for_the_run_log(sqlite_store: Store) -> None:
    json.dumps(asdict(choose_forecasts(sqlite_store, community(), now=SUMMER, run_id="r")))
