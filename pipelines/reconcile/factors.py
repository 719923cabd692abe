"""Values that were changed one by one: units taken for each other, counted twice, turned round, rounded."""

from datetime import timedelta

import polars as pl

from pipelines.reconcile.hypotheses import PREDICTIONS, Hypothesis, predict
from pipelines.reconcile.names import Diagnosis

HOUR = timedelta(hours=1)
ROUNDED_TO_WH = (1.0, 10.0, 100.0, 1000.0)
"""Steps that are looked for: 3, 2, 1 and 0 decimals of a kWh."""


def factor_predictions(pairs: pl.DataFrame, *, length: timedelta) -> tuple[pl.DataFrame, dict[str, Hypothesis]]:
    """Hypotheses that change each value by itself.

    Args:
        pairs: asset_id, slot_start, wanted_wh.
        length: slot length: mean power taken for energy is off by the slots in an hour.

    Returns:
        PREDICTIONS, and the hypotheses by name.
    """
    wanted = pl.col("wanted_wh")
    hypotheses: dict[str, Hypothesis] = {}
    frames: list[pl.DataFrame] = []

    def add(name: str, hypothesis: Hypothesis, predicted_wh: pl.Expr) -> None:
        hypotheses[name] = hypothesis
        frames.append(predict(pairs, name, predicted_wh))

    for name, factor, words in (("x1000", 1e3, "1000 times"), ("x0.001", 1e-3, "a thousandth of")):
        # One value that is off by exactly 1000 leaves little doubt.
        one = Hypothesis(diagnosis=Diagnosis.UNIT, words=f"holds {words} what was sent", chance=0.1, slots=1, values=1)
        add(name, one, wanted * factor)
    one = Hypothesis(
        diagnosis=Diagnosis.SIGN, words="holds what was sent with its sign turned", chance=0.05, slots=1, values=1
    )
    add("sign", one, -wanted)
    for factor in (HOUR / length, length / HOUR):
        words = "mean power in W taken for energy in Wh" if factor > 1 else "energy in Wh taken for mean power in W"
        one = Hypothesis(
            diagnosis=Diagnosis.UNIT_HOUR,
            words=f"holds {factor:g} times what was sent ({words})",
            chance=0.3,
            slots=2,
            values=1,
        )
        add(f"x{factor:g}", one, wanted * factor)
    for times, words in ((2.0, "twice"), (3.0, "three times")):
        one = Hypothesis(
            diagnosis=Diagnosis.DUPLICATED, words=f"counts {words} what was sent", chance=0.3, slots=2, values=1
        )
        # Two slots an hour: with half-hour slots twice the value is the unit.
        if times != HOUR / length:
            add(f"counted x{times:g}", one, wanted * times)
    for step in ROUNDED_TO_WH:
        for way, rounded in (("rounds", (wanted / step).round()), ("cuts", (wanted / step).floor())):
            one = Hypothesis(
                diagnosis=Diagnosis.ROUNDED,
                words=f"{way} what was sent to whole {step:g} Wh",
                chance=0.4,
                slots=3,
                values=2,
            )
            add(f"{way} {step:g}", one, rounded * step)
    return pl.concat(frames).select(PREDICTIONS.names()), hypotheses
