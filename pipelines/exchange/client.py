"""The HTTP client: one login, bounded retries, the exchange's own clocks.

Deadlines are the exchange's, so they are held against the time its answers tell (header Date) and its market's lead
over that, not against this machine's clock. That also lets a driven clock in the sandbox replay a day in seconds.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

import httpx
from pydantic import SecretStr
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from pipelines.clock import Clock, RunningClock
from pipelines.errors import AuthenticationError, ExchangeMoved, ExchangeUnavailable, ExpiredError, RejectedError
from pipelines.exchange.answers import json_of
from pipelines.exchange.direct import DirectHttp
from pipelines.exchange.market_clock import MarketClock
from pipelines.exchange.protocols import Request
from pipelines.exchange.tokens import TokenKeeper
from pipelines.exchange.transport import ExchangeTransport
from pipelines.headers import server_time
from pipelines.hidden import hide

TIMEOUT = httpx.Timeout(connect=10, read=30, write=10, pool=60)
REQUEST_S = 45.0
"""A whole request, however slowly its answer drips: httpx's own timeouts count between bytes."""

ATTEMPTS = 5
ALL_ATTEMPTS_S = 240.0
"""No try of a post begins later than this after the first, so that all of it is over within the outbox's lease."""

LONGEST_WAIT_S = 20.0
PATIENCE_S = 60.0
"""A Retry-After longer than this isn't waited for inside a run: the next run tries again."""

TOKENS = 3
"""Tokens that a request is tried with (ours): what ended one may end the next while the request is on its way, as where
somebody else logs in with the same name."""

ASK_TIME_S = 3.0
"""For an answer that is wanted for its time alone (ours)."""

SAME_TIME = timedelta(seconds=2)
"""A time told this near to the running clock is the same (ours): Date has whole seconds and was a while on its way."""

T = TypeVar("T")
_backoff = wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT_S)


