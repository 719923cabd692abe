"""The audit log: who did, or tried, what at the local exchange."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from fastapi import HTTPException
from sqlalchemy import delete, insert, select

from pipelines.clock import Clock
from pipelines.sandbox.exchange.accounts.people import Visitor
from pipelines.sandbox.exchange.ledger import Ledger
from pipelines.sandbox.exchange.tables import AUDIT

KEPT = 100_000
"""Lines kept, the newest; ours."""

REPEAT = timedelta(minutes=1)
"""What one user is forbidden again within it makes no second line, so that a client in a loop can't push every other
line out; ours."""

REMEMBERED = 1000
"""Refusals remembered to see that they repeat; ours."""

LONGEST_TEXT = 200
"""Characters of a user name, action or subject in a line; ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that was done or tried."""

    id: int
    """Rises by one a line."""

    at: datetime
    """By the sandbox's clock, aware, UTC."""

    username: str
    action: str
    subject: str
    """What it was done to: a uuid or a user name; empty where there is none."""

    outcome: str


class Audit:
    """Writes the lines into the ledger, the newest `KEPT` of them. Callers hand in no secret."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._forbidden: OrderedDict[tuple[str, str, str], datetime] = OrderedDict()

    def note(self, username: str, action: str, subject: str, outcome: str) -> None:
        """Write a line."""
        line = {
            "at_s": self._clock.now().timestamp(),
            "username": _plain(username),
            "action": _plain(action),
            "subject": _plain(subject),
            "outcome": outcome,
        }
        with self._ledger.writing() as connection:
            newest: int = connection.execute(insert(AUDIT).values(line).returning(AUDIT.c.id)).scalar_one()
            connection.execute(delete(AUDIT).where(AUDIT.c.id <= newest - KEPT))

    def forbid(self, visitor: Visitor, action: str, subject: str) -> NoReturn:
        """Refuse what isn't the visitor's to do, and write it down.

        Raises:
            HTTPException: always: 403, in the words of Django REST framework.
        """
        now, tried = self._clock.now(), (visitor.username, action, subject)
        if (last := self._forbidden.get(tried)) is None or now - last >= REPEAT:
            self._forbidden[tried] = now
            self._forbidden.move_to_end(tried)
            if len(self._forbidden) > REMEMBERED:
                self._forbidden.popitem(last=False)
            self.note(visitor.username, action, subject, "forbidden")
        raise HTTPException(403, "You do not have permission to perform this action.")

    def lines(self, *, limit: int, before: int | None = None) -> list[Line]:
        """The newest lines, newest first.

        Args:
            limit: how many at most.
            before: only lines whose id is lower, to page on.
        """
        query = select(AUDIT).order_by(AUDIT.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(AUDIT.c.id < before)
        with self._ledger.reading() as connection:
            return [
                Line(
                    id=row.id,
                    at=datetime.fromtimestamp(row.at_s, UTC),
                    username=row.username,
                    action=row.action,
                    subject=row.subject,
                    outcome=row.outcome,
                )
                for row in connection.execute(query)
            ]


def _plain(text: str) -> str:
    # A path or body may hold lone surrogates, which SQLite can't store.
    return text[:LONGEST_TEXT].encode("utf-8", "backslashreplace").decode()
