"""What the gate tells the handler of a request, and what the handler tells back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from starlette.requests import Request
from starlette.types import Scope

from pipelines.sandbox.exchange.faults import Fault, Rule
from pipelines.sandbox.exchange.journal import Entry

HangUp = Callable[[Scope, bool], None]
"""Closes a request's connection; with True so that the client sees a reset (RST), else an end (FIN)."""

VISIT = "slotfeed.visit"
"""Where a request's scope holds the `Visit`."""


def refuse_to_answer(scope: Scope, reset: bool) -> None:  # noqa: ARG001 - the shape of HangUp
    """Hangs up where there is no connection: the caller in this process gets the error a socket would give.

    Raises:
        ConnectionResetError: always.
    """
    raise ConnectionResetError(f"The sandbox closed the connection of {scope['method']} {scope['path']}")


@dataclass(slots=True)
class Visit:
    """What is known of a request besides its head. The handler notes in the journal's entry how it ended."""

    body: object
    """Parsed JSON; None where there is none or where it is broken."""

    broken: str | None
    """Why the body is no JSON."""

    rule: Rule | None
    entry: Entry

    @property
    def scale(self) -> float:
        """What every energy is multiplied with as it is applied."""
        return self.rule.factor if self.rule and self.rule.do is Fault.SCALE else 1.0

    @property
    def dropped(self) -> bool:
        """Whether the command is to be thrown away."""
        return self.rule is not None and self.rule.do is Fault.DROP


def visit_of(request: Request) -> Visit:
    """What the gate noted of the request."""
    return cast("Visit", request.scope[VISIT])
