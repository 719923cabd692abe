"""The token: one login a run, renewed before it expires and once when it is refused, for all workers together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import jwt

from pipelines.clock import Clock
from pipelines.errors import AuthenticationError

RENEW_BEFORE = timedelta(minutes=5)
"""A token is renewed when it has this long to live, or a tenth of its life if that is less."""

ASSUMED_LIFE = timedelta(hours=12)
"""Of a token that doesn't tell: GSy's own client logs in anew after a quarter of 48 hours."""


REMEMBERED = 8
"""Tokens that are known again where the exchange sends them back (ours)."""


class TokenKeeper:
    """Holds the token, in memory alone, and renews it under one lock."""

    def __init__(self, login: Callable[[], Awaitable[str]]) -> None:
        """Take the function that logs in and returns a token."""
        self._login = login
        self._lock = asyncio.Lock()
        self._token = ""
        self.issued: deque[str] = deque(maxlen=REMEMBERED)
        """The newest tokens, the present one among them: no message may hold one."""

        self._renew_at = datetime.min.replace(tzinfo=UTC)
        self._refused = ""

    async def get(self, clock: Clock) -> str:
        """A token that is good for a while by `clock`, the exchange's."""
        async with self._lock:
            if clock.now() >= self._renew_at:
                await self._renew(clock)
            return self._token

    async def replace(self, refused: str, clock: Clock) -> str:
        """A token other than the refused one: the first worker to ask logs in, the others get its result."""
        async with self._lock:
            if self._token == refused:
                await self._renew(clock)
            return self._token

    async def _renew(self, clock: Clock) -> None:
        # Workers that wait for the lock don't each try a password that was refused: that would lock the account.
        if self._refused:
            raise AuthenticationError(self._refused)
        try:
            self._token = await self._login()
        except AuthenticationError as refused:
            self._refused = str(refused)
            raise
        self.issued.append(self._token)
        now = clock.now()
        life = _expiry(self._token, now) - now
        self._renew_at = now + life - min(RENEW_BEFORE, life / 10)


def _expiry(token: str, now: datetime) -> datetime:
    """When the token says it expires. Its signature is the exchange's business."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False, "verify_exp": False})
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (jwt.InvalidTokenError, KeyError, TypeError, ValueError, OverflowError):
        return now + ASSUMED_LIFE
