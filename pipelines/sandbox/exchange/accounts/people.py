"""Who may do what at the local exchange."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256

from sqlalchemy import Row, delete, select

from pipelines.clock import Clock
from pipelines.errors import AuthenticationError, RejectedError
from pipelines.sandbox.exchange.accounts.grants import Grants
from pipelines.sandbox.exchange.accounts.passwords import fits, fits_aside, hashed, hashed_aside
from pipelines.sandbox.exchange.accounts.throttle import Throttle
from pipelines.sandbox.exchange.accounts.tokens import Tokens
from pipelines.sandbox.exchange.ledger import Ledger
from pipelines.sandbox.exchange.tables import AGGREGATOR, GRANT, INVITATION, USER

NO_ACCOUNT = "No active account found with the given credentials"
"""One answer for a wrong name and a wrong password, in the words of djangorestframework-simplejwt."""

CHANGE = "changes the password"
"""Under which a wrong old password is counted; a space is in no user name."""


class Role(StrEnum):
    """Roles of the Canary Test Network."""

    ADMIN = "admin"
    """Runs the exchange: everything."""

    OWNER = "owner"
    """Runs the community (CTN owner, LEM manager): sees and posts for every asset, invites, approves, switches."""

    USER = "user"
    """Owns assets (GSy user): sees what is theirs, asks for its live connection."""

    AGGREGATOR = "aggregator"
    """Posts for the assets whose connection was approved."""

    GRID_OPERATOR = "grid_operator"
    """Reads the statistics and sets the fees of the markets it was given; nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Whoever holds a valid token, and what is theirs."""

    username: str
    role: Role
    subjects: frozenset[str] = field(default=frozenset())
    """uuids of the assets or markets that were approved for them."""

    @property
    def manages(self) -> bool:
        """Runs the exchange or the community."""
        return self.role in {Role.ADMIN, Role.OWNER}

    def may_post(self, asset: str) -> bool:
        """For the asset's energies and trading."""
        return self.manages or (self.role is Role.AGGREGATOR and asset in self.subjects)

    def may_see(self, asset: str) -> bool:
        """The asset's energies."""
        return self.manages or (self.role in {Role.AGGREGATOR, Role.USER} and asset in self.subjects)

    def may_operate(self, market: str) -> bool:
        """The market's fees and statistics."""
        return self.manages or (self.role is Role.GRID_OPERATOR and market in self.subjects)


@dataclass(frozen=True, slots=True)
class _User:
    username: str
    password_hash: str
    role: Role
    stamp: str
    """Changes with the password; a token names the one it was given for."""


