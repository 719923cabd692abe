"""Faults the vendor clouds commit on demand, so that a client can be seen to survive them."""

from collections.abc import Iterable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from pipelines.sandbox.controls import SHORT


class CloudFault(StrEnum):
    """What goes wrong with a request."""

    STATUS = "status"
    """Answered with HTTP `status` (and `Retry-After` where `retry_after` is set); not handled."""

    HTML = "html"
    """Answered 200 with a web page."""

    EMPTY = "empty"
    """Answered 200 with a body of no bytes."""

    REPLACE = "replace"
    """Answered 200 with `body`, said to be JSON whether it is or not, in place of handling it."""

    REDIRECT = "redirect"
    """Answered 307: the same path at `location`."""

    DELAY = "delay"
    """Handled `seconds` later."""

    RESET = "reset"
    """The connection is torn down before anything happens."""

    LOSE_REPLY = "lose_reply"
    """Handled, then the connection is closed without an answer."""

    TRUNCATE = "truncate"
    """Handled, then the connection is closed in the middle of the body."""

    DRIP = "drip"
    """Handled, then the body comes byte by byte, each `seconds` after the one before."""


class CloudRule(BaseModel):
    """One fault and the requests it meets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    do: CloudFault
    path: SHORT | None = None
    """Part of the request's path, the vendor's prefix included; without it, every request of every vendor."""

    times: int | None = Field(default=None, ge=1)
    """How many requests it meets before it is spent; without it, all."""

    status: int = Field(default=503, ge=400, le=599)
    retry_after: SHORT | None = None
    """Seconds or an HTTP date, sent as it stands."""

    seconds: float = Field(default=0.2, ge=0, le=60)
    body: str | None = None
    """JSON text (or what pretends to be) of `replace` and `status`; without it, `{}` and a line of plain text."""

    location: SHORT = ""
    """Of `redirect`: scheme, host and port, to which the request's path is added."""


class CloudFaults:
    """The rules in force. The first that fits a request meets it."""

    def __init__(self) -> None:
        self._rules: list[tuple[CloudRule, list[int]]] = []

    def replace(self, rules: Iterable[CloudRule]) -> None:
        """Put these rules in the place of the old ones."""
        self._rules = [(rule, [0]) for rule in rules]

    def meet(self, path: str) -> CloudRule | None:
        """The rule that meets a request to this path, counted as used; None where nothing goes wrong."""
        for rule, used in self._rules:
            if (rule.times is None or used[0] < rule.times) and (rule.path is None or rule.path in path):
                used[0] += 1
                return rule
        return None
