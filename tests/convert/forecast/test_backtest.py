from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pipelines.community import ForecastMethod
from pipelines.convert.forecast.backtest import CHOSEN, Backtest, Cuts, backtest, cuts
from pipelines.convert.forecast.history import GridHistory
from pipelines.convert.forecast.tables import by_type, typed
from pipelines.convert.forecast.windows import Grid
from tests.convert.forecast.helpers import BERLIN, FEW, SPRING, SUMMER, subjects, us

AT = cuts(us(SPRING), us(SUMMER), 900_000_000)


def run(past: Grid, *, with_model: bool = True) -> Backtest:
    return backtest(GridHistory(past), subjects(), BERLIN, at=AT, with_model=with_model)


pytestmark = pytest.mark.usefixtures("small_models")


@pytest.fixture(scope="module")
def result(past: Grid) -> Backtest:
    return run(past)


def error(result: Backtest, asset_id: str, method: str) -> float:
    row = result.scores.filter(pl.col("asset_id") == asset_id, pl.col("method") == method)
    value: float = row["error_wh"].item()
    return value


def test_the_span_is_cut_at_its_half_and_its_third_quarter() -> None:
    assert cuts(0, 80 * 10, 10) == Cuts(start_us=0, choosing_us=[400, 500], scored_us=600, end_us=800)
    assert cuts(7, 7 + 4 * 900 + 899, 900, folds=1) == Cuts(
        start_us=7, choosing_us=[7 + 1800], scored_us=7 + 2700, end_us=7 + 3600
    )


def test_simple_methods_score_what_a_plain_shift_scores(result: Backtest, past: Grid) -> None:
    first = (AT.scored_us - AT.start_us) // 900_000_000
    for number, asset_id in enumerate(FEW):
        energy = past.energy_wh[:, number]
        expected = np.abs(energy[first:] - energy[first - 2 : -2]).sum()
        assert error(result, asset_id, "persistence") == pytest.approx(expected, rel=1e-12)
        assert error(result, asset_id, "yesterday") == pytest.approx(
            np.abs(energy[first:] - energy[first - 96 : -96]).sum(), rel=1e-12
        )
        # The clocks went forward on 27 March: a week before by the clock on the wall is an hour less, up to the 3rd.
        rows = np.arange(first, len(energy))
        lag = np.where(rows < (datetime(2016, 4, 3, tzinfo=UTC) - SPRING) / timedelta(minutes=15), 668, 672)
        expected = np.abs(energy[rows] - energy[rows - lag]).sum()
        assert error(result, asset_id, "last_week") == pytest.approx(expected, rel=1e-12)
    assert set(result.scores["slots"]) == {len(past.energy_wh) - first}


def test_on_real_assets_the_model_learns_something(result: Backtest) -> None:
    """Three weeks of four assets are little to learn from; the goal's year is in tests/benchmarks/forecast.py."""
    model, persistence = (sum(error(result, a, method) for a in FEW) for method in ("model", "persistence"))
    assert model < 0.95 * persistence
    chosen = sum(error(result, a, CHOSEN) for a in FEW)
    assert chosen < 0.95 * persistence


def test_what_was_chosen_is_scored_by_its_methods_score(result: Backtest) -> None:
    for asset_id in FEW:
        assert error(result, asset_id, CHOSEN) == error(result, asset_id, result.chosen[asset_id])


def test_nothing_of_the_last_quarter_has_a_say_in_what_is_scored_there(past: Grid, result: Backtest) -> None:
    row = (AT.scored_us - AT.start_us) // 900_000_000
    energy_wh = past.energy_wh.copy()
    energy_wh[row:] = np.random.default_rng(5).random(energy_wh[row:].shape) * 1e5
    other = run(
        Grid(
            first_us=past.first_us,
            length_us=past.length_us,
            asset_ids=past.asset_ids,
            energy_wh=energy_wh,
            rank=past.rank,
        )
    )
    assert other.chosen == result.chosen
    assert other.before.weights == result.before.weights
    assert other.before.model is not None
    assert result.before.model is not None
    assert other.before.model.text == result.before.model.text
    assert not other.scores.equals(result.scores)


def test_gaps_are_not_scored_and_break_nothing(past: Grid) -> None:
    energy_wh = past.energy_wh.copy()
    first = (AT.scored_us - AT.start_us) // 900_000_000
    energy_wh[first + 100 : first + 120, 0] = np.nan
    energy_wh[:, 1] = np.nan
    energy_wh[:first, 2] = np.nan
    energy_wh[:, 3] = 0.0
    gappy = Grid(
        first_us=past.first_us, length_us=past.length_us, asset_ids=past.asset_ids, energy_wh=energy_wh, rank=past.rank
    )
    found = run(gappy)
    slots = dict(found.scores.filter(pl.col("method") == "persistence").select("asset_id", "slots").iter_rows())
    scored = len(energy_wh) - first
    # 20 slots have no energy, and the two after them nothing from that could stand for them.
    assert slots[FEW[0]] == scored - 20 - 2
    assert slots.get(FEW[1], 0) == 0
    # The charger is new: its first two slots of the last quarter have nothing before them.
    assert slots[FEW[2]] == scored - 2
    assert found.chosen.get(FEW[2], ForecastMethod.PERSISTENCE) is ForecastMethod.PERSISTENCE
    assert error(found, FEW[2], CHOSEN) == error(found, FEW[2], "persistence")
    zero = found.scores.filter(pl.col("asset_id") == FEW[3], pl.col("method") != "model")
    assert set(zero["error_wh"]) == {0.0}


def test_without_the_library_the_other_methods_go_on(past: Grid) -> None:
    found = run(past, with_model=False)
    assert "model" not in set(found.scores["method"])
    assert found.before.model is None


SCORED = pl.DataFrame(
    [
        ("a", "persistence", 100.0, 10),
        ("a", "model", 50.0, 10),
        ("b", "persistence", 900.0, 10),
        ("b", "model", 810.0, 10),
        ("c", "persistence", 0.0, 10),
        ("c", "model", 0.0, 10),
    ],
    schema=["asset_id", "method", "error_wh", "slots"],
    orient="row",
)


def test_tables_tell_both_ratios() -> None:
    rows = typed(SCORED, {"a": "load", "b": "load", "c": "pv"})
    assert rows["mean_error_wh"].to_list() == [10.0, 5.0, 90.0, 81.0, 0.0, 0.0]
    found = {(row["type"], row["method"]): row for row in by_type(rows).iter_rows(named=True)}
    load, every = found["load", "model"], found["all", "model"]
    assert (load["assets"], load["slots"], load["mean_error_wh"]) == (2, 20, 43.0)
    assert load["ratio"] == pytest.approx(860 / 1000)
    assert load["mean_ratio"] == pytest.approx((0.5 + 0.9) / 2)
    assert every["ratio"] == pytest.approx(860 / 1000)
    assert every["mean_ratio"] == pytest.approx((0.5 + 0.9) / 2)
    assert found["pv", "model"]["ratio"] is None