class People:
    """The users: their passwords, tokens, roles and what is theirs.

    Used from the event loop's thread alone; only the hashing of passwords leaves it.
    """

    def __init__(self, ledger: Ledger, *, clock: Clock, admin: tuple[str, str], token_lifetime: timedelta) -> None:
        """Take over the ledger's users.

        Args:
            ledger: keeps users, connections and the secret that signs tokens.
            clock: tokens and failures end by it.
            admin: user name and password of an administrator. They count from now on, whatever the ledger held of
                that user, so that who starts the exchange always gets in. The password may be short.
            token_lifetime: of the tokens.
        """
        self._ledger = ledger
        self.grants = Grants(ledger, clock)
        self._tokens = Tokens(ledger, clock, lifetime=token_lifetime)
        self._throttle = Throttle(clock)
        # One after the other: guesses sent side by side would slip past the count, and each takes a core and 19 MiB.
        self._checking = asyncio.Lock()
        self._users: dict[str, _User] = {}
        self.load()
        self._decoy = self._settle(*admin).password_hash

    def load(self) -> None:
        """Take over what the ledger holds."""
        with self._ledger.reading() as connection:
            users = [_user(row) for row in connection.execute(select(USER).order_by(USER.c.username))]
        self._users = {user.username: user for user in users}
        self.grants.load()

    async def login(self, username: object, password: object) -> str:
        """A new token for the right user name and password.

        Raises:
            AuthenticationError: either is wrong or no text.
            HTTPException: 429 after too many failures, whether the user exists or not.
        """
        name = username if isinstance(username, str) else ""
        user = await self._proven(name, password, counted_as=name)
        return self._tokens.issue(user.username, user.stamp)

    def admit(self, authorization: str | None) -> Visitor:
        """Whoever sends this `Authorization` header, with what is theirs at this moment.

        Raises:
            AuthenticationError: no token, a foreign one, one that has ended, or one of a user who is gone or has
                another password since.
        """
        claims = self._tokens.read(authorization)
        if (user := self._users.get(claims.username)) is None:
            raise AuthenticationError("User not found")
        if user.stamp != claims.stamp:
            raise AuthenticationError("The user's password has been changed.")
        return self._visitor(user)

    def expire_all(self) -> None:
        """End every token issued so far."""
        self._tokens.expire_all()

    def all(self) -> list[Visitor]:
        """Every user, by name."""
        return [self._visitor(self._users[username]) for username in sorted(self._users)]

    def find(self, username: str) -> Visitor | None:
        """The user of this name."""
        user = self._users.get(username)
        return None if user is None else self._visitor(user)

    def change_role(self, username: str, role: Role) -> None:
        """Give a user another role. What was theirs by the old one ends: it was approved for another purpose.

        Raises:
            RejectedError: it is the last administrator.
        """
        user = self._users[username]
        if user.role is role:
            return
        self._spare_last_admin(user)
        with self._ledger.writing() as connection:
            connection.execute(delete(GRANT).where(GRANT.c.username == username))
            connection.execute(USER.update().where(USER.c.username == username).values(role=role.value))
        self.load()

    def remove(self, username: str) -> None:
        """End a user, their tokens and their connections. What they have posted stays.

        Raises:
            RejectedError: it is the last administrator, or aggregators are theirs, which the next user of the name
                would inherit.
        """
        self._spare_last_admin(self._users[username])
        with self._ledger.writing() as connection:
            owned = select(AGGREGATOR.c.uuid).where(AGGREGATOR.c.username == username).limit(1)
            if connection.execute(owned).first() is not None:
                raise RejectedError("This user has aggregators: delete them first.")
            for table in (GRANT, INVITATION, USER):
                connection.execute(delete(table).where(table.c.username == username))
        self.load()

    async def change_password(self, username: str, old: str, new: str) -> None:
        """Give a user another password; every token of theirs ends.

        Raises:
            AuthenticationError: the old one is wrong.
            HTTPException: 429 after too many failures. They are counted apart from the logins, so that a stolen token
                can't be used to lock the user out.
        """
        user = await self._proven(username, old, counted_as=f"{username} {CHANGE}")
        password_hash = await hashed_aside(new)
        if self._users.get(username) != user:
            raise AuthenticationError(NO_ACCOUNT)
        self._keep(username, password_hash, user.role)

    async def _proven(self, username: str, password: object, *, counted_as: str) -> _User:
        async with self._checking:
            self._throttle.check(counted_as)
            user = self._users.get(username)
            # An unknown name costs the same time, so that the answer's delay tells nothing about it.
            right = await fits_aside(
                user.password_hash if user else self._decoy, password if isinstance(password, str) else ""
            )
            if user is None or not right or not isinstance(password, str):
                self._throttle.failed(counted_as)
                raise AuthenticationError(NO_ACCOUNT)
            self._throttle.succeeded(counted_as)
        return user

    def _settle(self, username: str, password: str) -> _User:
        held = self._users.get(username)
        if held is not None and held.role is Role.ADMIN and fits(held.password_hash, password):
            return held
        return self._keep(username, hashed(password), Role.ADMIN)

    def _keep(self, username: str, password_hash: str, role: Role) -> _User:
        row = {"username": username, "password_hash": password_hash, "role": role.value}
        self._ledger.put(USER, [row])
        self.load()
        return self._users[username]

    def _spare_last_admin(self, user: _User) -> None:
        admins = [one for one in self._users.values() if one.role is Role.ADMIN]
        if admins == [user]:
            raise RejectedError("This is the last administrator: make another one first.")

    def _visitor(self, user: _User) -> Visitor:
        return Visitor(username=user.username, role=user.role, subjects=self.grants.approved(user.username))


def _user(row: Row[tuple[str, str, str]]) -> _User:
    stamp = sha256(row.password_hash.encode("ascii")).hexdigest()[:16]
    return _User(row.username, row.password_hash, Role(row.role), stamp)
