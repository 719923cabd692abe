"""How well a slot is known, in six grades: the qualities, and what was measured in part told apart from the whole."""

from collections.abc import Iterable
from enum import IntEnum

import polars as pl

from expectations.limits import WHOLE
from pipelines.frames import Quality


class Grade(IntEnum):
    """Best first, so that the highest of several slots tells the worst."""

    MEASURED = 0
    PARTLY = 1
    """Measured, but readings back only a part of the slot."""

    SUBSTITUTED = 2
    ESTIMATED = 3
    PROVISIONAL = 4
    MISSING = 5

    @property
    def words(self) -> str:
        """For people."""
        return WORDS[self]


WORDS = {
    Grade.MEASURED: "measured",
    Grade.PARTLY: "measured in part",
    Grade.SUBSTITUTED: "substituted",
    Grade.ESTIMATED: "estimated",
    Grade.PROVISIONAL: "provisional",
    Grade.MISSING: "missing",
}

_OF_QUALITY = {
    Quality.MEASURED: Grade.MEASURED,
    Quality.SUBSTITUTED: Grade.SUBSTITUTED,
    Quality.ESTIMATED: Grade.ESTIMATED,
    Quality.PROVISIONAL: Grade.PROVISIONAL,
    Quality.MISSING: Grade.MISSING,
    Quality.UNUSABLE: Grade.MISSING,
}


def grade_of(quality: str, *, whole: bool) -> Grade:
    """The grade of a slot of this quality; `whole`: readings back all of it."""
    grade = _OF_QUALITY[Quality(quality)]
    return Grade.PARTLY if grade is Grade.MEASURED and not whole else grade


def grade_expression(quality: str, coverage: str) -> pl.Expr:
    """The same of two columns, as integers; where there is no quality, there is no slot: MISSING."""
    ranked = pl.col(quality).replace_strict(
        {name.value: grade.value for name, grade in _OF_QUALITY.items()},
        default=Grade.MISSING.value,
        return_dtype=pl.Int64,
    )
    partly = (ranked == Grade.MEASURED.value) & (pl.col(coverage) < WHOLE)
    return pl.when(partly).then(pl.lit(Grade.PARTLY.value, dtype=pl.Int64)).otherwise(ranked)


def in_words(counts: Iterable[tuple[Grade, int]]) -> str:
    """`80 measured, 12 estimated and 4 missing`; grades that don't occur are left out."""
    told = [f"{number:,} {grade.words}" for grade, number in sorted(counts) if number]
    if not told:
        return "no slot yet"
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
