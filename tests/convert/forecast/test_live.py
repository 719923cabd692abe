from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.community import ForecastMethod
from pipelines.convert.forecast import model as learned
from pipelines.convert.forecast.calendar_facts import slot_facts
from pipelines.convert.forecast.features import FEATURES
from pipelines.convert.forecast.fitting import fit_origins
from pipelines.convert.forecast.history import GridHistory
from pipelines.convert.forecast.live import FORETOLD, foretell
from pipelines.convert.forecast.pairs import Pairs
from pipelines.store import ForecastChoiceRow, ForecastModelRow, Store, insert_rows, upsert_rows
from tests.convert.forecast.helpers import BERLIN, FEW, QUARTER, SPRING, community, cut, grid, store_slots, subjects, us

NOW = SPRING + timedelta(days=20, hours=13)
"""Start of the coming slot; what began after NOW - 2 QUARTER isn't measured yet."""

M = ForecastMethod
LOAD, HEAT_PUMP, CHARGER, PV = FEW


def choose(store: Store, method: str, *asset_ids: str, weights: dict[str, float] | None = None) -> None:
    rows = [
        {
            "asset_id": asset_id,
            "method": method,
            "weights": weights or {},
            "mean_errors_wh": {},
            "scored_slots": 1000,
            "scored_from": SPRING,
            "scored_until": NOW,
            "chosen_at": NOW,
            "run_id": "r",
        }
        for asset_id in asset_ids
    ]
    with store.writing() as connection:
        upsert_rows(connection, ForecastChoiceRow, rows)


def keep_model(store: Store, text: str, features: list[str]) -> None:
    row = {"library": "lightgbm", "text": text, "features": features, "run_id": "r"}
    times = {"fitted_from": SPRING, "fitted_until": NOW, "created_at": NOW}
    with store.writing() as connection:
        insert_rows(connection, ForecastModelRow, [row | times])


@pytest.fixture(scope="module")
def slots() -> pl.DataFrame:
    return cut(SPRING, NOW - QUARTER)


@pytest.fixture(scope="module")
def model_text(slots: pl.DataFrame) -> str:
    history = GridHistory(grid(slots, SPRING, NOW))
    fitted = fit_origins(history, subjects(), BERLIN, start_us=us(SPRING), origins_us=[us(NOW)], with_model=True)
    assert fitted[0].model is not None
    return fitted[0].model.text


def energy_of(slots: pl.DataFrame, asset_id: str, slot: datetime) -> float:
    energy: float = slots.filter(pl.col("asset_id") == asset_id, pl.col("slot_start") == slot)["energy_wh"].item()
    return energy


def ask(store: Store, *asset_ids: str, slot: datetime = NOW, **by_asset: dict[str, Any]) -> dict[str, dict[str, Any]]:
    with store.reading() as connection:
        found = foretell(connection, community(asset_ids or FEW, **by_asset), [(a, slot) for a in asset_ids or FEW])
    assert found.schema == FORETOLD
    return {row["asset_id"]: row for row in found.iter_rows(named=True)}


def test_without_a_choice_the_newest_measured_slot_repeats(store: Store, slots: pl.DataFrame) -> None:
    store_slots(store, slots)
    newest = NOW - 2 * QUARTER
    assert ask(store, LOAD, PV) == {
        asset_id: {
            "asset_id": asset_id,
            "slot_start": NOW,
            "energy_wh": energy_of(slots, asset_id, newest),
            "source_slot": newest,
            "quality": "MEASURED",
            "method": "persistence",
        }
        for asset_id in (LOAD, PV)
    }


@pytest.mark.parametrize(("method", "days"), [(M.YESTERDAY, 1), (M.LAST_WEEK, 7)])
def test_chosen_slots_of_earlier_days(store: Store, slots: pl.DataFrame, method: ForecastMethod, days: int) -> None:
    store_slots(store, slots)
    choose(store, method, LOAD)
    found = ask(store)
    then = NOW - timedelta(days=days)
    assert (found[LOAD]["energy_wh"], found[LOAD]["source_slot"]) == (energy_of(slots, LOAD, then), then)
    assert {asset_id: row["method"] for asset_id, row in found.items()} == {
        LOAD: method,
        HEAT_PUMP: "persistence",
        CHARGER: "persistence",
        PV: "persistence",
    }


