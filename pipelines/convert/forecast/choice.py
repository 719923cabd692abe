"""Which method an asset's coming slots are foretold by."""

from datetime import timedelta

import polars as pl

from pipelines.community import ForecastMethod

MARGIN = 0.02
"""By what share another method's error must be lower than persistence's to take its place: a smaller lead is as likely
to be luck. The number is ours."""

FEWEST_DAYS = 7
"""Days' worth of slots that must have been scored; before, persistence stays. The number is ours."""


def best_methods(scores: pl.DataFrame) -> dict[str, ForecastMethod]:
    """Each asset's method of lowest error; persistence unless another is better by MARGIN.

    Args:
        scores: asset_id, method, error_wh, slots; a method's rows of several stretches add up.
    """
    total = scores.group_by("asset_id", "method").agg(pl.col("error_wh").sum())
    ranks = {method.value: rank for rank, method in enumerate(ForecastMethod)}
    ordered = total.filter(pl.col("method").is_in(list(ranks))).sort(
        "asset_id", "error_wh", pl.col("method").replace_strict(ranks, return_dtype=pl.Int64)
    )
    best = ordered.group_by("asset_id", maintain_order=True).first()
    persistence = ordered.filter(pl.col("method") == ForecastMethod.PERSISTENCE.value)
    beside = best.join(persistence, on="asset_id", suffix="_persistence")
    return {
        asset_id: ForecastMethod(method) if error < (1 - MARGIN) * standard else ForecastMethod.PERSISTENCE
        for asset_id, method, error, standard in beside.select(
            "asset_id", "method", "error_wh", "error_wh_persistence"
        ).iter_rows()
    }


def enough(scores: pl.DataFrame, length: timedelta) -> set[str]:
    """Assets of which enough slots were scored to choose by."""
    fewest = FEWEST_DAYS * (timedelta(days=1) // length)
    counted = scores.group_by("asset_id").agg(pl.col("slots").max()).filter(pl.col("slots") >= fewest)
    return set(counted["asset_id"])
