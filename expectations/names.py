"""The checks by their short names, and what each means to people. Light: importing this starts no Great Expectations.

`vee` numbers the metering industry's validation checks (VEE: validating, estimating, editing) as this project counts
them. Sources: California's DASMMD VEE rules, Ontario's IESO MDP_STD_0002, Oracle Utilities MDM, Itron IEE.

    1 time check        2 meter identification     3 intervals found and expected     4 gap or missing value
    5 duplicate         6 device status            7 sum check                        8 spike check
    9 high/low usage   10 high demand             11 consecutive demand              12 zero consumption
   14 negative consumption, register decrease     15 register delta, dials           16 unit
   17 stale value      18 dynamic comparison      19 siblings                        20 replacement
   21 prolonged estimation
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What follows where a row breaks a check."""

    REJECT = "reject"
    """The row goes to quarantine: no energy is computed from it."""

    FLAG = "flag"
    """The row is used; the data-quality report lists it."""

    INFORM = "inform"
    """The row is used; the report counts it."""


class Suite(StrEnum):
    """The suites, each of one kind of row."""

    READINGS = "readings"
    """A reading as it was collected."""

    SLOT_ENERGY = "slot_energy"
    """Energy of one asset in one market slot."""

    EXCHANGE_MATCH = "exchange_match"
    """One asset's slot, our value beside the exchange's."""


class Check(StrEnum):
    """Names of the checks, as findings and `reading.broken` hold them."""

    KEY_NOT_NULL = "key_not_null"
    KEY_UNIQUE = "key_unique"
    KIND_KNOWN = "kind_known"
    KIND_CONFIGURED = "kind_configured"
    UNIT_KNOWN = "unit_known"
    VALUE_PRESENT = "value_present"
    VALUE_FINITE = "value_finite"
    QUALITY_USABLE = "quality_usable"
    SPAN_ORDERED = "span_ordered"
    SPAN_LENGTH = "span_length"
    NOT_FROM_FUTURE = "not_from_future"
    NOT_AGES_OLD = "not_ages_old"
    NOT_NEGATIVE = "not_negative"
    REGISTER_NOT_FALLING = "register_not_falling"
    REGISTER_WITHIN_DIALS = "register_within_dials"
    WITHIN_RATED_POWER = "within_rated_power"
    RANK_NOT_LOWER = "rank_not_lower"

    SLOT_SOUND = "slot_sound"
    SLOT_COVERED = "slot_covered"
    SLOTS_IN_DAY = "slots_in_day"
    SIBLINGS_PRESENT = "siblings_present"
    REGISTER_SUM = "register_sum"
    DAY_SPIKE = "day_spike"
    DAY_USAGE = "day_usage"
    SLOT_DEMAND = "slot_demand"
    DEMAND_JUMP = "demand_jump"
    ZERO_RUN = "zero_run"
    STALE_RUN = "stale_run"
    USUAL_RANGE = "usual_range"
    ESTIMATED_RUN = "estimated_run"

    EXCHANGE_PRESENT = "exchange_present"
    EXCHANGE_EQUAL = "exchange_equal"
    EXCHANGE_UNASKED = "exchange_unasked"
    EXCHANGE_SOUND = "exchange_sound"
    EXCHANGE_DEMAND = "exchange_demand"
    READ_BACK_FRESH = "read_back_fresh"
    DIFFERENCE_EXPLAINED = "difference_explained"


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """A check in people's words."""

    suite: Suite
    title: str
    explanation: str
    """One sentence: what holds for a good row, and what to look for where it doesn't."""

    vee: int
    """Number of the VEE check it stands for; 0 where the industry has none."""

    source: str
    """Where the rule comes from."""

    severity: Severity = Severity.REJECT
    """Unless the community file says otherwise of a check with thresholds (`expectations.thresholds`)."""


def _reading(title: str, explanation: str, *, vee: int, source: str, severity: Severity = Severity.REJECT) -> Meaning:
    return Meaning(
        suite=Suite.READINGS, title=title, explanation=explanation, vee=vee, source=source, severity=severity
    )


def _slot(title: str, explanation: str, *, vee: int, source: str, severity: Severity = Severity.FLAG) -> Meaning:
    return Meaning(
        suite=Suite.SLOT_ENERGY, title=title, explanation=explanation, vee=vee, source=source, severity=severity
    )


def _match(title: str, explanation: str, *, vee: int = 0, severity: Severity = Severity.FLAG) -> Meaning:
    return Meaning(
        suite=Suite.EXCHANGE_MATCH,
        title=title,
        explanation=explanation,
        vee=vee,
        source="ours: the exchange says nothing of values that it throws away",
        severity=severity,
    )


