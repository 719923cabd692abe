"""What the gate tells the handler of a request, and what the handler tells back."""

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from pipelines.sandbox.exchange.faults import Rule
from pipelines.sandbox.exchange.journal import Entry

VISIT = "slotfeed.visit"
"""Where a request's scope holds the `Visit`."""


@dataclass(slots=True)
class Visit:
    """What is known of a request besides its head. The handler notes in the journal's entry how it ended."""

    body: object
    """Parsed JSON; None where there is none or where it is broken."""

    broken: str | None
    """Why the body is no JSON."""

    rule: Rule | None
    entry: Entry


def visit_of(request: Request) -> Visit:
    """What the gate noted of the request."""
    return cast("Visit", request.scope[VISIT])
