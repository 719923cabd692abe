"""The global model: gradient-boosted trees of LightGBM, one for all assets of a community.

It learns by how much of its rated power an asset will differ from the newest slot measured, and minimises the absolute
error. Models are kept as LightGBM's own text: reading one runs no code.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.convert.forecast.features import FEATURES, Table
from pipelines.convert.forecast.windows import Energies, Windows

TREES = 200
PARAMETERS: dict[str, Any] = {
    "objective": "l1",
    "learning_rate": 0.1,
    "num_leaves": 63,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "seed": 20160101,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
"""Chosen on the first nine months of SimBench 2016 alone; docs/forecast.md tells what else was tried."""

FEWEST_ROWS = 2_000
"""Fewer teach nothing that holds. The number is ours."""


class ModelUnreadable(Exception):
    """A stored text that is no model of this version's features."""


@dataclass(frozen=True)
class Model:
    """A trained model."""

    booster: Any

    @property
    def text(self) -> str:
        """LightGBM's own format."""
        return str(self.booster.model_to_string())

    def predict(self, table: Table, windows: Windows, full_wh: Energies) -> Energies:
        """Forecasts in Wh, (n,); NaN where there is no slot young enough to start from.

        Args:
            table: of `features`, (n, features).
            windows: the past of the pairs.
            full_wh: energy of a slot at rated power, (n,): a forecast is no higher, unless the asset itself was.
        """
        _, newest = windows.newest()
        change = np.asarray(self.booster.predict(table, num_threads=PARAMETERS["num_threads"])) * full_wh
        seen = np.where(np.isnan(windows.recent_wh), 0.0, windows.recent_wh).max(axis=1)
        forecast: Energies = np.clip(newest + change, 0.0, np.maximum(full_wh, seen))
        return forecast


@functools.cache
def library_problem() -> str | None:
    """Why LightGBM can't be used here; None: it can."""
    try:
        import lightgbm  # noqa: F401, PLC0415 - seconds to import, and only the model needs it
    except (ImportError, OSError) as error:
        return f"LightGBM can't be loaded ({error}); its wheel needs the system's OpenMP library (Debian: libgomp1)"
    return None


def library_name() -> str:
    """Name and version of the library."""
    import lightgbm  # noqa: PLC0415

    return f"lightgbm {lightgbm.__version__}"


def fit(table: Table, change: Energies) -> Model | None:
    """Train a model; None where there are too few rows.

    Args:
        table: of `features`, (n, features).
        change: what came less the newest measured, as a share of rated power, (n,).
    """
    import lightgbm  # noqa: PLC0415

    if len(table) < FEWEST_ROWS:
        return None
    data = lightgbm.Dataset(
        table, label=change, feature_name=list(FEATURES), categorical_feature=["asset_type"], free_raw_data=True
    )
    return Model(lightgbm.train(PARAMETERS, data, num_boost_round=TREES))


def load(text: str, features: list[str]) -> Model:
    """Read a stored model.

    Raises:
        ModelUnreadable: of other features, or no model at all.
    """
    import lightgbm  # noqa: PLC0415

    if features != list(FEATURES):
        raise ModelUnreadable("it was trained on other features")
    try:
        booster = lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise ModelUnreadable(str(error)) from error
    if booster.feature_name() != list(FEATURES):
        raise ModelUnreadable("it names other features")
    return Model(booster)
