"""Faults the sandbox commits on demand, so that a client can be seen to survive them."""

import random
import shlex
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pipelines.errors import ConfigurationError, Issue
from pipelines.sandbox.controls import SHORT


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

    REPLACE = "replace"
    """Answered 200 with `body`, said to be JSON whether it is or not; not applied."""

    REDIRECT = "redirect"
    """Answered 307: the same path at `location`; not applied."""

    DELAY = "delay"
    """Handled `seconds` later."""

    RESET = "reset"
    """The connection is torn down before anything happens."""

    LOSE_REPLY = "lose_reply"
    """Handled, then the connection is closed without an answer."""

    TRUNCATE = "truncate"
    """Handled, then answered with half a body whose Content-Length is whole, and the connection is closed."""

    DRIP = "drip"
    """Handled, then answered byte by byte, each `seconds` after the one before."""

    EXPIRE_TOKENS = "expire_tokens"
    """All tokens issued so far end; then the request is handled."""

    LATE_TICK = "late_tick"
    """The engine's market cycle comes `seconds` late. It meets cycles, no requests; `slot` is the one that begins."""


OF_VALUES = frozenset({Fault.DROP, Fault.SCALE})
"""Faults that speak of energies, so they meet live-data posts and batches only."""


class Rule(BaseModel):
    """One fault and the requests it meets. Every condition that is set must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    do: Fault
    path: SHORT | None = None
    """Part of the request's path."""

    asset: Annotated[str, Field(max_length=200)] | None = None
    """uuid or name of the asset the request names."""

    slot: AwareDatetime | None = None
    """Start of the market slot in which the request arrives."""

    after: int = Field(default=0, ge=0)
    """How many requests it would meet are spared first."""

    probability: float = Field(default=1, ge=0, le=1)
    """Share of the others that it meets, thrown by a die that `seed` sets: the same requests in every run."""

    seed: int = 0
    times: int | None = Field(default=None, ge=1)
    """How many requests it meets before it is spent; without it, all."""

    status: int = Field(default=503, ge=400, le=599)
    retry_after: SHORT | None = None
    """Sent as it stands, whatever it says, but for `date+N`: an HTTP date N seconds from the sandbox's now."""

    seconds: float = Field(default=0.2, ge=0, le=60)
    body: str = "{}"
    """Of `replace`: any text."""

    location: SHORT = ""
    """Of `redirect`: scheme, host and port, to which the request's path is added."""

    factor: float = Field(default=1000, ge=0, allow_inf_nan=False)

    def speaks_of(self, *names: str) -> bool:
        """Whether it may meet the asset with this uuid or name; of a batch it meets that asset's commands alone."""
        return self.asset is None or self.asset in names

    @property
    def scale(self) -> float:
        """What every energy is multiplied with as it is applied."""
        return self.factor if self.do is Fault.SCALE else 1.0

    @property
    def drops(self) -> bool:
        """Whether a command is answered and thrown away."""
        return self.do is Fault.DROP


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What a rule is held against."""

    path: str
    assets: Collection[str]
    """uuid and name of each asset the request names; empty where it names none."""

    slot: datetime
    carries_energy: bool


@dataclass(slots=True)
class _State:
    """How often a rule has been asked."""

    dice: random.Random
    fitted: int = 0
    met: int = 0


@dataclass
class Faults:
    """The rules in force. The first that fits a request meets it."""

    _rules: list[tuple[Rule, _State]] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._rules)

    def replace(self, rules: Iterable[Rule]) -> None:
        """Put these rules in the place of the old ones."""
        # No secret is made of the die.
        self._rules = [(rule, _State(random.Random(rule.seed))) for rule in rules]  # noqa: S311

    def meet(self, occasion: Occasion) -> Rule | None:
        """The rule that meets the request, counted as used; None where nothing goes wrong."""
        for rule, state in self._rules:
            if rule.do is not Fault.LATE_TICK and _fits(rule, occasion) and _strikes(rule, state):
                return rule
        return None

    def lateness(self, slot: datetime) -> timedelta:
        """How late the market cycle is that begins the slot; to be asked once a cycle, for it is counted."""
        for rule, state in self._rules:
            if rule.do is Fault.LATE_TICK and rule.slot in {None, slot} and _strikes(rule, state):
                return timedelta(seconds=rule.seconds)
        return timedelta(0)


def read_rule(text: str) -> Rule:
    """A rule as it is written on the command line: `do=status status=429 retry_after=3 probability=0.05`.

    Raises:
        ConfigurationError: lists every fault of it.
    """
    remedy = "Write it like do=status status=429 path=set-energy times=3; quote what holds a blank"

    def issue(problem: str) -> Issue:
        return Issue(where="command line", field="--fault", problem=f"{text!r}: {problem}", remedy=remedy)

    try:
        words = [word.partition("=") for word in shlex.split(text)]
        return Rule.model_validate({key: value for key, _, value in words})
    except ValidationError as error:
        found = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise ConfigurationError(issue(problem) for problem in found) from error
    except ValueError as error:
        raise ConfigurationError([issue(str(error))]) from error


def _fits(rule: Rule, occasion: Occasion) -> bool:
    return (
        (rule.path is None or rule.path in occasion.path)
        and rule.speaks_of(*occasion.assets)
        and (rule.slot is None or rule.slot == occasion.slot)
        and (occasion.carries_energy or rule.do not in OF_VALUES)
    )


def _strikes(rule: Rule, state: _State) -> bool:
    """Count an occasion that fits, and whether the rule meets it."""
    if rule.times is not None and state.met >= rule.times:
        return False
    state.fitted += 1
    if state.fitted <= rule.after or (rule.probability < 1 and state.dice.random() >= rule.probability):
        return False
    state.met += 1
    return True
