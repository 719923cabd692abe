"""When two energies are the same."""

import polars as pl

TOLERANCE_WH = 0.02
"""Two values this near are the same: the exchange's own FLOATING_POINT_TOLERANCE, 0.00002 kWh."""

RELATIVE_TOLERANCE = 1e-6


def matches(left: str, right: str, *, slack: pl.Expr | None = None) -> pl.Expr:
    """Whether two columns (Wh) are the same; null is no match, nor is what is no number.

    Args:
        left: name of a column.
        right: name of a column.
        slack: Wh that are allowed beyond the exchange's own tolerance.
    """
    one, other = pl.col(left), pl.col(right)
    allowed = pl.max_horizontal(pl.lit(TOLERANCE_WH), RELATIVE_TOLERANCE * pl.max_horizontal(one.abs(), other.abs()))
    if slack is not None:
        allowed = pl.max_horizontal(allowed, slack)
    # polars takes NaN for the greatest of numbers, and equal to itself.
    near = ((one - other).abs() <= allowed) & one.is_finite() & other.is_finite()
    return near.fill_null(value=False)
