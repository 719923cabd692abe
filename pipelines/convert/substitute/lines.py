"""Short holes: a straight line between the mean powers of the good slots next to them."""

import polars as pl

from pipelines.frames import Quality

HALF = 0.5
"""Share of a slot that readings must back, for it to be a good neighbour; of one that a hole cuts, its own part
may be short and noisy. The number is ours."""

GOOD = (Quality.MEASURED.value, Quality.SUBSTITUTED.value)


def with_lines(gaps: pl.DataFrame, slots: pl.DataFrame, *, slot_us: int) -> pl.DataFrame:
    """Add to each hole the line that bridges it.

    The line runs through the middles of the measured time on both sides: of the slot that the hole cuts, or, where
    readings back less than half of that or it ends at the hole, of the next one out. So the interval i of n that are
    missing gets left + (right - left) * i / (n + 1), as California's rule for up to two hours has it.

    Args:
        gaps: STRETCH.
        slots: unit, slot, energy_wh, quality, coverage: the units' own, without substitutes.
        slot_us: slot length in microseconds.

    Returns:
        The holes with power0, power1 (Wh per microsecond) and middle0, middle1 (microseconds since 1970); null where
        no good slot stands next to it on that side.
    """
    powers = slots.filter((pl.col("coverage") >= HALF) & pl.col("quality").is_in(GOOD)).select(
        "unit", near="slot", power=pl.col("energy_wh") / (pl.col("coverage") * slot_us)
    )
    left, right = (pl.col("t0") - 1) // slot_us, pl.col("t1") // slot_us
    found = gaps
    for side, cut, step, edge in (("0", left, -1, "t0"), ("1", right, 1, "t1")):
        outer = pl.col("cut") if step < 0 else pl.col("cut") + 1
        found = (
            found.with_columns(cut=cut)
            .join(powers, left_on=["unit", "cut"], right_on=["unit", "near"], how="left")
            .with_columns(next=pl.col("cut") + step)
            .join(powers, left_on=["unit", "next"], right_on=["unit", "near"], how="left", suffix="_next")
            .with_columns(
                pl.coalesce("power", "power_next").alias(f"power{side}"),
                pl.when(pl.col("power").is_not_null())
                .then((pl.col(edge) + outer * slot_us) / 2)
                .otherwise((pl.col("next") + 0.5) * slot_us)
                .alias(f"middle{side}"),
            )
            .drop("cut", "next", "power", "power_next")
        )
    return found


def line_wh() -> pl.Expr:
    """Energy of a piece [a, b) under its hole's line; null without a line. The line doesn't fall below zero."""
    middle = (pl.col("a") + pl.col("b")) / 2
    share = (middle - pl.col("middle0")) / (pl.col("middle1") - pl.col("middle0"))
    power = pl.col("power0") + (pl.col("power1") - pl.col("power0")) * share
    return (power * (pl.col("b") - pl.col("a"))).clip(lower_bound=0.0)
