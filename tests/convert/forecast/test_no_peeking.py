"""No method, live or in the backtest, sees anything that isn't known when its forecast is made."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.community import ForecastMethod
from pipelines.convert.forecast.backtest import all_methods
from pipelines.convert.forecast.calendar_facts import slot_facts
from pipelines.convert.forecast.fitting import Fitted, fit_origins
from pipelines.convert.forecast.history import GridHistory
from pipelines.convert.forecast.pairs import Pairs
from pipelines.convert.forecast.windows import Grid
from tests.convert.forecast.helpers import BERLIN, FEW, QUARTER, SPRING, SUMMER, subjects, us

pytestmark = pytest.mark.usefixtures("small_models")


@pytest.fixture(scope="module")
def fitted(past: Grid) -> Fitted:
    origin = us(SPRING + timedelta(days=20))
    found = fit_origins(
        GridHistory(past), subjects(), BERLIN, start_us=us(SPRING), origins_us=[origin], with_model=True
    )
    assert found[0].model is not None
    return found[0]


def _forecasts(past: Grid, fitted: Fitted, asset: int, slot: datetime) -> dict[ForecastMethod, float]:
    pairs = Pairs(
        grid=past,
        column=asset,
        subject=subjects()[asset],
        facts=slot_facts(np.array([us(slot)]), BERLIN),
        calendar=BERLIN,
    )
    return {method: float(values[0]) for method, values in all_methods(pairs, fitted).items()}


def _with_noise_from(past: Grid, slot: datetime, seed: int) -> Grid:
    row = (us(slot) - past.first_us) // past.length_us
    energy_wh = past.energy_wh.copy()
    rest = energy_wh[row:].shape
    random = np.random.default_rng(seed)
    energy_wh[row:] = np.where(random.random(rest) < 0.2, np.nan, random.random(rest) * 1e6)
    return Grid(
        first_us=past.first_us,
        length_us=past.length_us,
        asset_ids=past.asset_ids,
        energy_wh=energy_wh,
        rank=past.rank,
    )


# The slots after the clocks went forward (27 March, 01:00 UTC) look back over the missing hour.
@settings(max_examples=60, deadline=None)
@given(
    number=st.one_of(st.integers(20 * 96, 41 * 96), st.integers(26 * 96, 28 * 96)),
    asset=st.integers(0, len(FEW) - 1),
    seed=st.integers(0, 1000),
)
def test_what_comes_after_x_minus_two_never_changes_the_forecast_of_x(
    past: Grid, fitted: Fitted, number: int, asset: int, seed: int
) -> None:
    slot = SPRING + number * QUARTER
    before = _forecasts(past, fitted, asset, slot)
    assert set(before) == {*ForecastMethod} - {ForecastMethod.STANDARD_PROFILE}
    assert all(np.isfinite(value) and value >= 0 for value in before.values())
    assert _forecasts(_with_noise_from(past, slot - QUARTER, seed), fitted, asset, slot) == before


def test_x_minus_two_itself_counts(past: Grid, fitted: Fitted) -> None:
    """The noise reaches what it should: one slot earlier, it changes forecasts."""
    slot = SPRING + timedelta(days=25, hours=12)
    before = _forecasts(past, fitted, 0, slot)
    after = _forecasts(_with_noise_from(past, slot - 2 * QUARTER, 1), fitted, 0, slot)
    assert after[ForecastMethod.PERSISTENCE] != before[ForecastMethod.PERSISTENCE]
    assert after[ForecastMethod.MODEL] != before[ForecastMethod.MODEL]


def test_what_comes_from_the_origin_on_never_changes_what_was_learned_before(past: Grid, fitted: Fitted) -> None:
    noisy = _with_noise_from(past, SPRING + timedelta(days=20), 7)
    again = fit_origins(
        GridHistory(noisy), subjects(), BERLIN, start_us=us(SPRING), origins_us=[fitted.origin_us], with_model=True
    )[0]
    assert fitted.model is not None
    assert again.model is not None
    assert again.model.text == fitted.model.text
    assert again.weights == fitted.weights


def test_a_later_origin_beside_an_earlier_one_tells_it_nothing(past: Grid, fitted: Fitted) -> None:
    origins = [fitted.origin_us, us(SUMMER)]
    noisy = _with_noise_from(past, SPRING + timedelta(days=20), 7)
    clean, other = (
        fit_origins(GridHistory(g), subjects(), BERLIN, start_us=us(SPRING), origins_us=origins, with_model=False)
        for g in (past, noisy)
    )
    assert clean[0].weights == other[0].weights
    assert clean[1].weights != other[1].weights