def _asked_wait_s(state: RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome else None
    return error.retry_after_s if isinstance(error, ExchangeUnavailable) else None


def _wait(state: RetryCallState) -> float:
    asked = _asked_wait_s(state)
    # Never sooner than asked, and not all workers at the same moment.
    return _backoff(state) if asked is None else asked + _backoff(state) / 4


def _impatient(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    return (_asked_wait_s(state) or 0.0) > PATIENCE_S or (isinstance(error, ExchangeMoved) and error.for_good)


@dataclass
class ExchangeClient:
    """Speaks to one exchange; made by `open_exchange`."""

    http: DirectHttp
    username: SecretStr
    password: SecretStr
    http_clock: Clock
    """The exchange's as its HTTP answers tell it, once it has answered: of tokens and Retry-After."""

    lead: timedelta = timedelta(0)
    """How far the exchange's market is ahead of `http_clock`."""

    allow_http: Collection[str] = ()
    """Hosts that may be spoken to in clear: of its websockets."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    tokens: TokenKeeper = field(init=False)

    def __post_init__(self) -> None:
        """Tie the token keeper to this client's login."""
        self.tokens = TokenKeeper(self._login)

    @property
    def clock(self) -> Clock:
        """The exchange's market's: of windows and deadlines."""
        return MarketClock(http=self.http_clock, lead=self.lead)

    def hide(self, text: str) -> str:
        """The exchange's words without the password and the tokens it was sent, which it may send back."""
        return hide(text, (self.password.get_secret_value(), *self.tokens.issued))

    async def connect(self) -> None:
        """Log in and take the exchange's time.

        Raises:
            AuthenticationError: name or password refused.
            ExchangeUnavailable: no answer after all tries.
        """
        await self._retrying(lambda: self.tokens.get(self.http_clock), closes_at=None)

    async def post(self, request: Request, *, step: str, closes_at: datetime | None) -> object:
        """Send one request until it is answered, its time is over, or tries run out.

        Args:
            request: path and body.
            step: for messages.
            closes_at: never sent at or after this instant (the time of the exchange's market).

        Returns:
            The answer's JSON. It says that the value is queued, not that it will be used.

        Raises:
            ExpiredError: too late to send.
            ExchangeUnavailable: all tries failed.
            RejectedError: refused for good.
            AuthenticationError: login refused.
        """

        async def once() -> object:
            if closes_at is not None and self.clock.now() >= closes_at:
                raise ExpiredError(f"{step}: too late, its time was over at {closes_at:%Y-%m-%d %H:%M:%S} UTC")
            return await self._ask("POST", request.path, step=step, content=request.body)

        return await self._retrying(once, closes_at=closes_at)

    async def get(self, path: str, *, step: str) -> object:
        """Read a resource; errors as for `post`."""
        return await self._retrying(lambda: self._ask("GET", path, step=step), closes_at=None)

    async def ask_time(self) -> None:
        """Set `http_clock` right where it and the exchange have parted; no answer, or none with a Date: it runs on.

        Asked without token and off the paths that cost something: whatever the answer is, it carries a Date.
        """
        try:
            async with asyncio.timeout(ASK_TIME_S):
                response = await self.http.request("HEAD", "/api-token-auth/")
        except (httpx.RequestError, TimeoutError):
            return
        told = server_time(response.headers)
        if told is not None and abs(told - self.http_clock.now()) > SAME_TIME:
            self.http_clock = RunningClock(told)

    async def _ask(self, method: str, path: str, *, step: str, content: bytes | None = None) -> object:
        token = await self.tokens.get(self.http_clock)
        for tries_left in reversed(range(TOKENS)):
            response = await self._send(method, path, token, content, step=step)
            if response.status_code != httpx.codes.UNAUTHORIZED:
                return json_of(response, step=step, now=self.http_clock.now(), hide=self.hide)
            if tries_left:
                token = await self.tokens.replace(token, self.http_clock)
        raise AuthenticationError(f"{step}: the exchange refuses a token it has just issued")

    async def _send(self, method: str, path: str, token: str, content: bytes | None, *, step: str) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"JWT {token}"
        try:
            async with asyncio.timeout(REQUEST_S):
                return await self.http.request(method, path, content=content, headers=headers)
        except (httpx.RequestError, TimeoutError) as error:
            # httpx's own message may be empty; its type says what happened.
            reason = self.hide(f"{type(error).__name__} {error}".strip())
        # Raised out here: the client's own error may quote what came or was sent, so it is no part of this one.
        raise ExchangeUnavailable(f"{step}: no answer from {self.http.host} ({reason})")

    async def _login(self) -> str:
        step = f"login at {self.http.host}"
        credentials = {"username": self.username.get_secret_value(), "password": self.password.get_secret_value()}
        body = json.dumps(credentials).encode()
        response = await self._send("POST", "/api-token-auth/", "", body, step=step)
        if (told := server_time(response.headers)) is not None:
            self.http_clock = RunningClock(told)
        if response.status_code in {400, 401, 403}:
            raise AuthenticationError(
                f"{step}: user name or password refused ({response.status_code}); "
                "check SLOTFEED_EXCHANGE_USERNAME and SLOTFEED_EXCHANGE_PASSWORD"
            )
        # Its body is never quoted: half of it, too, may hold a token that nobody knows yet.
        answer = json_of(response, step=step, now=self.http_clock.now(), hide=self.hide, quote=False)
        # The key was "token" until April 2025 and is "access" since.
        token = (answer.get("access") or answer.get("token")) if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise RejectedError(f"{step}: the answer holds no token")
        if not (token.isascii() and token.isprintable() and " " not in token):
            # It would begin a header of its own, or fail with an error that quotes it.
            raise RejectedError(f"{step}: the answer holds a token that no header can carry")
        return token

    async def _retrying(self, once: Callable[[], Awaitable[T]], *, closes_at: datetime | None) -> T:
        def stop(state: RetryCallState) -> bool:
            enough = stop_after_attempt(ATTEMPTS) | stop_before_delay(ALL_ATTEMPTS_S)
            return _impatient(state) or enough(state) or self._would_be_late(state, closes_at)

        retrying = AsyncRetrying(
            sleep=self.sleep, wait=_wait, stop=stop, retry=retry_if_exception_type(ExchangeUnavailable), reraise=True
        )

        async def attempt() -> T:
            # tenacity awaits what is declared async, and a lambda is not.
            return await once()

        return await retrying(attempt)

    def _would_be_late(self, state: RetryCallState, closes_at: datetime | None) -> bool:
        wait = timedelta(seconds=state.upcoming_sleep)
        return closes_at is not None and self.clock.now() + wait >= closes_at


@contextlib.asynccontextmanager
async def open_exchange(
    *,
    base_url: str,
    username: SecretStr,
    password: SecretStr,
    clock: Clock,
    concurrency: int,
    allow_http: Collection[str] = (),
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[ExchangeClient]:
    """A client for one run.

    Args:
        base_url: of the exchange.
        username: of its user.
        password: of its user.
        clock: used until the exchange has told its own time.
        concurrency: connections at most.
        allow_http: hosts that may be spoken to in clear, as the community file names them.
        transport: for tests.
        sleep: waits between tries; for tests.

    Raises:
        ConfigurationError: the password would travel in clear, to a host that isn't allowed.
    """
    transport = transport or ExchangeTransport(base_url, connections=concurrency, allow_http=allow_http)
    async with transport:
        http = DirectHttp(base_url, transport, timeout=TIMEOUT)
        yield ExchangeClient(
            http=http, username=username, password=password, http_clock=clock, allow_http=allow_http, sleep=sleep
        )
