"""What a vendor file declares, and what it is given.

A vendor is one module in `pipelines.collect.vendors` with a constant `VENDOR`; `pipelines.collect.catalogue` finds it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from pipelines.collect.cloud.budget import Limit
from pipelines.collect.cloud.http import CloudHttp
from pipelines.collect.source import Answer, Channel, Device
from pipelines.community import Cloud
from pipelines.daylight import Place


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What a session is asked for."""

    channels: Mapping[str, frozenset[str]]
    """Device -> registers."""

    start: datetime
    end: datetime
    """Readings at instants in [start, end], spans that lie in it; at most the vendor's `longest_window` apart."""

    newest: bool = False
    """It is a live run's last window: what is the case now belongs to it."""

    quiet: bool = False
    """The account's budget is being spread and it isn't time yet: tell what is known without a request."""


class Session(Protocol):
    """An account, open for a run."""

    def devices(self) -> list[Device]:
        """What the account can read."""

    def read(self, ask: Ask) -> Answer:
        """The rows of a window."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a session works with."""

    name: str
    """Of the source in the community file; it stands for the account."""

    settings: Cloud
    secret: SecretStr
    http: CloudHttp
    place: Place | None
    """None: not known, so the sun may be up at any time."""

    tokens: Path
    """Folder for tokens that the vendor renews, readable by its owner alone."""

    now: Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """What slotfeed knows of a vendor's interface."""

    title: str
    """As people know it."""

    secret: str
    """What the account's secret is: `the API key`."""

    open: Callable[[Account], Session]
    """Opens an account; no request is made before the first question."""

    channels: Mapping[str, Channel]
    """By register."""

    longest_window: timedelta
    """What one request may span."""

    step: timedelta
    """Between two readings, as they are asked for."""

    overlap: timedelta
    """How far back a live run reads again; default of the source's `overlap`."""

    settle: timedelta = timedelta(0)
    """Default of the source's `settle`."""

    memory: timedelta = timedelta(days=31)
    """How far back the vendor fills in what a gateway sends late."""

    url: str | None = None
    """The vendor's address; None: there is none for all, so the source's `url` must be given."""

    needs: tuple[str, ...] = ()
    """Fields of `Cloud` without which an account can't be opened."""

    takes: tuple[str, ...] = ()
    """Fields of `Cloud` that are of use, beside those needed and those that every account has."""

    limits: tuple[Limit, ...] = ()
    """How often an account may be asked. One per month makes polling spread over it."""

    by_day: frozenset[str] = frozenset()
    """Registers that count by daylight only: an account that is read for these alone isn't polled in the dark."""

    authorise: Callable[[Account, Callable[[str], str]], str] | None = None
    """Lets the account's owner admit slotfeed by OAuth 2: is given a function that shows an address and returns the
    code that the owner was shown there; returns what to tell at the end."""