IDENTITY = "Oracle MDM, Itron IEE: identification against master data"
STATUS = "IESO MDP_STD_0002, Itron IEE: device status"

READING_CHECKS: Mapping[Check, Meaning] = {
    Check.KEY_NOT_NULL: _reading(
        "Stream and time stamp are there",
        "A reading names its stream and a time that could be read; without them it belongs nowhere.",
        vee=2,
        source=IDENTITY,
    ),
    Check.KEY_UNIQUE: _reading(
        "One value per time stamp",
        "Values of one time stamp that arrive together agree; where they differ, none can be told right.",
        vee=5,
        source="Oracle MDM: duplicates; equal ones are dropped",
    ),
    Check.KIND_KNOWN: _reading(
        "Kind is known",
        "A reading is a register's state, an interval's energy or a power.",
        vee=2,
        source=IDENTITY,
    ),
    Check.KIND_CONFIGURED: _reading(
        "Kind is the stream's",
        "A stream keeps the kind that the community file gives it; "
        "one that changes has another meter behind it, or its entry is wrong.",
        vee=2,
        source=IDENTITY,
    ),
    Check.UNIT_KNOWN: _reading(
        "Unit fits the kind",
        "Registers and intervals are in Wh, powers in W; slotfeed can't convert what has another unit.",
        vee=16,
        source="Oracle MDM: unit of measure against master data",
    ),
    Check.VALUE_PRESENT: _reading(
        "Value is there",
        "A reading has a value: nothing is not zero.",
        vee=4,
        source="California DASMMD, IESO: missing intervals",
    ),
    Check.VALUE_FINITE: _reading(
        "Value is a number", "A value is a finite number, neither NaN nor infinite.", vee=6, source=STATUS
    ),
    Check.QUALITY_USABLE: _reading(
        "Source calls the value usable",
        "A source that marks a value as missing or unusable is believed.",
        vee=6,
        source=STATUS,
    ),
    Check.SPAN_ORDERED: _reading(
        "Span ends after it begins",
        "An interval, and a power that is the mean of a span, ends later than it begins.",
        vee=3,
        source="Oracle MDM, Itron IEE: interval size",
    ),
    Check.SPAN_LENGTH: _reading(
        "Span is as long as configured",
        "An interval lasts as long as the community file says; another length has a wrong entry or a changed meter.",
        vee=3,
        source="Oracle MDM, Itron IEE: interval size",
        severity=Severity.FLAG,
    ),
    Check.NOT_FROM_FUTURE: _reading(
        "Not from the future",
        "A reading is over when it arrives, give or take some clock error; "
        "one further ahead has a wrong clock, time zone or label.",
        vee=1,
        source="California DASMMD: time tolerance",
    ),
    Check.NOT_AGES_OLD: _reading(
        "Not of another age",
        "A reading is of years in which the meter can have stood; a clock that lost its time begins at 1970 or 2000.",
        vee=1,
        source="California DASMMD: time check",
    ),
    Check.NOT_NEGATIVE: _reading(
        "One-way meter not below zero",
        "Energy and power of a one-way stream are never negative; "
        "a meter that measures both directions is marked two_way.",
        vee=14,
        source="Oracle MDM: negative consumption",
    ),
    Check.REGISTER_NOT_FALLING: _reading(
        "Register does not fall",
        "A register stands no lower than the usable reading before it and no higher than the one after it; "
        "one that falls is suspect until later readings show whether it was wrong or a new series begins with it.",
        vee=14,
        source="Oracle MDM, Itron IEE: register decrease, rollover",
    ),
    Check.REGISTER_WITHIN_DIALS: _reading(
        "Register within its dials",
        "A register stands below the power of ten that its dials can show; more is a wrong unit or factor.",
        vee=15,
        source="Itron IEE: number of dials",
    ),
    Check.WITHIN_RATED_POWER: _reading(
        "Power within the rating",
        "The mean power that a reading implies is within the rated power and some overload; "
        "more is a spike, a wrong unit or rating, and a register that leaps is suspect until later readings decide.",
        vee=10,
        source="Itron IEE, Oracle MDM: high demand",
    ),
    Check.RANK_NOT_LOWER: _reading(
        "Replacement is no worse",
        "A late value takes an older one's place only if its quality is as good or the value really changed.",
        vee=20,
        source="Oracle MDM: replacement of final measurements",
    ),
}
"""The checks of single readings, in the order in which a reading's broken checks are listed."""

