"""The suite `exchange_match`: what a good slot at the exchange is. Importing this imports Great Expectations.

It judges frames that `pipelines.validate.days.exchange` made: our value of a slot beside the exchange's.
"""

import great_expectations as gx
import great_expectations.expectations as gxe

from expectations.metering import ExpectValueWithinLimits
from expectations.named import Named, suite_of
from expectations.names import Check, Suite
from expectations.slots import ExpectAcceptedValueToBeHeld, ExpectDifferenceToHaveCause

WITH_LIMITS = (Check.EXCHANGE_EQUAL, Check.EXCHANGE_DEMAND, Check.READ_BACK_FRESH)
"""Checks that compare with what the community file says of the asset."""

COLUMNS = (
    "subject",
    "slot_start",
    "wanted_wh",
    "exchange_wh",
    "exchange_number",
    "accepted",
    "read_back",
    "exchange_unasked",
    "differs",
    "diagnosis",
    *(f"{check}{part}" for check in WITH_LIMITS for part in ("", "_low", "_high")),
)
"""Columns that the suite looks at, and the slot they are of."""


def suite() -> gx.ExpectationSuite:
    """The suite; each expectation carries its short name as `meta["check"]`.

    Two expectations share `exchange_sound`: a number, and not below zero.
    """
    named: list[Named] = [
        (
            Check.EXCHANGE_PRESENT,
            ExpectAcceptedValueToBeHeld,
            {"column_list": ["accepted", "read_back", "exchange_wh"]},
        ),
        (Check.EXCHANGE_UNASKED, gxe.ExpectColumnValuesToBeNull, {"column": "exchange_unasked"}),
        (
            Check.EXCHANGE_SOUND,
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "exchange_number", "value_set": ["finite"]},
        ),
        (Check.EXCHANGE_SOUND, gxe.ExpectColumnValuesToBeBetween, {"column": "exchange_wh", "min_value": 0}),
        *(
            (check, ExpectValueWithinLimits, {"column_list": [check.value, f"{check}_low", f"{check}_high"]})
            for check in WITH_LIMITS
        ),
        (Check.DIFFERENCE_EXPLAINED, ExpectDifferenceToHaveCause, {"column_list": ["differs", "diagnosis"]}),
    ]
    return suite_of(Suite.EXCHANGE_MATCH, named)
