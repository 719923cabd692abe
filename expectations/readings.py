"""The suite `readings`: what a good reading is. Importing this imports Great Expectations, which takes seconds.

It judges frames that `pipelines.validate.prepare` made: readings with what the checks need beside them.
"""

from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe

from expectations.limits import FUTURE_TOLERANCE_S, POWER_FACTOR, UNIT_OF_KIND, USABLE_QUALITIES
from expectations.metering import (
    ExpectPowerToStayWithinRating,
    ExpectRegisterNotToFall,
    ExpectSpanToBeOrdered,
    ExpectUnitToFitKind,
)
from expectations.names import READING_CHECKS, Check, Severity

COLUMNS = (
    "stream_id",
    "ts",
    "ts_end",
    "kind",
    "unit",
    "quality",
    "number",
    "rivals",
    "ahead_s",
    "forward_value",
    "register_before_wh",
    "register_wh",
    "register_after_wh",
    "implied_power_w",
    "rated_power_w",
)
"""Columns that the suite looks at."""

GX_SEVERITY = {Severity.REJECT: "critical", Severity.FLAG: "warning", Severity.INFORM: "info"}


def suite() -> gx.ExpectationSuite:
    """The suite; each expectation carries its short name as `meta["check"]`.

    Two expectations share `key_not_null`: a key has two parts.
    """
    named: list[tuple[Check, Any, dict[str, Any]]] = [
        (Check.KEY_NOT_NULL, gxe.ExpectColumnValuesToNotBeNull, {"column": "stream_id"}),
        (Check.KEY_NOT_NULL, gxe.ExpectColumnValuesToNotBeNull, {"column": "ts"}),
        (Check.KEY_UNIQUE, gxe.ExpectColumnValuesToBeBetween, {"column": "rivals", "max_value": 1}),
        (Check.KIND_KNOWN, gxe.ExpectColumnValuesToBeInSet, {"column": "kind", "value_set": sorted(UNIT_OF_KIND)}),
        (
            Check.UNIT_KNOWN,
            ExpectUnitToFitKind,
            {"column_list": ["kind", "unit"], "unit_of_kind": dict(UNIT_OF_KIND)},
        ),
        (Check.VALUE_PRESENT, gxe.ExpectColumnValuesToNotBeNull, {"column": "number"}),
        (Check.VALUE_FINITE, gxe.ExpectColumnValuesToBeInSet, {"column": "number", "value_set": ["finite"]}),
        (
            Check.QUALITY_USABLE,
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "quality", "value_set": sorted(USABLE_QUALITIES)},
        ),
        (Check.SPAN_ORDERED, ExpectSpanToBeOrdered, {"column_list": ["kind", "ts", "ts_end"]}),
        (
            Check.NOT_FROM_FUTURE,
            gxe.ExpectColumnValuesToBeBetween,
            {"column": "ahead_s", "max_value": FUTURE_TOLERANCE_S},
        ),
        (Check.NOT_NEGATIVE, gxe.ExpectColumnValuesToBeBetween, {"column": "forward_value", "min_value": 0}),
        (
            Check.REGISTER_NOT_FALLING,
            ExpectRegisterNotToFall,
            {"column_list": ["register_before_wh", "register_wh", "register_after_wh"]},
        ),
        (
            Check.WITHIN_RATED_POWER,
            ExpectPowerToStayWithinRating,
            {"column_list": ["implied_power_w", "rated_power_w"], "factor": POWER_FACTOR},
        ),
    ]
    return gx.ExpectationSuite(
        name="readings", expectations=[_expectation(check, kind, arguments) for check, kind, arguments in named]
    )


def _expectation(check: Check, kind: Any, arguments: dict[str, Any]) -> Any:  # noqa: ANN401 - untyped library
    meaning = READING_CHECKS[check]
    return kind(
        **arguments,
        meta={"check": check.value, "title": meaning.title, "vee": meaning.vee},
        description=meaning.explanation,
        severity=GX_SEVERITY[meaning.severity],
    )
