"""The eight invariants of delivery as code: what is broken, and where.

The checker shares nothing with the code that it checks but the tables' definitions and the community file. What it
expects, it computes from rows in plain Python.
"""

from collections.abc import Callable, Mapping

from tests.reliability.metering import cursors_behind, energy_conserved
from tests.reliability.outcomes import last_version_holds, one_final_state
from tests.reliability.secrecy import no_secret
from tests.reliability.sending import few_repeats, in_time, right_place
from tests.reliability.violations import Invariant, Violation
from tests.reliability.world import AtSource, World

__all__ = ["CHECKS", "AtSource", "Invariant", "Violation", "World", "check_all", "told"]

CHECKS: Mapping[Invariant, Callable[[World], list[Violation]]] = {
    Invariant.ONE_FINAL_STATE: one_final_state,
    Invariant.LAST_VERSION_HOLDS: last_version_holds,
    Invariant.IN_TIME: in_time,
    Invariant.FEW_REPEATS: few_repeats,
    Invariant.RIGHT_PLACE: right_place,
    Invariant.ENERGY_CONSERVED: energy_conserved,
    Invariant.CURSORS_BEHIND: cursors_behind,
    Invariant.NO_SECRET: no_secret,
}


def check_all(world: World) -> list[Violation]:
    """Every breach of every invariant, by invariant."""
    return [violation for check in CHECKS.values() for violation in check(world)]


def told(violations: list[Violation]) -> str:
    """The violations in words, one a line: for a test's message."""
    return "\n".join(map(str, violations))
