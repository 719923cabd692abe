"""Faults the sandbox commits on demand, so that a client can be seen to survive them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

SHORT = Annotated[str, Field(max_length=200, pattern=r"^[\x20-\x7e]*$")]


class Fault(StrEnum):
    """What goes wrong."""

    DROP = "drop"
    """The command is answered `ready` and thrown away."""

    SCALE = "scale"
    """Energies are applied times `factor`."""

    STATUS = "status"
    """Answered with HTTP `status` (and `Retry-After` where `retry_after` is set), not applied."""

    HTML = "html"
    """Answered 200 with a web page, not applied."""

    EMPTY = "empty"
    """Answered 200 with `{}`, not applied."""

    DELAY = "delay"
    """Handled `seconds` later."""

    RESET = "reset"
    """The connection is torn down before anything happens."""

    LOSE_REPLY = "lose_reply"
    """Handled, then the connection is closed without an answer."""

    EXPIRE_TOKENS = "expire_tokens"
    """All tokens issued so far end; then the request is handled."""


OF_VALUES = frozenset({Fault.DROP, Fault.SCALE})
"""Faults that speak of energies, so they meet live-data posts only."""


class Rule(BaseModel):
    """One fault and the requests it meets. Every condition that is set must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    do: Fault
    path: SHORT | None = None
    """Part of the request's path."""

    asset: SHORT | None = None
    """uuid of the asset the request names."""

    slot: AwareDatetime | None = None
    """Start of the market slot in which the request arrives."""

    times: int | None = Field(default=None, ge=1)
    """How many requests it meets before it is spent; without it, all."""

    status: int = Field(default=503, ge=400, le=599)
    retry_after: SHORT | None = None
    """Seconds or an HTTP date, sent as it stands."""

    seconds: float = Field(default=0.2, ge=0, le=60)
    factor: float = Field(default=1000, ge=0, allow_inf_nan=False)


@dataclass(frozen=True, kw_only=True)
class Occasion:
    """What a rule is held against."""

    path: str
    asset: str | None
    slot: AwareDatetime
    carries_energy: bool


class Faults:
    """The rules in force. The first that fits a request meets it."""

    def __init__(self) -> None:
        self._rules: list[tuple[Rule, list[int]]] = []

    def replace(self, rules: Iterable[Rule]) -> None:
        """Put these rules in the place of the old ones."""
        self._rules = [(rule, [0]) for rule in rules]

    def meet(self, occasion: Occasion) -> Rule | None:
        """The rule that meets the request, counted as used; None where nothing goes wrong."""
        for rule, used in self._rules:
            if (rule.times is None or used[0] < rule.times) and _fits(rule, occasion):
                used[0] += 1
                return rule
        return None


def _fits(rule: Rule, occasion: Occasion) -> bool:
    return (
        (rule.path is None or rule.path in occasion.path)
        and (rule.asset is None or rule.asset == occasion.asset)
        and (rule.slot is None or rule.slot == occasion.slot)
        and (occasion.carries_energy or rule.do not in OF_VALUES)
    )
