"""How the suites are put together from checks: each expectation carries the words and the weight of its check."""

from collections.abc import Iterable
from typing import Any

import great_expectations as gx

from expectations.names import CHECKS, Check, Severity, Suite

GX_SEVERITY = {Severity.REJECT: "critical", Severity.FLAG: "warning", Severity.INFORM: "info"}

Named = tuple[Check, Any, dict[str, Any]]
"""A check, the expectation that stands for it, and the expectation's arguments."""


def suite_of(name: Suite, named: Iterable[Named]) -> gx.ExpectationSuite:
    """A suite whose expectations have their check's short name as `meta["check"]`.

    Severities are the defaults: what the community file says differently stands beside the rows.
    """
    return gx.ExpectationSuite(name=name.value, expectations=[_expectation(*one) for one in named])


def _expectation(check: Check, kind: Any, arguments: dict[str, Any]) -> Any:  # noqa: ANN401 - untyped library
    meaning = CHECKS[check]
    return kind(
        **arguments,
        meta={"check": check.value, "title": meaning.title, "vee": meaning.vee},
        description=meaning.explanation,
        severity=GX_SEVERITY[meaning.severity],
    )
