"""Which assets a hypothesis can explain at all, found by a look at their open slots alone.

Hypotheses are weighed over every slot of an asset, which takes a while for thousands of them. Where a few slots differ
here and there, mostly none can stand: too few open slots fit.
"""

from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.reconcile.factors import factor_predictions
from pipelines.reconcile.hypotheses import different
from pipelines.reconcile.same import RELATIVE_TOLERANCE, TOLERANCE_WH, matches
from pipelines.reconcile.shifts import FURTHEST, MATCHES, VALUES

KEY = ["asset_id", "slot_start"]


def by_factors(pairs: pl.DataFrame, *, length: timedelta) -> list[str]:
    """Assets in which enough open slots fit one of `factor_predictions`.

    Args:
        pairs: asset_id, slot_start, wanted_wh, exchange_wh, open.
        length: of a slot.
    """
    opened = pairs.filter("open").select(*KEY, "wanted_wh", "exchange_wh")
    predictions, hypotheses = factor_predictions(opened, length=length)
    least = pl.DataFrame(
        [(name, one.slots, one.values) for name, one in hypotheses.items()],
        schema={"hypothesis": pl.String(), "least": pl.Int64(), "least_values": pl.Int64()},
        orient="row",
    )
    # Every hypothesis predicts the same slots in the same order.
    times = len(hypotheses)
    beside = pl.concat([opened.select("wanted_wh", "exchange_wh")] * times) if times else opened.clear()
    fits = matches("predicted_wh", "exchange_wh") & ~matches("predicted_wh", "wanted_wh")
    return (
        pl.concat([predictions.select("asset_id", "hypothesis", "predicted_wh"), beside], how="horizontal")
        .filter(fits)
        .group_by("asset_id", "hypothesis")
        # A value that is cut to nothing looks like one that never arrived: zeros alone speak for no hypothesis.
        .agg(fits=pl.len(), values=different("predicted_wh"))
        .join(least, on="hypothesis")
        .filter(pl.col("fits") >= pl.col("least"), pl.col("values") >= pl.col("least_values"))["asset_id"]
        .unique()
        .to_list()
    )


def by_shifts(pairs: pl.DataFrame, *, length: timedelta) -> list[str]:
    """Assets in which enough open slots fit one shift.

    Args:
        pairs: asset_id, wanted_wh, exchange_wh, open; without a gap per asset, sorted by asset and slot.
        length: of a slot.
    """
    asset = pairs["asset_id"].rle_id().to_numpy()
    wanted = pairs["wanted_wh"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    places = np.flatnonzero(pairs["open"].to_numpy())
    held = pairs["exchange_wh"].cast(pl.Float64).fill_null(float("nan")).to_numpy()[places]
    some = np.abs(held) > TOLERANCE_WH
    found = np.zeros(int(asset[-1]) + 1 if len(asset) else 0, dtype=np.bool_)
    most = FURTHEST // length
    for shift in range(-most, most + 1):
        if shift:
            fits = _fits(asset, wanted, places, held, shift)
            enough = np.bincount(asset[places], weights=fits, minlength=len(found)) >= MATCHES
            found |= enough & (np.bincount(asset[places], weights=fits & some, minlength=len(found)) >= VALUES)
    names = pairs["asset_id"].unique(maintain_order=True)
    return names.filter(pl.Series(found)).to_list()


def _fits(
    asset: NDArray[np.uint32],
    wanted: NDArray[np.float64],
    places: NDArray[np.intp],
    held: NDArray[np.float64],
    shift: int,
) -> NDArray[np.bool_]:
    """Whether each open slot holds what its asset should hold so many slots before: as `same.matches`."""
    other = np.clip(places - shift, 0, len(wanted) - 1)
    within = (other == places - shift) & (asset[other] == asset[places])
    value = wanted[other]
    allowed = np.maximum(TOLERANCE_WH, RELATIVE_TOLERANCE * np.maximum(np.abs(value), np.abs(held)))
    fits: NDArray[np.bool_] = within & (np.abs(value - held) <= allowed)
    return fits
