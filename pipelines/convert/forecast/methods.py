"""The methods that need no learning, each a function of the past; and the weights of their blend."""

from collections.abc import Mapping
from itertools import product

import numpy as np
import numpy.typing as npt

from pipelines.community import ForecastMethod
from pipelines.convert.forecast.windows import Energies, Windows

PARTS = (ForecastMethod.PERSISTENCE, ForecastMethod.YESTERDAY, ForecastMethod.LAST_WEEK)
"""What a blend is of."""

WEIGHT_STEPS = 10
"""Weights of a blend are tenths: finer ones gain nothing that lasts. The number is ours."""

WEEK = 7


def simple(windows: Windows) -> dict[ForecastMethod, Energies]:
    """Forecasts in Wh, (n,) each, NaN where a method has nothing to go by."""
    return {
        ForecastMethod.PERSISTENCE: windows.newest()[1],
        ForecastMethod.YESTERDAY: windows.day(1),
        ForecastMethod.LAST_WEEK: windows.day(WEEK),
    }


def blended(parts: Mapping[ForecastMethod, Energies], weights: npt.NDArray[np.float64]) -> Energies:
    """The weighted mean of what is there, (n,); NaN where nothing is that has a weight.

    Args:
        parts: each of PARTS, in Wh, (n,).
        weights: of PARTS in their order, (n, 3) or (3,), each row adding up to 1.
    """
    values = np.column_stack([parts[method] for method in PARTS])
    shares = np.where(np.isnan(values), 0.0, np.broadcast_to(weights, values.shape))
    total = shares[:, 0] + shares[:, 1] + shares[:, 2]
    filled = np.where(np.isnan(values), 0.0, values) * shares
    added = filled[:, 0] + filled[:, 1] + filled[:, 2]
    mean: Energies = np.divide(added, total, out=np.full(len(values), np.nan), where=total > 0)
    return mean


def fit_weights(parts: Mapping[ForecastMethod, Energies], actual_wh: Energies) -> dict[ForecastMethod, float]:
    """The weights under which the blend's mean absolute error is lowest, by trying all.

    Args:
        parts: each of PARTS, in Wh, (n,).
        actual_wh: what came, (n,).

    Returns:
        PARTS -> weight, adding up to 1. Of equals, those that lean on persistence most; all on it without data.
    """
    whole = ~np.isnan(np.column_stack([*(parts[method] for method in PARTS), actual_wh])).any(axis=1)
    values = np.column_stack([parts[method][whole] for method in PARTS])
    tried = [w for w in product(range(WEIGHT_STEPS, -1, -1), repeat=len(PARTS)) if sum(w) == WEIGHT_STEPS]
    best, lowest = tried[0], np.inf
    for weights in tried if len(values) else []:
        error = float(np.abs(values @ (np.array(weights) / WEIGHT_STEPS) - actual_wh[whole]).mean())
        if error < lowest:
            best, lowest = weights, error
    return {method: weight / WEIGHT_STEPS for method, weight in zip(PARTS, best, strict=True)}


def weights_row(weights: Mapping[str, float] | Mapping[ForecastMethod, float]) -> npt.NDArray[np.float64]:
    """Stored weights in the order of PARTS, (3,); what isn't stored weighs nothing."""
    by_name = {str(name): float(weight) for name, weight in weights.items()}
    return np.array([by_name.get(method.value, 0.0) for method in PARTS])