SLOT_CHECKS: Mapping[Check, Meaning] = {
    Check.SLOT_SOUND: _slot(
        "Slot energy makes sense",
        "Energy is a number and not below zero, its coverage a share of the slot, its quality one of the scale; "
        "anything else is an error of slotfeed.",
        vee=14,
        source="ours: the exchange takes no negative energy",
    ),
    Check.SLOT_COVERED: _slot(
        "Slot is covered by readings",
        "Readings back the whole slot; where they don't, the meter, its cloud or the way between was silent.",
        vee=4,
        source="California DASMMD, IESO: missing intervals",
    ),
    Check.SLOTS_IN_DAY: _slot(
        "Day has all its slots",
        "A day of the community's time zone has its 92, 96 or 100 quarter hours; fewer were lost on the way.",
        vee=3,
        source="California DASMMD: intervals found against expected",
        severity=Severity.INFORM,
    ),
    Check.SIBLINGS_PRESENT: _slot(
        "All channels of the asset are there",
        "Where one channel of an asset or device reports, the others do; import without export is half a truth.",
        vee=19,
        source="Oracle MDM: sibling measuring components",
    ),
    Check.REGISTER_SUM: _slot(
        "Slots add up to the register",
        "A day's slots add up to what the check register advanced; "
        "where they don't, spans are lost, doubled or in another unit.",
        vee=7,
        source="Oracle MDM, IESO: sum check",
    ),
    Check.DAY_SPIKE: _slot(
        "No spike in the day",
        "The day's highest slot is not far above its third-highest; one that is stands alone and is seldom true.",
        vee=8,
        source="California DASMMD: spike check",
    ),
    Check.DAY_USAGE: _slot(
        "Day's energy is usual",
        "A day's energy lies between a low and a high multiple of that of like days before.",
        vee=9,
        source="Oracle MDM, Itron IEE: high and low usage",
    ),
    Check.SLOT_DEMAND: _slot(
        "Slot within the rating",
        "The slot's mean power, summed over the asset's channels, is within the rated power and some overload.",
        vee=10,
        source="Itron IEE: high demand",
    ),
    Check.DEMAND_JUMP: _slot(
        "No leap between slots",
        "Power changes from one slot to the next by no more than the asset can.",
        vee=11,
        source="Itron IEE: demand tolerance of consecutive intervals",
    ),
    Check.ZERO_RUN: _slot(
        "Not at zero for long",
        "An active meter isn't at zero for longer than its kind can be; for PV only daylight counts.",
        vee=12,
        source="Oracle MDM: zero consumption",
    ),
    Check.STALE_RUN: _slot(
        "Value is not stale",
        "The same energy above zero doesn't stand in many slots in a row; a source that repeats itself does that.",
        vee=17,
        source="Itron IEE: consecutive equal intervals",
    ),
    Check.USUAL_RANGE: _slot(
        "Within the usual range",
        "A slot lies within some standard deviations of the same time of like days before.",
        vee=18,
        source="Oracle MDM: dynamic comparison",
    ),
    Check.ESTIMATED_RUN: _slot(
        "Not estimated for days",
        "Substitute values stand in for days at most; longer, somebody must look at the meter.",
        vee=21,
        source="Oracle MDM: prolonged estimation",
    ),
}
"""The checks of slots."""

EXCHANGE_CHECKS: Mapping[Check, Meaning] = {
    Check.EXCHANGE_PRESENT: _match(
        "Exchange has a value",
        "Where a value was accepted, the exchange has one; it answers 'ready' also to what it throws away.",
        vee=4,
    ),
    Check.EXCHANGE_EQUAL: _match(
        "Exchange has our value",
        "The exchange's energy equals the last valid local one within its own rounding.",
    ),
    Check.EXCHANGE_UNASKED: _match(
        "Nobody else writes",
        "Where nothing was sent, the exchange has nothing; somebody else writes to this asset, or a profile drives it.",
    ),
    Check.EXCHANGE_SOUND: _match(
        "Exchange's value makes sense", "What the exchange says is a finite energy, not below zero.", vee=14
    ),
    Check.EXCHANGE_DEMAND: _match(
        "Exchange's value within the rating",
        "What the exchange used is within the asset's rated power and some overload; more is another unit.",
        vee=10,
    ),
    Check.READ_BACK_FRESH: _match(
        "Read back in time",
        "A finished slot has been read back within hours; older ones were never proven.",
        severity=Severity.INFORM,
    ),
    Check.DIFFERENCE_EXPLAINED: _match(
        "Difference has a cause",
        "Every difference stands in the list of discrepancies with its cause.",
    ),
}
"""The checks of our values against the exchange's."""

CHECKS: Mapping[Check, Meaning] = {**READING_CHECKS, **SLOT_CHECKS, **EXCHANGE_CHECKS}
"""Every check with its meaning."""
