"""The suite `slot_energy`: what a good slot is. Importing this imports Great Expectations, which takes seconds.

It judges frames that `pipelines.validate.days.slots` made: slots with what the checks need beside them.
"""

import great_expectations as gx
import great_expectations.expectations as gxe

from expectations.limits import USABLE_QUALITIES
from expectations.metering import ExpectValueWithinLimits
from expectations.named import Named, suite_of
from expectations.names import Check, Suite
from expectations.slots import ExpectAllToBePresent

WITH_LIMITS = (
    Check.SLOT_COVERED,
    Check.REGISTER_SUM,
    Check.DAY_SPIKE,
    Check.DAY_USAGE,
    Check.SLOT_DEMAND,
    Check.DEMAND_JUMP,
    Check.ZERO_RUN,
    Check.STALE_RUN,
    Check.USUAL_RANGE,
    Check.ESTIMATED_RUN,
)
"""Checks that compare with what the community file says of the asset."""

COLUMNS = (
    "asset_id",
    "slot_start",
    "energy_wh",
    "energy_number",
    "coverage",
    "quality",
    "slots_found",
    "slots_expected",
    "siblings_present",
    "siblings_configured",
    *(f"{check}{part}" for check in WITH_LIMITS for part in ("", "_low", "_high")),
)
"""Columns that the suite looks at, and the slot they are of."""


def suite() -> gx.ExpectationSuite:
    """The suite; each expectation carries its short name as `meta["check"]`.

    Four expectations share `slot_sound`: of energy, coverage and quality.
    """
    named: list[Named] = [
        (Check.SLOT_SOUND, gxe.ExpectColumnValuesToBeInSet, {"column": "energy_number", "value_set": ["finite"]}),
        (Check.SLOT_SOUND, gxe.ExpectColumnValuesToBeBetween, {"column": "energy_wh", "min_value": 0}),
        (Check.SLOT_SOUND, gxe.ExpectColumnValuesToBeBetween, {"column": "coverage", "min_value": 0, "max_value": 1}),
        (
            Check.SLOT_SOUND,
            gxe.ExpectColumnValuesToBeInSet,
            {"column": "quality", "value_set": sorted(USABLE_QUALITIES)},
        ),
        (Check.SLOTS_IN_DAY, ExpectAllToBePresent, {"column_list": ["slots_found", "slots_expected"]}),
        (Check.SIBLINGS_PRESENT, ExpectAllToBePresent, {"column_list": ["siblings_present", "siblings_configured"]}),
        *(
            (check, ExpectValueWithinLimits, {"column_list": [check.value, f"{check}_low", f"{check}_high"]})
            for check in WITH_LIMITS
        ),
    ]
    return suite_of(Suite.SLOT_ENERGY, named)
