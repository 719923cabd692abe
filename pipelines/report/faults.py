"""Broken checks as people say it: the checks' own titles say what is good, a list of problems what is bad."""

from collections.abc import Mapping

from expectations.names import Check
from expectations.thresholds import THRESHOLDS
from pipelines.report.broken import title_of

FAULTS: Mapping[Check, str] = {
    Check.KEY_NOT_NULL: "time stamp can't be read",
    Check.KEY_UNIQUE: "several values for one time",
    Check.KIND_KNOWN: "kind of value unknown",
    Check.KIND_CONFIGURED: "kind of value has changed",
    Check.UNIT_KNOWN: "unknown unit",
    Check.VALUE_PRESENT: "reading without a value",
    Check.VALUE_FINITE: "value is no number",
    Check.QUALITY_USABLE: "source calls its value unusable",
    Check.SPAN_ORDERED: "interval ends before it begins",
    Check.SPAN_LENGTH: "interval has another length",
    Check.NOT_FROM_FUTURE: "reading from the future",
    Check.NOT_AGES_OLD: "reading of another age",
    Check.NOT_NEGATIVE: "negative value of a one-way meter",
    Check.REGISTER_NOT_FALLING: "register falls",
    Check.REGISTER_WITHIN_DIALS: "register beyond its dials",
    Check.WITHIN_RATED_POWER: "more power than the rating allows",
    Check.RANK_NOT_LOWER: "a worse value came for a better one",
    Check.SLOT_SOUND: "slot's energy makes no sense",
    Check.SLOT_COVERED: "slots without whole readings",
    Check.SLOTS_IN_DAY: "day lacks slots",
    Check.SIBLINGS_PRESENT: "one channel is silent",
    Check.REGISTER_SUM: "slots don't add up to the register",
    Check.DAY_SPIKE: "spike in the day",
    Check.DAY_USAGE: "unusual energy of a day",
    Check.SLOT_DEMAND: "slot above the rating",
    Check.DEMAND_JUMP: "leap between slots",
    Check.ZERO_RUN: "at zero for long",
    Check.STALE_RUN: "the same value again and again",
    Check.USUAL_RANGE: "outside the usual range",
    Check.ESTIMATED_RUN: "estimated for days",
    Check.EXCHANGE_PRESENT: "no value at the exchange",
    Check.EXCHANGE_EQUAL: "another value at the exchange",
    Check.EXCHANGE_UNASKED: "somebody else writes to the exchange",
    Check.EXCHANGE_SOUND: "exchange's value makes no sense",
    Check.EXCHANGE_DEMAND: "exchange's value above the rating",
    Check.READ_BACK_FRESH: "not read back in time",
    Check.DIFFERENCE_EXPLAINED: "difference without a cause",
}

SHARES = frozenset({Check.SLOT_COVERED, Check.REGISTER_SUM})
"""Checks whose numbers are shares of one, told in per cent."""

WHOLE_DAY = frozenset({Check.SLOTS_IN_DAY, Check.REGISTER_SUM, Check.DAY_USAGE})
"""Checks that judge a day, so that only its date tells when."""


def fault_of(check: str) -> str:
    """What is bad where the check is broken; its title, where this version doesn't know it."""
    return FAULTS[Check(check)] if check in FAULTS else title_of(check)


def value_in_words(check: str, value: float | None, low: float | None, high: float | None) -> str:
    """What was found and what would have been good, with the quantity and its unit; empty where there is no number."""
    if value is None:
        return ""
    quantity = THRESHOLDS[Check(check)].quantity if check in THRESHOLDS else "value"
    name, unit = _unit_of(quantity)
    share = check in SHARES
    bounds = [f"at least {_told(low, unit, share=share)}"] if low is not None else []
    bounds += [f"at most {_told(high, unit, share=share)}"] if high is not None else []
    good = f"; good is {' and '.join(bounds)}" if bounds else ""
    return f"{name}: {_told(value, unit, share=share)}{good}"


def _unit_of(quantity: str) -> tuple[str, str]:
    """`age, days` -> (`age`, `days`): a unit stands after the last comma, perhaps with a remark in brackets."""
    name, comma, unit = quantity.rpartition(", ")
    word, _, remark = unit.partition(" (")
    if not comma or len(word) > 4:
        return quantity, ""
    return f"{name} ({remark}" if remark else name, word


def _told(value: float, unit: str, *, share: bool) -> str:
    if share:
        return f"{100 * value:,.3g}\u00a0%"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.3g}"
    return f"{text}\u00a0{unit}" if unit else text