def test_the_file_overrules_what_was_chosen(sqlite_store: Store, slots: pl.DataFrame) -> None:
    store_slots(sqlite_store, slots)
    choose(sqlite_store, M.LAST_WEEK, LOAD)
    assert ask(sqlite_store, LOAD, a0={"forecast": "yesterday"})[LOAD]["method"] == "yesterday"


def test_a_choice_that_this_version_does_not_know_is_persistence(sqlite_store: Store, slots: pl.DataFrame) -> None:
    store_slots(sqlite_store, slots)
    choose(sqlite_store, "crystal_ball", LOAD)
    assert ask(sqlite_store, LOAD)[LOAD]["method"] == "persistence"


def test_the_blend_weighs_its_parts(sqlite_store: Store, slots: pl.DataFrame) -> None:
    store_slots(sqlite_store, slots)
    choose(sqlite_store, M.BLEND, LOAD, weights={"persistence": 0.6, "yesterday": 0.4, "last_week": 0.0})
    found = ask(sqlite_store, LOAD)[LOAD]
    parts = [energy_of(slots, LOAD, at) for at in (NOW - 2 * QUARTER, NOW - timedelta(days=1))]
    assert found["energy_wh"] == pytest.approx(0.6 * parts[0] + 0.4 * parts[1])
    assert (found["method"], found["source_slot"]) == ("blend", NOW - 2 * QUARTER)


def test_the_model_foretells_as_in_the_backtest(store: Store, slots: pl.DataFrame, model_text: str) -> None:
    store_slots(store, slots)
    choose(store, M.MODEL, *FEW)
    keep_model(store, model_text, list(FEATURES))
    found = ask(store)
    assert {row["method"] for row in found.values()} == {"model"}
    assert {row["source_slot"] for row in found.values()} == {NOW - 2 * QUARTER}
    # The backtest's way through the same model: from a grid in memory that knows nothing else.
    memory, model = grid(slots, SPRING, NOW), learned.load(model_text, list(FEATURES))
    for number, asset_id in enumerate(FEW):
        facts = slot_facts(np.array([us(NOW)]), BERLIN)
        coming = Pairs(grid=memory, column=number, subject=subjects()[number], facts=facts, calendar=BERLIN)
        seen = coming.windows()
        assert found[asset_id]["energy_wh"] == model.predict(coming.features(seen), seen, coming.full_wh())[0]


def test_alone_and_together_and_again_the_same_to_the_last_bit(
    sqlite_store: Store, slots: pl.DataFrame, model_text: str
) -> None:
    store_slots(sqlite_store, slots)
    choose(sqlite_store, M.MODEL, LOAD, PV, HEAT_PUMP)
    choose(sqlite_store, M.BLEND, CHARGER, weights={"persistence": 0.3, "yesterday": 0.3, "last_week": 0.4})
    keep_model(sqlite_store, model_text, list(FEATURES))
    together = ask(sqlite_store)
    assert ask(sqlite_store) == together
    for asset_id in FEW:
        assert ask(sqlite_store, asset_id)[asset_id] == together[asset_id]


def test_several_slots_at_once_are_each_foretold_by_what_was_known(
    sqlite_store: Store, slots: pl.DataFrame, model_text: str
) -> None:
    store_slots(sqlite_store, slots)
    choose(sqlite_store, M.MODEL, *FEW)
    keep_model(sqlite_store, model_text, list(FEATURES))
    wanted = [(asset_id, NOW - n * QUARTER) for asset_id in FEW for n in range(5)]
    with sqlite_store.reading() as connection:
        found = foretell(connection, community(), wanted)
    assert found.height == 20
    assert (found["slot_start"] - found["source_slot"] == 2 * QUARTER).all()
    alone = ask(sqlite_store, slot=NOW - 3 * QUARTER)
    same = found.filter(pl.col("slot_start") == NOW - 3 * QUARTER)
    assert {row["asset_id"]: row for row in same.iter_rows(named=True)} == alone


