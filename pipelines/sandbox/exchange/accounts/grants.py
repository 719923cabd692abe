"""What is a user's at the local exchange: assets they own or post for, markets they operate."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Connection, select

from pipelines.clock import Clock
from pipelines.errors import RejectedError
from pipelines.sandbox.exchange.ledger import Ledger, put
from pipelines.sandbox.exchange.tables import GRANT


class GrantState(StrEnum):
    """How far a connection has come."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A user's connection with an asset or a market."""

    username: str
    subject: str
    """uuid of the asset or market."""

    state: GrantState
    asked_at: datetime
    """Aware, UTC."""

    decided_by: str | None
    """User name; None while it is only requested."""


class Grants:
    """Keeps the connections in the ledger, and the approved ones at hand."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._approved: dict[str, frozenset[str]] = {}
        self.load()

    def load(self) -> None:
        """Take over what the ledger holds."""
        approved: dict[str, list[str]] = {}
        for grant in self.listed():
            if grant.state is GrantState.APPROVED:
                approved.setdefault(grant.username, []).append(grant.subject)
        self._approved = {username: frozenset(subjects) for username, subjects in approved.items()}

    def approved(self, username: str) -> frozenset[str]:
        """What is the user's, as uuids."""
        return self._approved.get(username, frozenset())

    def listed(self, *, username: str | None = None, subject: str | None = None) -> list[Grant]:
        """Connections by user and uuid; of one user or one asset where that is given."""
        query = select(GRANT).order_by(GRANT.c.username, GRANT.c.subject)
        if username is not None:
            query = query.where(GRANT.c.username == username)
        if subject is not None:
            query = query.where(GRANT.c.subject == subject)
        with self._ledger.reading() as connection:
            return [
                Grant(
                    username=row.username,
                    subject=row.subject,
                    state=GrantState(row.state),
                    asked_at=datetime.fromtimestamp(row.asked_s, UTC),
                    decided_by=row.decided_by,
                )
                for row in connection.execute(query)
            ]

    def ask(self, username: str, subject: str) -> Grant:
        """Ask for a connection. Asking again changes nothing, except that what was refused is asked anew.

        Raises:
            RejectedError: it is approved already.
        """
        for held in self.listed(username=username, subject=subject):
            if held.state is GrantState.APPROVED:
                raise RejectedError("This connection is approved already.")
            if held.state is GrantState.REQUESTED:
                return held
        grant = self._grant(username, subject, GrantState.REQUESTED, None)
        self._ledger.put(GRANT, [_row(grant)])
        return grant

    def decide(self, grant: Grant, *, approve: bool, by: str) -> Grant:
        """Approve or refuse a connection; one approved before ends by being refused."""
        state = GrantState.APPROVED if approve else GrantState.REFUSED
        decided = Grant(
            username=grant.username, subject=grant.subject, state=state, asked_at=grant.asked_at, decided_by=by
        )
        self._ledger.put(GRANT, [_row(decided)])
        others = self.approved(grant.username) - {grant.subject}
        self._approved[grant.username] = others | {grant.subject} if approve else others
        return decided

    def give(self, connection: Connection, username: str, subjects: Iterable[str], *, by: str) -> None:
        """Write approved connections within a transaction of the caller's, who loads afterwards."""
        rows = [_row(self._grant(username, subject, GrantState.APPROVED, by)) for subject in subjects]
        if rows:
            put(connection, GRANT, rows)

    def _grant(self, username: str, subject: str, state: GrantState, by: str | None) -> Grant:
        return Grant(username=username, subject=subject, state=state, asked_at=self._clock.now(), decided_by=by)


def _row(grant: Grant) -> dict[str, object]:
    return {
        "username": grant.username,
        "subject": grant.subject,
        "state": grant.state.value,
        "asked_s": grant.asked_at.timestamp(),
        "decided_by": grant.decided_by,
    }
