"""The tokens of the local exchange: JWTs that end by the sandbox's own clock.

The public clients tell the header (`Authorization: JWT <token>`). The server isn't public; the words it refuses with
are those of djangorestframework-simplejwt, whose key `access` it uses.
"""

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt

from pipelines.clock import Clock
from pipelines.errors import AuthenticationError
from pipelines.sandbox.exchange.ledger import Ledger

ALGORITHM = "HS256"

REMEMBERED = 10_000
"""Headers whose signature was checked and is not checked again: a check costs more than the post it guards. Ours."""

_SECRET = "token_secret"  # noqa: S105 - the name of the ledger's entry, not the secret


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says."""

    username: str
    stamp: str
    """Of the password it was given for."""

    ends_at: datetime


class Tokens:
    """Issues and reads tokens. The signing secret is the ledger's, so tokens outlive a restart with the same file."""

    def __init__(self, ledger: Ledger, clock: Clock, *, lifetime: timedelta) -> None:
        self._ledger = ledger
        self._clock = clock
        self._lifetime = lifetime
        self._read: OrderedDict[str, Claims] = OrderedDict()
        if (secret := ledger.meta(_SECRET)) is None:
            self._secret = self._new_secret()
        else:
            self._secret = bytes.fromhex(secret)

    def issue(self, username: str, stamp: str) -> str:
        """A new token; no two are the same."""
        ends_at = self._clock.now() + self._lifetime
        claims = {"username": username, "stamp": stamp, "exp": ends_at, "jti": uuid4().hex}
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)

    def read(self, authorization: str | None) -> Claims:
        """What the token in an `Authorization` header says.

        Raises:
            AuthenticationError: no token, a foreign one, or one that has ended.
        """
        claims = self._read.get(authorization or "") or self._decoded(authorization)
        if claims.ends_at <= self._clock.now():
            raise AuthenticationError("Token is expired")
        return claims

    def expire_all(self) -> None:
        """End every token issued so far."""
        self._secret = self._new_secret()
        self._read.clear()

    def _new_secret(self) -> bytes:
        secret = secrets.token_bytes(32)
        self._ledger.set_meta(_SECRET, secret.hex())
        return secret

    def _decoded(self, authorization: str | None) -> Claims:
        header = authorization or ""
        scheme, _, token = header.partition(" ")
        if scheme != "JWT" or not token:
            raise AuthenticationError("Authentication credentials were not provided.")
        try:
            # PyJWT would judge by the wall clock, which a driven sandbox doesn't live by.
            read = jwt.decode(token, self._secret, algorithms=[ALGORITHM], options={"verify_exp": False})
        except jwt.InvalidTokenError as error:
            raise AuthenticationError("Given token not valid for any token type") from error
        claims = Claims(read["username"], read["stamp"], datetime.fromtimestamp(read["exp"], UTC))
        self._read[header] = claims
        if len(self._read) > REMEMBERED:
            self._read.popitem(last=False)
        return claims