def test_what_is_missing_is_made_up_for_by_the_next_method(
    sqlite_store: Store, slots: pl.DataFrame, model_text: str
) -> None:
    weights = {"persistence": 0.5, "yesterday": 0.0, "last_week": 0.5}
    choose(sqlite_store, M.MODEL, LOAD, PV, weights=weights)
    keep_model(sqlite_store, model_text, list(FEATURES))
    day, week = NOW - timedelta(days=1), NOW - timedelta(days=7)
    recent = pl.col("slot_start") > NOW - timedelta(hours=6)
    # The load has been silent for six hours; of the plant there is only yesterday.
    only_day = pl.col("slot_start").is_between(day - timedelta(hours=1), day + timedelta(hours=1))
    store_slots(sqlite_store, slots.filter(pl.col("asset_id") == LOAD, ~recent))
    store_slots(sqlite_store, slots.filter(pl.col("asset_id") == PV, only_day))
    found = ask(sqlite_store, LOAD, PV)
    assert (found[LOAD]["method"], found[LOAD]["energy_wh"]) == ("blend", energy_of(slots, LOAD, week))
    assert found[LOAD]["source_slot"] == week
    assert (found[PV]["method"], found[PV]["energy_wh"]) == ("yesterday", energy_of(slots, PV, day))


@pytest.mark.parametrize("spoilt", ["text", "features", "library", "none"])
def test_a_model_that_cannot_be_used_is_made_up_for(
    sqlite_store: Store, slots: pl.DataFrame, model_text: str, spoilt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_slots(sqlite_store, slots)
    choose(sqlite_store, M.MODEL, LOAD, weights={"persistence": 1.0})
    if spoilt == "library":
        monkeypatch.setattr(learned, "library_problem", lambda: "it isn't there")
    if spoilt != "none":
        features = list(FEATURES[1:] if spoilt == "features" else FEATURES)
        keep_model(sqlite_store, "spoilt" if spoilt == "text" else model_text, features)
    found = ask(sqlite_store, LOAD)[LOAD]
    assert (found["method"], found["energy_wh"]) == ("blend", energy_of(slots, LOAD, NOW - 2 * QUARTER))


def test_an_asset_without_measurements_takes_its_standard_profile(store: Store) -> None:
    named = {"load_profile": "h0", "annual_kwh": 3500}
    found = ask(store, "new", "bare", "odd", a0=named, a2={"load_profile": "z9", "annual_kwh": 3500})
    assert set(found) == {"new"}, "nothing is made up for the others"
    row = found["new"]
    assert (row["method"], row["quality"]) == ("standard_profile", "ESTIMATED")
    assert row["source_slot"] == NOW
    # A household of 3,500 kWh a year needs 100 Wh in a quarter hour on average.
    assert 30 < row["energy_wh"] < 300


def test_measurements_take_the_standard_profiles_place(sqlite_store: Store, slots: pl.DataFrame) -> None:
    store_slots(sqlite_store, slots)
    named = {"load_profile": "l2", "annual_kwh": 9000}
    assert ask(sqlite_store, LOAD, a0=named)[LOAD]["method"] == "persistence"
    wanted = named | {"forecast": "standard_profile"}
    assert ask(sqlite_store, LOAD, a0=wanted)[LOAD]["method"] == "standard_profile"


def test_the_highest_version_counts_and_half_covered_slots_do_not(sqlite_store: Store, slots: pl.DataFrame) -> None:
    store_slots(sqlite_store, slots)
    newest = NOW - 2 * QUARTER
    fix = pl.DataFrame({"asset_id": [LOAD], "slot_start": [newest], "energy_wh": [77.0], "quality": ["SUBSTITUTED"]})
    store_slots(sqlite_store, fix, version=1)
    found = ask(sqlite_store, LOAD)[LOAD]
    assert (found["energy_wh"], found["quality"]) == (77.0, "SUBSTITUTED")
    store_slots(sqlite_store, fix, version=2, coverage=0.4)
    assert ask(sqlite_store, LOAD)[LOAD]["source_slot"] == newest - QUARTER


def test_nothing_wanted_and_unknown_assets_give_no_rows(sqlite_store: Store) -> None:
    with sqlite_store.reading() as connection:
        assert foretell(connection, community(), []).is_empty()
        assert foretell(connection, community(), [("stranger", NOW)]).is_empty()


def test_over_the_spring_night_yesterday_is_23_hours_ago(sqlite_store: Store) -> None:
    noon = datetime(2016, 3, 27, 10, tzinfo=UTC)
    slots = cut(noon - timedelta(days=2), noon - QUARTER)
    store_slots(sqlite_store, slots)
    choose(sqlite_store, M.YESTERDAY, LOAD)
    found = ask(sqlite_store, LOAD, slot=noon)[LOAD]
    assert found["source_slot"] == noon - timedelta(hours=23)
    assert found["energy_wh"] == energy_of(slots, LOAD, noon - timedelta(hours=23))
