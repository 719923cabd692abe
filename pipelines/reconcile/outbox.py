"""What the outbox knows by itself: nothing to send, not sent in time, refused."""

import polars as pl

from pipelines.frames import State
from pipelines.reconcile.names import Diagnosis

UNSENT = (State.EXPIRED.value, State.PENDING.value, State.SENDING.value)


def own_cause() -> pl.Expr:
    """The cause on this side of a slot that differs, or null: of `wanted_wh`, `state` and `attempts`."""
    return (
        pl.when(pl.col("wanted_wh").is_null())
        .then(pl.lit(Diagnosis.NO_LOCAL_VALUE.value))
        .when(pl.col("state").is_in(UNSENT) & (pl.col("attempts").fill_null(0) == 0))
        .then(pl.lit(Diagnosis.LATE.value))
        .when(pl.col("state") == State.REJECTED.value)
        .then(pl.lit(Diagnosis.REFUSED.value))
    )


def held_in_words(same_as_carried: str) -> pl.Expr:
    """What the exchange holds, in words, of `exchange_wh`, `carried_from` and `slot_start`.

    Args:
        same_as_carried: column that tells whether it is the value carried on from an earlier slot.
    """
    held = pl.format("the exchange holds {} Wh", number("exchange_wh"))
    repeats = pl.format(
        "the exchange repeats {} Wh of slot {} UTC",
        number("exchange_wh"),
        pl.col("carried_from").dt.strftime("%Y-%m-%d %H:%M"),
    )
    carried = pl.col(same_as_carried) & (pl.col("carried_from") != pl.col("slot_start")).fill_null(value=False)
    return (
        pl.when(pl.col("exchange_wh").is_null())
        .then(pl.lit("the exchange has no value for the slot"))
        .when(carried)
        .then(repeats)
        .otherwise(held)
    )


def number(column: str) -> pl.Expr:
    """An energy as text, to a hundredth of a Wh."""
    return pl.col(column).round(2).cast(pl.String).str.strip_suffix(".0")
