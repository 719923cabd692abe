"""The suite `readings`: what a good reading is. Importing this imports Great Expectations, which takes seconds.

It judges frames that `pipelines.validate.prepare` made: readings with what the checks need beside them.
"""

import great_expectations as gx
import great_expectations.expectations as gxe

from expectations.limits import CHANGED_BY, UNIT_OF_KIND, USABLE_QUALITIES
from expectations.metering import (
    ExpectRegisterNotToFall,
    ExpectReplacementToBeNoWorse,
    ExpectSpanToBeOrdered,
    ExpectUnitToFitKind,
    ExpectValueWithinLimits,
)
from expectations.named import Named, suite_of
from expectations.names import Check, Suite

WITH_LIMITS = (Check.NOT_FROM_FUTURE, Check.NOT_AGES_OLD, Check.WITHIN_RATED_POWER)
"""Checks that compare with what the community file says of the stream's asset."""

COLUMNS = (
    "stream_id",
    "ts",
    "kind",
    "configured_kind",
    "unit",
    "quality",
    "number",
    "rivals",
    "span_s",
    "configured_span_s",
    *(f"{check}{part}" for check in WITH_LIMITS for part in ("", "_low", "_high")),
    "forward_value",
    "register_before_wh",
    "register_wh",
    "register_after_wh",
    "shown_wh",
    "dials_wh",
    "rank",
    "standing_rank",
    "change",
)
"""Columns that the suite looks at."""


def suite() -> gx.ExpectationSuite:
    """The suite; each expectation carries its short name as `meta["check"]`.

    Two expectations share `key_not_null`: a key has two parts.
    """
    named: list[Named] = [
        (Check.KEY_NOT_NULL, gxe.ExpectColumnValuesToNotBeNull, {"column": "stream_id"}),
        (Check.KEY_NOT_NULL, gxe.ExpectColumnValuesToNotBeNull, {"column": "ts"}),
        (Check.KEY_UNIQUE, gxe.ExpectColumnValuesToBeBetween, {"column": "rivals", "max_value": 1}),
        (Check.KIND_KNOWN, gxe.ExpectColumnValuesToBeInSet, {"column": "kind", "value_set": sorted(UNIT_OF_KIND)}),
        (
            Check.KIND_CONFIGURED,
            gxe.ExpectColumnPairValuesToBeEqual,
            {"column_A": "kind", "column_B": "configured_kind", "ignore_row_if": "either_value_is_missing"},
        ),
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
        (Check.SPAN_ORDERED, ExpectSpanToBeOrdered, {"column_list": ["kind", "span_s"]}),
        (
            Check.SPAN_LENGTH,
            gxe.ExpectColumnPairValuesToBeEqual,
            {"column_A": "span_s", "column_B": "configured_span_s", "ignore_row_if": "either_value_is_missing"},
        ),
        *(
            (check, ExpectValueWithinLimits, {"column_list": [check.value, f"{check}_low", f"{check}_high"]})
            for check in WITH_LIMITS
        ),
        (Check.NOT_NEGATIVE, gxe.ExpectColumnValuesToBeBetween, {"column": "forward_value", "min_value": 0}),
        (
            Check.REGISTER_NOT_FALLING,
            ExpectRegisterNotToFall,
            {"column_list": ["register_before_wh", "register_wh", "register_after_wh"]},
        ),
        (
            Check.REGISTER_WITHIN_DIALS,
            gxe.ExpectColumnPairValuesAToBeGreaterThanB,
            {"column_A": "dials_wh", "column_B": "shown_wh", "ignore_row_if": "either_value_is_missing"},
        ),
        (
            Check.RANK_NOT_LOWER,
            ExpectReplacementToBeNoWorse,
            {"column_list": ["rank", "standing_rank", "change"], "changed_by": CHANGED_BY},
        ),
    ]
    return suite_of(Suite.READINGS, named)
