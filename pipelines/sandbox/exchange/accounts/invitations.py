"""How users come to the local exchange: somebody who manages it invites them, and they choose a password."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from sqlalchemy import delete, select

from pipelines.clock import Clock
from pipelines.errors import RejectedError
from pipelines.sandbox.exchange.accounts.passwords import hashed_aside
from pipelines.sandbox.exchange.accounts.people import People, Role
from pipelines.sandbox.exchange.ledger import Ledger, put
from pipelines.sandbox.exchange.tables import INVITATION, USER

LIFETIME = timedelta(days=7)
"""Of a code, by the sandbox's clock; ours."""

INVALID = "This invitation doesn't exist, has ended or was used."


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """An offer to become a user."""

    username: str
    role: Role
    subjects: tuple[str, ...]
    """uuids of assets or markets that are theirs from the first login on."""

    ends_at: datetime
    """Aware, UTC."""


class Invitations:
    """Keeps the invitations in the ledger: of each code only the hash, so the file opens no door."""

    def __init__(self, ledger: Ledger, clock: Clock, people: People) -> None:
        self._ledger = ledger
        self._clock = clock
        self._people = people

    def make(self, username: str, role: Role, subjects: Iterable[str]) -> tuple[str, Invitation]:
        """A code, told this once, and what it is good for. An earlier one for the same name ends.

        Raises:
            RejectedError: there is a user of this name.
        """
        if self._people.find(username) is not None:
            raise RejectedError("There is a user of this name already.")
        code, ends_at = secrets.token_urlsafe(32), self._clock.now() + LIFETIME
        made = Invitation(username=username, role=role, subjects=tuple(dict.fromkeys(subjects)), ends_at=ends_at)
        row = {
            "code_hash": _hash(code),
            "username": username,
            "role": role.value,
            "subjects": "\n".join(made.subjects),
            "ends_s": ends_at.timestamp(),
        }
        with self._ledger.writing() as connection:
            connection.execute(delete(INVITATION).where(INVITATION.c.username == username))
            put(connection, INVITATION, [row])
        return code, made

    def find(self, code: str) -> Invitation | None:
        """What the code is good for; None: for nothing."""
        with self._ledger.reading() as connection:
            row = connection.execute(select(INVITATION).where(INVITATION.c.code_hash == _hash(code))).one_or_none()
        if row is None or row.ends_s <= self._clock.now().timestamp():
            return None
        return Invitation(
            username=row.username,
            role=Role(row.role),
            subjects=tuple(row.subjects.splitlines()),
            ends_at=datetime.fromtimestamp(row.ends_s, UTC),
        )

    async def accept(self, code: str, password: str) -> Invitation:
        """Make the user who holds the code; the code is used up.

        Raises:
            RejectedError: the code is good for nothing.
        """
        if self.find(code) is None:
            raise RejectedError(INVALID)
        password_hash = await hashed_aside(password)
        # Looked up again: the hashing takes long enough for the code to be used or to end.
        if (found := self.find(code)) is None:
            raise RejectedError(INVALID)
        user = {"username": found.username, "password_hash": password_hash, "role": found.role.value}
        with self._ledger.writing() as connection:
            connection.execute(delete(INVITATION).where(INVITATION.c.code_hash == _hash(code)))
            put(connection, USER, [user])
            self._people.grants.give(connection, found.username, found.subjects, by="invitation")
        self._people.load()
        return found


def _hash(code: str) -> str:
    # The code is 256 random bits, so a plain hash can't be guessed back.
    return sha256(code.encode("utf-8", "surrogatepass")).hexdigest()
