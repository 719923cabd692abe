"""The crash matrix's two sides: where a run is killed, and when others are started after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tests.flows.places import SLOT

LEASE_HOLDS, LEASE_LAPSED = timedelta(minutes=1), timedelta(minutes=6, seconds=30)


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point at which a run is killed; its name is that of `crashes.POINTS`."""

    name: str
    what: str
    """The moment, in words."""

    command: str = "feed"
    faults: Sequence[Mapping[str, Any]] = ()
    """Of the exchange, while the run lives."""

    former: bool = False
    """The database has the schema before the newest, and the kill must leave it so."""


@dataclass(frozen=True, kw_only=True)
class Restart:
    """When runs are started again after the kill."""

    name: str
    after: Sequence[timedelta]
    """The second only where a lease held up the first."""

    workers: int = 1


POINTS = (
    Point(name="fetched", what="readings fetched, not stored"),
    Point(name="storing", what="in the transaction of readings and cursors, before its commit"),
    Point(name="judging", what="readings stored; in the transaction of their verdicts, before its commit"),
    Point(name="converting", what="in the transaction of slots and outbox, before its commit"),
    Point(name="planned", what="outbox committed, before connecting"),
    Point(name="connecting", what="the login has been answered, the answer not read"),
    Point(name="leased", what="the lease is committed, nothing sent"),
    Point(name="mid-body", what="half of a post's body is on the wire"),
    Point(name="applied", what="a post has been applied and answered, the answer not read"),
    Point(name="answered", what="one lot of answers marked; the next lot read, not marked"),
    Point(
        name="renewing",
        what="the token was refused in mid-delivery; the new login has been answered, the answer not read",
        faults=({"do": "expire_tokens", "path": "energy", "after": 5, "times": 1},),
    ),
    Point(name="reconciling", what="in the transaction of a reconciliation, before its commit", command="reconcile"),
    Point(name="migrating", what="new schema made, before its revision is written and committed", former=True),
)

RESTARTS = (
    Restart(name="same slot", after=(LEASE_HOLDS, LEASE_LAPSED)),
    Restart(name="next slot", after=(SLOT,)),
    Restart(name="six hours later", after=(timedelta(hours=6),)),
    Restart(name="two workers", after=(LEASE_LAPSED,), workers=2),
)
