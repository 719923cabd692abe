"""A hypothesis says what the exchange would hold if one cause were at work; here it is held against what it holds.

Only slots in which the hypothesis says something else than what should stand can speak for it or against it: at night
a PV plant's zero fits every shift. Its share is taken over the stretch from the first slot it explains to the last,
so a fault that began at noon isn't held against the morning.
"""

from dataclasses import dataclass

import polars as pl

from pipelines.frames import INSTANT
from pipelines.reconcile.names import Diagnosis
from pipelines.reconcile.same import TOLERANCE_WH, matches

LEAST_SHARE = 0.75
"""Share of the telling slots that a hypothesis must explain. Ours, as the numbers below are."""

EDGE_SLOTS, EDGE_SHARE = 12, 0.9
"""So well shown, a hypothesis is believed also in slots of which it can say nothing, at the window's edges."""

PREDICTIONS = pl.Schema(
    {
        "asset_id": pl.String(),
        "slot_start": INSTANT,
        "hypothesis": pl.String(),
        "predicted_wh": pl.Float64(),
        "slack_wh": pl.Float64(),
    }
)
"""What the exchange would hold. `predicted_wh` null: nothing is said of the slot; `slack_wh`: how far off it may be."""


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """One cause in general."""

    diagnosis: Diagnosis
    words: str
    """What the exchange does, for "the exchange ...": holds 1000 times what was sent."""

    chance: float
    """How easily one value fits by accident, 0..1; `n` different values do with chance ** n. Ours."""

    slots: int = 4
    """Slots that must be explained."""

    values: int = 3
    """Different values among them; of a constant series anything can be said."""

    other: str = ""
    """Asset whose values they are."""

    backed: int = 0
    """Different values that speak for it elsewhere: an asset that should hold nothing but 0 is swapped with one that
    holds nothing but 0 now."""


def predict(pairs: pl.DataFrame, hypothesis: str, predicted_wh: pl.Expr) -> pl.DataFrame:
    """PREDICTIONS of one hypothesis for all rows of `pairs` (asset_id, slot_start, wanted_wh)."""
    return pairs.select(
        "asset_id",
        "slot_start",
        hypothesis=pl.lit(hypothesis),
        predicted_wh=predicted_wh,
        slack_wh=pl.lit(0.0),
    )


def weigh(pairs: pl.DataFrame, predictions: pl.DataFrame, hypotheses: dict[str, Hypothesis]) -> pl.DataFrame:
    """For each open slot the hypothesis that explains the asset's slots best.

    Args:
        pairs: asset_id, slot_start, wanted_wh, exchange_wh, agrees, open (differs, and nothing on this side
            explains it).
        predictions: PREDICTIONS, for assets with open slots.
        hypotheses: by the name they have in `predictions`.

    Returns:
        asset_id, slot_start, hypothesis, explained, telling (slots), values (different ones), first, last (slots
        explained), confidence: share explained, times how unlikely an accident is. Of several, the surest; of those,
        the one that explains most, then the one named first in `hypotheses`.
    """
    fitting = _fitting(pairs, predictions)
    held = _standing(fitting, hypotheses)
    sure = (pl.col("explained") >= EDGE_SLOTS) & (pl.col("share") >= EDGE_SHARE)
    silent = pl.col("open") & pl.col("predicted_wh").is_null() & pl.col("exchange_wh").is_not_null()
    explained = fitting.join(held, on=["asset_id", "hypothesis"]).filter(pl.col("fits") | (silent & sure))
    order = pl.DataFrame(
        {"hypothesis": list(hypotheses), "order": range(len(hypotheses))},
        schema={"hypothesis": pl.String(), "order": pl.Int64()},
    )
    return (
        explained.join(order, on="hypothesis")
        .sort(
            [pl.col("confidence").round(1), "explained", "order"],
            descending=[True, True, False],
            maintain_order=True,
        )
        .unique(["asset_id", "slot_start"], keep="first", maintain_order=True)
        .select("asset_id", "slot_start", "hypothesis", "explained", "telling", "values", "first", "last", "confidence")
        .sort("asset_id", "slot_start")
    )


def _fitting(pairs: pl.DataFrame, predictions: pl.DataFrame) -> pl.DataFrame:
    """Each prediction beside its slot: whether the slot can tell, and whether the prediction fits."""
    slack = pl.col("slack_wh")
    can_tell = (
        pl.all_horizontal(pl.col("wanted_wh", "exchange_wh", "predicted_wh").is_not_null())
        & (pl.col("open") | pl.col("agrees"))
        & ~matches("predicted_wh", "wanted_wh", slack=slack)
    )
    return predictions.join(pairs, on=["asset_id", "slot_start"]).with_columns(
        tells=can_tell,
        fits=can_tell & pl.col("open") & matches("predicted_wh", "exchange_wh", slack=slack),
    )


def _standing(fitting: pl.DataFrame, hypotheses: dict[str, Hypothesis]) -> pl.DataFrame:
    """How each hypothesis stands with each asset, where it stands at all."""
    key = ["asset_id", "hypothesis"]
    demands = pl.DataFrame(
        [(name, one.chance, one.slots, one.values, one.backed) for name, one in hypotheses.items()],
        schema={
            "hypothesis": pl.String(),
            "chance": pl.Float64(),
            "slots": pl.Int64(),
            "least_values": pl.Int64(),
            "backed": pl.Int64(),
        },
        orient="row",
    )
    fits = pl.col("fits")
    spans = (
        fitting.filter(fits)
        .group_by(key)
        .agg(
            first=pl.col("slot_start").min(),
            last=pl.col("slot_start").max(),
            explained=pl.len().cast(pl.Int64),
            values=different("predicted_wh").cast(pl.Int64),
        )
    )
    telling = (
        fitting.filter("tells")
        .join(spans, on=key)
        .filter(pl.col("slot_start").is_between("first", "last"))
        .group_by(key)
        .agg(telling=pl.len().cast(pl.Int64))
    )
    return (
        spans.join(telling, on=key)
        .join(demands, on="hypothesis")
        .with_columns(share=pl.col("explained") / pl.col("telling"), values=pl.max_horizontal("values", "backed"))
        .filter(
            pl.col("share") >= LEAST_SHARE,
            pl.col("explained") >= pl.col("slots"),
            pl.col("values") >= pl.col("least_values"),
        )
        .with_columns(confidence=pl.col("share") * (1 - pl.col("chance").pow(pl.col("values"))))
        .select(*key, "first", "last", "explained", "telling", "values", "share", "confidence")
    )


def different(column: str) -> pl.Expr:
    """How many different values other than 0, to a tenth of a Wh."""
    return pl.col(column).filter(pl.col(column).abs() > TOLERANCE_WH).round(1).n_unique()
