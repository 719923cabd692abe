"""Errors, parted by what the caller can do about them.

    SlotfeedError
    ├── ConfigurationError    the community file or a secret is wrong: holds the list of issues
    ├── TransientError        try again: the other side may answer next time
    │   ├── ExchangeUnavailable
    │   │   └── ExchangeMoved   its answer sends elsewhere, where nothing is sent
    │   ├── SourceUnavailable
    │   └── IncompleteRun       a run did what it could: the next one picks up what failed
    ├── TerminalError         stop and tell someone: trying again changes nothing
    │   ├── AuthenticationError
    │   ├── RejectedError     the exchange refuses this asset or value
    │   ├── SourceError       a source answers, but not with what the file or the vendor's papers say
    │   ├── AccountStopped    a vendor account isn't asked any more until an instant: budget spent, login refused
    │   └── StoreError        slotfeed's own database can't be used
    └── ExpiredError          too late: the slot has begun

A message names the asset, the slot, the step and what was tried; never a secret.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    """How much an issue of the community file weighs."""

    FAULT = "fault"
    """Nothing runs until it is mended."""

    NOTICE = "notice"
    """True and worth knowing; runs go on."""


class Topic(StrEnum):
    """What an issue is about, where somebody goes by it; its words are for people."""

    ASSET_UNKNOWN = "asset unknown"
    """The exchange shows no such asset."""

    ASSET_TYPE = "asset type"
    """The exchange's asset takes no energy of this one's type."""

    ASSET_SWITCH = "asset switch"
    """The asset's live switch says otherwise at the exchange than in the file."""

    SWITCHES_UNTOLD = "switches untold"
    """The exchange didn't tell the live switches."""

    STREAM_ABSENT = "stream absent"
    """A source has no such device, or the device no such register."""


@dataclass(frozen=True, kw_only=True)
class Issue:
    """One finding about the community file or its surroundings."""

    where: str
    """The asset, source or section, as its reader calls it: `asset 'Flat 3'`."""

    field: str
    """The key in the file, dotted: `streams[0].unit`; empty for the whole."""

    problem: str
    """What is wrong."""

    remedy: str
    """What would be right."""

    severity: Severity = Severity.FAULT

    topic: Topic | None = None
    """None where nobody goes by it."""

    concerns: str = ""
    """Uuid of the asset, or id of the stream, that alone is concerned; empty: nobody in particular."""

    def __str__(self) -> str:
        place = f"{self.where}, {self.field}" if self.field else self.where
        return f"{place}: {self.problem}. {self.remedy}"


class SlotfeedError(Exception):
    """Whatever slotfeed raises knowingly."""


class ConfigurationError(SlotfeedError):
    """The community file or the secrets it needs are wrong.

    Attributes:
        issues: every fault found, not only the first.
    """

    def __init__(self, issues: Iterable[Issue]) -> None:
        self.issues = tuple(issues)
        # Kept as the one argument, so that the error survives being pickled between processes.
        super().__init__(self.issues)

    def __str__(self) -> str:
        return "\n".join(str(issue) for issue in self.issues)


class TransientError(SlotfeedError):
    """A later try may succeed."""


class ExchangeUnavailable(TransientError):
    """The exchange didn't answer, or said that it can't now.

    Attributes:
        retry_after_s: seconds the exchange asked to wait; None where it named none.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ExchangeMoved(ExchangeUnavailable):
    """What was asked is said to be elsewhere: the exchange has moved, or something before it sends away.

    It says nothing of what was sent, so that goes out again once somebody has mended the address or the proxy.

    Attributes:
        for_good: the next try would end the same: by the answer's own word, or because it asks for https.
    """

    def __init__(self, message: str, *, for_good: bool) -> None:
        super().__init__(message)
        self.for_good = for_good


class SourceUnavailable(TransientError):
    """A source of readings can't be reached, or says that it can't answer now.

    Attributes:
        retry_after_s: seconds it asked to wait; None where it named none.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TerminalError(SlotfeedError):
    """Trying again changes nothing; a person must act."""


class AuthenticationError(TerminalError):
    """Name or password was refused."""


class RejectedError(TerminalError):
    """The exchange refuses this asset, value or request."""


class SourceError(TerminalError):
    """A source answers, but not with what the community file or the vendor's papers say."""


class AccountStopped(TerminalError):
    """A vendor account isn't asked any more for a while: trying on would burn requests or lock it.

    Attributes:
        until: when it may be asked again, aware; None: when a person has acted.
    """

    def __init__(self, message: str, *, until: datetime | None) -> None:
        super().__init__(message)
        self.until = until


class StoreError(TerminalError):
    """slotfeed's own database can't be used."""


class ExpiredError(SlotfeedError):
    """The slot has begun: what should have reached it can't any more."""


class IncompleteRun(TransientError):
    """The run did what it could, but a part of it failed; the next run picks that up."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Take what failed, in words."""
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
