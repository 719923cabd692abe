"""Who may speak to the sandbox's exchange: one user, and tokens that end by the sandbox's own clock.

The public clients tell the request, the keys of the answer and the header (`Authorization: JWT <token>`). The
server isn't public; the words it refuses with are those of djangorestframework-simplejwt, whose key `access` it uses.
"""

import hmac
import secrets
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt

from pipelines.clock import Clock
from pipelines.errors import AuthenticationError

ALGORITHM = "HS256"


class Accounts:
    """Checks the password, issues tokens and checks them. The signing secret lives as long as the process."""

    def __init__(self, *, username: str, password: str, lifetime: timedelta, clock: Clock) -> None:
        self._username = username
        self._password = password
        self._lifetime = lifetime
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._seen: dict[str, datetime] = {}
        """Tokens whose signature has been checked, and when they end: a check costs more than the post it guards."""

    def login(self, username: object, password: object) -> str:
        """A new token for the right user name and password.

        Raises:
            AuthenticationError: either is wrong or no text.
        """
        # Both are compared, and in constant time: the answer's delay tells nothing about either.
        known = _same(username, self._username)
        if not (_same(password, self._password) and known):
            raise AuthenticationError("No active account found with the given credentials")
        ends_at = self._clock.now() + self._lifetime
        claims = {"username": self._username, "exp": ends_at, "jti": uuid4().hex}
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)

    def check(self, authorization: str | None) -> None:
        """Let the holder of a valid `Authorization` header pass.

        Raises:
            AuthenticationError: no token, a foreign one, or one that has ended.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme != "JWT" or not token:
            raise AuthenticationError("Authentication credentials were not provided.")
        if self._ends_at(token) <= self._clock.now():
            raise AuthenticationError("Token is expired")

    def expire_all(self) -> None:
        """End every token issued so far."""
        self._secret = secrets.token_bytes(32)
        self._seen.clear()

    def _ends_at(self, token: str) -> datetime:
        if (ends_at := self._seen.get(token)) is not None:
            return ends_at
        try:
            # PyJWT would judge by the wall clock, which a driven sandbox doesn't live by.
            claims = jwt.decode(token, self._secret, algorithms=[ALGORITHM], options={"verify_exp": False})
        except jwt.InvalidTokenError as error:
            raise AuthenticationError("Given token not valid for any token type") from error
        ends_at = datetime.fromtimestamp(claims["exp"], UTC)
        self._seen[token] = ends_at
        return ends_at


def _same(given: object, right: str) -> bool:
    # A body may hold lone surrogates, which plain UTF-8 can't.
    text = given if isinstance(given, str) else ""
    return hmac.compare_digest(text.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))
