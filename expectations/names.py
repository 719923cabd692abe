"""The checks by their short names, and what each means to people. Light: importing this starts no Great Expectations.

`vee` numbers the metering industry's validation checks (VEE: validating, estimating, editing) as this project counts
them. Sources: California's DASMMD VEE rules, Ontario's IESO MDP_STD_0002, Oracle Utilities MDM, Itron IEE.

    1 time check    2 meter identification    3 interval size    4 missing value    5 duplicate
    6 device error or status    10 high demand    14 negative consumption, register decrease    16 unit
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What follows where a row breaks a check."""

    REJECT = "reject"
    """The row goes to quarantine: no energy is computed from it."""

    FLAG = "flag"
    """The row is used; the data-quality report counts it."""

    INFORM = "inform"
    """The row is used; the report mentions it."""


class Check(StrEnum):
    """Names of the checks of single readings, as `reading.broken` holds them."""

    KEY_NOT_NULL = "key_not_null"
    KEY_UNIQUE = "key_unique"
    KIND_KNOWN = "kind_known"
    UNIT_KNOWN = "unit_known"
    VALUE_PRESENT = "value_present"
    VALUE_FINITE = "value_finite"
    QUALITY_USABLE = "quality_usable"
    SPAN_ORDERED = "span_ordered"
    NOT_FROM_FUTURE = "not_from_future"
    NOT_NEGATIVE = "not_negative"
    REGISTER_NOT_FALLING = "register_not_falling"
    WITHIN_RATED_POWER = "within_rated_power"


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """A check in people's words."""

    title: str
    explanation: str
    """One sentence: what holds for a good reading, and what to look for where it doesn't."""

    vee: int
    """Number of the VEE check it stands for."""

    severity: Severity = Severity.REJECT


READING_CHECKS: Mapping[Check, Meaning] = {
    Check.KEY_NOT_NULL: Meaning(
        title="Stream and time stamp are there",
        explanation="A reading names its stream and a time that could be read; without them it belongs nowhere.",
        vee=2,
    ),
    Check.KEY_UNIQUE: Meaning(
        title="One value per time stamp",
        explanation="Values of one time stamp that arrive together agree; where they differ, none can be told right.",
        vee=5,
    ),
    Check.KIND_KNOWN: Meaning(
        title="Kind is known",
        explanation="A reading is a register's state, an interval's energy or a power.",
        vee=2,
    ),
    Check.UNIT_KNOWN: Meaning(
        title="Unit fits the kind",
        explanation="Registers and intervals are in Wh, powers in W; slotfeed can't convert what has another unit.",
        vee=16,
    ),
    Check.VALUE_PRESENT: Meaning(
        title="Value is there",
        explanation="A reading has a value: nothing is not zero.",
        vee=4,
    ),
    Check.VALUE_FINITE: Meaning(
        title="Value is a number",
        explanation="A value is a finite number, neither NaN nor infinite.",
        vee=6,
    ),
    Check.QUALITY_USABLE: Meaning(
        title="Source calls the value usable",
        explanation="A source that marks a value as missing or unusable is believed.",
        vee=6,
    ),
    Check.SPAN_ORDERED: Meaning(
        title="Span ends after it begins",
        explanation="An interval, and a power that is the mean of a span, ends later than it begins.",
        vee=3,
    ),
    Check.NOT_FROM_FUTURE: Meaning(
        title="Not from the future",
        explanation="A reading is over when it arrives, give or take 3 minutes of clock error; "
        "one further ahead has a wrong clock, time zone or label.",
        vee=1,
    ),
    Check.NOT_NEGATIVE: Meaning(
        title="One-way meter not below zero",
        explanation="Energy and power of a one-way stream are never negative; "
        "a meter that measures both directions is marked two_way.",
        vee=14,
    ),
    Check.REGISTER_NOT_FALLING: Meaning(
        title="Register does not fall",
        explanation="A register stands no lower than the usable reading before it and no higher than the one after it; "
        "one that falls is suspect until later readings show whether it was wrong or a new series begins with it.",
        vee=14,
    ),
    Check.WITHIN_RATED_POWER: Meaning(
        title="Power within the rating",
        explanation="The mean power that a reading implies is at most 1.2 times the rated power; "
        "more is a spike, a wrong unit or rating, and a register that leaps is suspect until later readings decide.",
        vee=10,
    ),
}
"""Every check with its meaning, in the order in which a reading's broken checks are listed."""
