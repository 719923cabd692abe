"""Writes the page `docs/checks.md` from the names and thresholds.

python -m expectations.describe docs/checks.md
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from expectations.names import CHECKS, Check, Suite
from expectations.thresholds import NO_BOUNDS, THRESHOLDS, Bounds, Threshold

TITLES = {
    Suite.READINGS: "Readings",
    Suite.SLOT_ENERGY: "Slot energy",
    Suite.EXCHANGE_MATCH: "The exchange's values",
}

LEADS = {
    Suite.READINGS: "Each new reading, before energy is made of it (`expectations/readings.py`).",
    Suite.SLOT_ENERGY: "Each asset's slots, day by day (`expectations/slot_energy.py`). What is said of a whole day "
    "stands at its first slot; a spike stands at the highest.",
    Suite.EXCHANGE_MATCH: "Our value of each slot since the asset went live, beside the exchange's "
    "(`expectations/exchange_match.py`).",
}

RULES = {
    1: "time check",
    2: "meter identification",
    3: "intervals found and expected",
    4: "gap or missing value",
    5: "duplicate",
    6: "device status",
    7: "sum check",
    8: "spike check",
    9: "high and low usage",
    10: "high demand",
    11: "demand of consecutive intervals",
    12: "zero consumption",
    13: "usage of an inactive meter",
    14: "negative consumption, register decrease",
    15: "register delta, dials",
    16: "unit of measure",
    17: "stale value",
    18: "dynamic comparison",
    19: "siblings",
    20: "replacement",
    21: "prolonged estimation",
    22: "reactive energy",
}
"""The industry's rules by the numbers that this project gives them."""

LEFT_OUT = {
    13: "not checked: slotfeed reads no meter that no asset names",
    22: "not checked: the market has no reactive energy",
}

HEAD = """# Checks

Every check of [data quality](data-quality.md), with the number of the metering industry's rule (VEE) that it stands
for. This page is written by `python -m expectations.describe docs/checks.md`; change `expectations/names.py` and
`expectations/thresholds.py` instead.

The rules are those of California's DASMMD, Ontario's IESO MDP_STD_0002, Oracle Utilities MDM and Itron IEE. Numbers
marked *ours* are the project's own. *Recalled* ones are what the industry's documents are remembered to say; the
documents could not be read. `slotfeed checks --asset NAME` prints what is in force for one asset.
"""


def page() -> str:
    """The page, in Markdown."""
    parts = [HEAD, *(_suite(suite) for suite in Suite), _rules()]
    return "\n".join(parts)


def _suite(suite: Suite) -> str:
    of_suite = [check for check, meaning in CHECKS.items() if meaning.suite is suite]
    lines = [f"## {TITLES[suite]}", "", LEADS[suite], "", *_meanings(of_suite)]
    adjustable = [check for check in of_suite if check in THRESHOLDS]
    lines += ["", "Their thresholds:", "", *_thresholds(adjustable), ""]
    return "\n".join(lines)


def _meanings(checks: list[Check]) -> Iterator[str]:
    yield "| check | VEE | what holds for a good row | severity | rule |"
    yield "|---|---|---|---|---|"
    for check in checks:
        meaning = CHECKS[check]
        yield (
            f"| `{check}` | {meaning.vee or '-'} | **{meaning.title}.** {meaning.explanation} "
            f"| {meaning.severity} | {meaning.source} |"
        )


def _thresholds(checks: list[Check]) -> Iterator[str]:
    yield "| check | what is compared | good | of some types | default from |"
    yield "|---|---|---|---|---|"
    for check in checks:
        threshold = THRESHOLDS[check]
        yield (
            f"| `{check}` | {threshold.quantity} | {_bounds(threshold.default)} "
            f"| {_by_type(threshold)} | {threshold.origin} |"
        )


def _by_type(threshold: Threshold) -> str:
    return "; ".join(f"`{kind}` {_bounds(bounds)}" for kind, bounds in threshold.by_type.items()) or "-"


def _bounds(bounds: Bounds) -> str:
    if bounds == NO_BOUNDS:
        return "off"
    ends = ((bounds.low, "at least"), (bounds.high, "at most"))
    return ", ".join(f"{words} {number:g}" for number, words in ends if number is not None)


def _rules() -> str:
    lines = ["## By rule", "", "| VEE | rule | checks |", "|---|---|---|"]
    for number, rule in RULES.items():
        checks = ", ".join(f"`{check}`" for check, meaning in CHECKS.items() if meaning.vee == number)
        lines.append(f"| {number} | {rule} | {checks or LEFT_OUT[number]} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
