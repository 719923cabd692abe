"""Energy that is known over a long span, spread like the same hours of like days."""

import polars as pl


def spread(pieces: pl.DataFrame, *, slot_us: int) -> pl.DataFrame:
    """Share each span's energy among its pieces.

    Where no like day tells of a piece, it takes the mean of those pieces that they do tell of. A span of which they
    tell nothing, or nothing but zeros, has no shape and is left out: it stays evenly spread.

    Args:
        pieces: unit, gap, t0, t1, energy_wh (of the whole span), slot, a, b, like_wh.
        slot_us: slot length in microseconds.

    Returns:
        unit, slot, even_wh (what spreading evenly gave the slot), shaped_wh (what it gets instead); the sums of both
        over a span are its energy.
    """
    known_us = pl.when(pl.col("like_wh").is_not_null()).then(pl.col("b") - pl.col("a"))
    span = ["unit", "gap"]
    weighed = pieces.with_columns(known_us=known_us).with_columns(
        known_sum_us=pl.col("known_us").sum().over(span),
        known_sum_wh=(pl.col("like_wh") * pl.col("known_us")).sum().over(span),
    )
    # A span of which nothing is known would divide zero by zero.
    weighed = weighed.filter(pl.col("known_sum_us") > 0).with_columns(
        mean_wh=pl.col("known_sum_wh") / pl.col("known_sum_us")
    )
    weighed = weighed.with_columns(
        weight=pl.coalesce("like_wh", "mean_wh") * (pl.col("b") - pl.col("a")) / slot_us,
        even_wh=pl.col("energy_wh") * (pl.col("b") - pl.col("a")) / (pl.col("t1") - pl.col("t0")),
    ).filter(pl.col("weight").sum().over(span) > 0)
    return weighed.select(
        "unit",
        "slot",
        "even_wh",
        shaped_wh=pl.col("energy_wh") * (pl.col("weight") / pl.col("weight").sum().over(span)),
    )
