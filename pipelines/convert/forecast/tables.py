"""A backtest's scores as tables: by asset, and by type of asset."""

from collections.abc import Mapping

import polars as pl

from pipelines.community import ForecastMethod

ALL = "all"
"""The type that stands for all assets."""


def typed(scores: pl.DataFrame, types: Mapping[str, str]) -> pl.DataFrame:
    """Scores with what their assets are.

    Args:
        scores: asset_id, method, error_wh (a sum), slots.
        types: asset -> its type.

    Returns:
        asset_id, type, method, mean_error_wh (absolute, per slot), slots.
    """
    kinds = pl.DataFrame(list(types.items()), schema={"asset_id": pl.String, "type": pl.String}, orient="row")
    return (
        scores.filter(pl.col("slots") > 0)
        .join(kinds, on="asset_id", maintain_order="left")
        .select("asset_id", "type", "method", mean_error_wh=pl.col("error_wh") / pl.col("slots"), slots="slots")
    )


def by_type(scores: pl.DataFrame) -> pl.DataFrame:
    """How each method did for each type of asset, and for all of them.

    Args:
        scores: of `typed`.

    Returns:
        type, method, assets, slots, mean_error_wh (per slot and asset), ratio (the sum of absolute errors over that of
        persistence: big assets count for more) and mean_ratio (the mean of the assets' own ratios: each counts the
        same; those that persistence foretells without error are left out; null where there are no others).
    """
    persistence = scores.filter(pl.col("method") == ForecastMethod.PERSISTENCE.value).select(
        "asset_id", base_wh="mean_error_wh"
    )
    beside = scores.join(persistence, on="asset_id", maintain_order="left").with_columns(
        own=pl.when(pl.col("base_wh") > 0).then(pl.col("mean_error_wh") / pl.col("base_wh"))
    )
    both = pl.concat([beside, beside.with_columns(type=pl.lit(ALL))])
    summed = both.group_by("type", "method", maintain_order=True).agg(
        assets=pl.col("asset_id").n_unique(),
        slots=pl.col("slots").sum(),
        error_wh=(pl.col("mean_error_wh") * pl.col("slots")).sum(),
        base_wh=(pl.col("base_wh") * pl.col("slots")).sum(),
        mean_ratio=pl.col("own").mean(),
    )
    return summed.select(
        "type",
        "method",
        "assets",
        "slots",
        mean_error_wh=pl.col("error_wh") / pl.col("slots"),
        ratio=pl.when(pl.col("base_wh") > 0).then(pl.col("error_wh") / pl.col("base_wh")),
        mean_ratio="mean_ratio",
    )
