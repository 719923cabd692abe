import sys
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from pipelines.convert.forecast import model as learned
from pipelines.convert.forecast.calendar_facts import slot_facts
from pipelines.convert.forecast.features import FEATURES
from pipelines.convert.forecast.fitting import fit_origins
from pipelines.convert.forecast.history import GridHistory
from pipelines.convert.forecast.pairs import Pairs
from pipelines.convert.forecast.windows import Grid
from tests.convert.forecast.helpers import BERLIN, QUARTER, SPRING, subjects, us

ORIGIN = SPRING + timedelta(days=14)


pytestmark = pytest.mark.usefixtures("small_models")


def train(past: Grid) -> learned.Model:
    model = fit_origins(
        GridHistory(past), subjects(), BERLIN, start_us=us(SPRING), origins_us=[us(ORIGIN)], with_model=True
    )[0].model
    assert model is not None
    return model


@pytest.fixture(scope="module")
def model(past: Grid) -> learned.Model:
    return train(past)


def pairs(past: Grid, asset: int, days: int = 3) -> Pairs:
    slots = np.array([us(ORIGIN + number * QUARTER) for number in range(days * 96)])
    return Pairs(grid=past, column=asset, subject=subjects()[asset], facts=slot_facts(slots, BERLIN), calendar=BERLIN)


def predict(model: learned.Model, coming: Pairs) -> np.ndarray:
    seen = coming.windows()
    return model.predict(coming.features(seen), seen, coming.full_wh())


def test_training_again_gives_the_same_model(past: Grid, model: learned.Model) -> None:
    assert train(past).text == model.text


def test_a_model_comes_back_from_its_text_unchanged(past: Grid, model: learned.Model) -> None:
    again = learned.load(model.text, list(FEATURES))
    for asset in range(4):
        np.testing.assert_array_equal(predict(again, pairs(past, asset)), predict(model, pairs(past, asset)))


def test_an_asset_a_thousand_times_bigger_has_forecasts_a_thousand_times_higher(
    past: Grid, model: learned.Model
) -> None:
    coming = pairs(past, 0)
    bigger = Grid(
        first_us=past.first_us,
        length_us=past.length_us,
        asset_ids=past.asset_ids,
        energy_wh=past.energy_wh * 1024,
        rank=past.rank,
    )
    rated = subjects()[0]
    big = Pairs(
        grid=bigger,
        column=0,
        subject=type(rated)(asset_id="big", type=rated.type, full_wh=rated.full_wh * 1024),
        facts=coming.facts,
        calendar=BERLIN,
    )
    # 1024 is a power of two: nothing is rounded differently.
    np.testing.assert_array_equal(predict(model, big), predict(model, coming) * 1024)


def test_forecasts_lie_between_nothing_and_rated_power(past: Grid, model: learned.Model) -> None:
    for asset in range(4):
        coming = pairs(past, asset)
        found = predict(model, coming)
        assert np.isfinite(found).all()
        assert (found >= 0).all()
        assert (found <= coming.full_wh()).all()


def test_an_asset_that_was_higher_than_its_rated_power_may_be_so_again(past: Grid, model: learned.Model) -> None:
    coming = pairs(past, 0)
    rated = coming.subject
    low = type(rated)(asset_id="low", type=rated.type, full_wh=rated.full_wh / 100)
    small = Pairs(grid=past, column=0, subject=low, facts=coming.facts, calendar=BERLIN)
    seen = coming.windows()
    found = predict(model, small)
    assert (found > low.full_wh).any()
    assert (found <= np.nanmax(seen.recent_wh, axis=1)).all()


def test_nothing_young_enough_makes_no_forecast(past: Grid, model: learned.Model) -> None:
    coming = pairs(past, 0, days=1)
    old = coming.windows().as_if_late(np.full(96, coming.windows().ages))
    assert np.isnan(model.predict(coming.features(old), old, coming.full_wh())).all()
    # One slot that is as old as may be is enough.
    late = coming.windows().as_if_late(np.full(96, coming.windows().ages - 1))
    assert np.isfinite(model.predict(coming.features(late), late, coming.full_wh())).all()


@pytest.mark.parametrize("text", ["", "no model", "tree\nversion=v4\nnum_class=1\n"])
def test_a_text_that_is_no_model_is_told_as_such(text: str, capfd: Any) -> None:
    with pytest.raises(learned.ModelUnreadable):
        learned.load(text, list(FEATURES))


def test_a_model_of_other_features_is_not_used(model: learned.Model) -> None:
    with pytest.raises(learned.ModelUnreadable, match="other features"):
        learned.load(model.text, list(FEATURES[:-1]))


def test_a_few_rows_teach_nothing() -> None:
    assert learned.fit(np.zeros((100, len(FEATURES)), dtype=np.float32), np.zeros(100)) is None


def test_where_the_library_is_missing_its_absence_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    learned.library_problem.cache_clear()
    try:
        problem = learned.library_problem()
        assert problem is not None
        assert "libgomp1" in problem
    finally:
        learned.library_problem.cache_clear()
