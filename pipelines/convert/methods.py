"""Ways to a substitute value, as a slot's `method` holds them, joined by `+` where several took part."""

from enum import StrEnum

import polars as pl


class Method(StrEnum):
    """How the part of a slot that readings don't tell was found."""

    INTERPOLATED = "interpolated"
    """Energy known over a longer span, spread evenly; the kernel's own."""

    LIKE_DAY_SCALED = "like_day_scaled"
    """Energy known over a longer span, spread like the same hours of like days."""

    SCALED_TO_REGISTER = "scaled_to_register"
    """Estimates scaled to what a check register's advance leaves for them."""

    LINEAR = "linear"
    """A straight line between the good neighbours' mean powers."""

    LIKE_DAY = "like_day"
    """The mean of like days."""


FILLING = (Method.SCALED_TO_REGISTER, Method.LINEAR, Method.LIKE_DAY)
"""Methods that put energy where the asset's own readings tell none. A slot that names one of them is filled whole."""

_FILLED = rf"(^|\+)({'|'.join(FILLING)})(\+|$)"
_SHAPED_BY_LIKE_DAYS = rf"(^|\+)({'|'.join((*FILLING, Method.LIKE_DAY_SCALED))})(\+|$)"


def is_filled() -> pl.Expr:
    """Whether a slot's `method` says that what readings left open in it was filled."""
    return pl.col("method").str.contains(_FILLED)


def is_own() -> pl.Expr:
    """Whether a slot's `method` says that its energy comes from its own readings alone, its shape too."""
    return ~pl.col("method").str.contains(_SHAPED_BY_LIKE_DAYS)
