"""An asset that follows its uploaded profile: its own measured values of an earlier day come back.

`slotfeed profiles export` writes profiles of measured slots, and a canary network repeats the last day of a file every
day. So what was measured at the same time of an earlier day says what the exchange would hold with the live switch off.
A profile that was made elsewhere shows in the series alone (`series.profiles`).
"""

import polars as pl

from pipelines.reconcile.hypotheses import PREDICTIONS, Hypothesis
from pipelines.reconcile.names import Diagnosis

DAYS = 14
"""Days that are looked back. Ours: two weeks, so that each kind of day is there twice."""


def profile_predictions(pairs: pl.DataFrame, measured: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, Hypothesis]]:
    """A hypothesis for each earlier day that was measured.

    Args:
        pairs: asset_id, slot_start, open.
        measured: asset_id, slot_start, energy_wh.

    Returns:
        PREDICTIONS for the open slots and those that agree, and the hypotheses by name.
    """
    days = measured["slot_start"].dt.date().unique().sort()
    hypotheses = {
        _name(str(day)): Hypothesis(
            diagnosis=Diagnosis.SWITCHED_OFF,
            words=f"holds what was measured at the same time on {day}, as of a profile",
            chance=0.4,
            slots=3,
            values=2,
        )
        for day in days
    }
    time = pl.col("slot_start").dt.time()
    earlier = measured.select(
        "asset_id",
        time=time,
        day=pl.col("slot_start").dt.date(),
        predicted_wh="energy_wh",
    )
    predictions = (
        pairs.select("asset_id", "slot_start", time=time)
        .join(earlier, on=["asset_id", "time"])
        .filter(pl.col("slot_start").dt.date() > pl.col("day"))
        .select(
            "asset_id",
            "slot_start",
            "predicted_wh",
            hypothesis=pl.lit(_name("")) + pl.col("day").cast(pl.String),
            slack_wh=pl.lit(0.0),
        )
    )
    return predictions.select(PREDICTIONS.names()), hypotheses


def _name(day: str) -> str:
    return f"profile of {day}"
