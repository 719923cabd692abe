"""Values that stand with another asset: found by correlation over the whole community.

Two series are taken for the same when they correlate and are near each other. The first rules out constants, which are
near whatever has their height; the second rules out plants under one sun, which correlate at any size.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.reconcile.hypotheses import PREDICTIONS, Hypothesis
from pipelines.reconcile.names import Diagnosis
from pipelines.reconcile.same import TOLERANCE_WH

Matrix = NDArray[np.float64]
Marks = NDArray[np.bool_]

CORRELATION = 0.98
"""Of what the exchange holds for one asset with what should stand for the other. Ours, as is the next."""

DISTANCE = 0.05
"""Root of the squared differences over that of the squared values, at most."""

SLACK = 0.01
"""How far off a single value may be: 1 %, for what rounds on its way."""

NOW_AND_THEN = 0.1
"""Share of its slots, from the first that differs on, below which an asset with few values holds nobody's series."""

CELLS_AT_ONCE = 1_000_000
"""Pairs of a suspect and another asset that are compared together: each of some ten numbers of a pair takes 8 MB."""

VALUES = 3
"""Different values that the exchange must hold for one of the two."""


def swap_predictions(
    everyone: pl.DataFrame, pairs: pl.DataFrame, suspects: list[str]
) -> tuple[pl.DataFrame, dict[str, Hypothesis]]:
    """Assets whose series is another asset's.

    Args:
        everyone: asset_id, slot_start, wanted_wh; all assets, in the slots that are looked at.
        pairs: asset_id, slot_start, exchange_wh, open, agrees; of the suspects.
        suspects: assets with open slots.

    Returns:
        PREDICTIONS, and the hypotheses by name.
    """
    near, alike = _pairings(everyone, pairs, suspects)
    chosen = _chosen(near, alike)
    hypotheses = {
        _key(swapped, other): Hypothesis(
            diagnosis=Diagnosis.SWAPPED if swapped else Diagnosis.ANOTHERS,
            words="",
            chance=0.3,
            values=VALUES,
            backed=VALUES if swapped else 0,
            other=other,
        )
        for other, swapped in chosen.select("other", "swapped").sort("swapped", descending=True).iter_rows()
    }
    theirs = everyone.select("slot_start", other="asset_id", predicted_wh="wanted_wh")
    name = pl.when("swapped").then(pl.lit(_key(True, ""))).otherwise(pl.lit(_key(False, ""))) + pl.col("other")
    predictions = chosen.join(theirs, on="other").select(
        "asset_id", "slot_start", "predicted_wh", hypothesis=name, slack_wh=SLACK * pl.col("predicted_wh").abs()
    )
    return predictions.select(PREDICTIONS.names()), hypotheses


def _key(swapped: bool, other: str) -> str:
    return f"{'swapped with' if swapped else 'values of'} {other}"


def _chosen(near: pl.DataFrame, alike: pl.DataFrame) -> pl.DataFrame:
    """Whose values each asset holds: asset_id, other, swapped (the other holds somebody's too).

    Twins have one series: of several, the one that holds this asset's values in turn. One direction must correlate;
    the other may be constant, if it is the same constant.
    """
    turned = near.select(asset_id="other", other="asset_id")
    there = alike.join(turned, on=["asset_id", "other"], how="semi")
    mutual = pl.concat([there, there.select(asset_id="other", other="asset_id")]).unique()
    circle = alike.join(alike.select(other="asset_id").unique(), on="other", how="semi")
    ways = [(mutual, True), (circle, True), (alike, False)]
    return (
        pl.concat(frame.with_columns(order=pl.lit(n), swapped=pl.lit(yes)) for n, (frame, yes) in enumerate(ways))
        .sort("order", "asset_id", "other")
        .unique("asset_id", keep="first", maintain_order=True)
        .drop("order")
    )


def _pairings(everyone: pl.DataFrame, pairs: pl.DataFrame, suspects: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(suspect, other asset) whose series are near each other, and those that correlate besides."""
    assets, slots = (everyone[column].unique().sort() for column in ("asset_id", "slot_start"))
    begun = pl.col("slot_start") >= pl.col("slot_start").filter("open").min().over("asset_id")
    since = pairs.with_columns(exchange_wh=pl.when(begun & (pl.col("open") | pl.col("agrees"))).then("exchange_wh"))
    suspects = _with_a_series(since, suspects)
    wanted = _matrix(everyone, "wanted_wh", assets, slots)
    held = _matrix(since, "exchange_wh", pl.Series("asset_id", suspects, dtype=pl.String), slots)
    names = assets.to_list()
    near: list[tuple[str, str]] = []
    alike: list[tuple[str, str]] = []
    at_once = max(1, CELLS_AT_ONCE // max(1, len(names)))
    for start in range(0, len(suspects), at_once):
        some = suspects[start : start + at_once]
        is_near, correlates = _same(held[start : start + at_once], wanted)
        for edges, where in ((near, is_near), (alike, is_near & correlates)):
            edges += [(some[i], names[j]) for i, j in np.argwhere(where) if some[i] != names[j]]
    schema = {"asset_id": pl.String(), "other": pl.String()}
    return pl.DataFrame(near, schema=schema, orient="row"), pl.DataFrame(alike, schema=schema, orient="row")


def _with_a_series(since: pl.DataFrame, suspects: list[str]) -> list[str]:
    """Those that may hold another's series: they differ in several values, or not just now and then."""
    held = pl.col("exchange_wh")
    different = held.filter(pl.col("open") & (held.abs() > TOLERANCE_WH)).round(1).n_unique()
    found = since.group_by("asset_id").agg(
        keeps=(different >= VALUES) | (pl.col("open").sum() >= NOW_AND_THEN * held.is_not_null().sum())
    )
    kept = set(found.filter("keeps")["asset_id"])
    return [asset for asset in suspects if asset in kept]


def _matrix(frame: pl.DataFrame, column: str, assets: pl.Series, slots: pl.Series) -> Matrix:
    """Assets by slots; NaN where there is no value."""
    placed = (
        frame.select("asset_id", "slot_start", column)
        .join(assets.to_frame().with_row_index("row"), on="asset_id")
        .join(slots.to_frame().with_row_index("column"), on="slot_start")
    )
    found = np.full((len(assets), len(slots)), np.nan)
    found[placed["row"].to_numpy(), placed["column"].to_numpy()] = (
        placed[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    )
    return found


def _same(held: Matrix, wanted: Matrix) -> tuple[Marks, Marks]:
    """Suspects by assets, over the slots in which the suspect holds a value: near each other; correlated."""
    there = (~np.isnan(held)).astype(np.float64)
    h, w = np.nan_to_num(held), np.nan_to_num(wanted)
    n = np.maximum(there.sum(axis=1, keepdims=True), 1.0)
    sum_h, sum_w = h.sum(axis=1, keepdims=True), there @ w.T
    square_h, square_w, product = (h**2).sum(axis=1, keepdims=True), there @ (w**2).T, h @ w.T
    near = square_h + square_w - 2 * product <= DISTANCE**2 * square_h
    spread = np.maximum(square_h - sum_h**2 / n, 0.0) * np.maximum(square_w - sum_w**2 / n, 0.0)
    together = product - sum_h * sum_w / n
    correlated = (together > 0) & (together**2 >= CORRELATION**2 * spread) & (spread > 0)
    return near, correlated
