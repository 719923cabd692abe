"""The HTTP client of all vendor clouds: one way to wait, to try again, to count requests and to speak of failures.

A vendor's session says with `Manners` how it logs in and what its own error forms mean; the rest is here:

- a request is counted against the account's budget before each try, and waits where it must and may;
- connection faults, 5xx and pages that aren't JSON are tried again with jitter; a 429 only if it says when;
- a redirect isn't followed, so that no key travels to another host;
- a 410, a refused login and a spent budget stop the account, so that the next runs don't ask in vain;
- bodies that can't be read are kept, a few and bounded; no secret gets into a message or file.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import httpx
import orjson
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from pipelines.collect.cloud.budget import Budget
from pipelines.collect.cloud.door import CONCURRENCY
from pipelines.collect.cloud.unreadable import keep_unreadable
from pipelines.errors import AccountStopped, AuthenticationError, SlotfeedError, SourceError, SourceUnavailable
from pipelines.headers import retry_after_s, server_time
from pipelines.hidden import hide
from pipelines.hosts import host_of
from pipelines.plain import plain

REQUEST_S = 60.0
"""A whole answer, however slowly it drips: httpx's own timeouts count between bytes."""

MOST_BYTES = 64 * 2**20
"""No answer is larger: a month of quarter hours of a thousand channels has half of it. Ours."""

ATTEMPTS = 4
PATIENCE_S = 70.0
"""A longer wait ends the run's requests: a limit per minute is waited for, one per hour isn't. Ours."""

LONGEST_S = 1800.0
"""What a backfill waits for room in a budget: limits per minute and per half hour. Ours."""

UNASKED_STOP = timedelta(minutes=15)
"""A 429 that doesn't say how long. The figure is ours: one slot."""

LONGEST_STOP = timedelta(days=31)
"""Whatever a 429 says: no vendor's limit counts for longer than a month. Ours."""

RETIRED_STOP = timedelta(days=1)
LOGIN_STOP = timedelta(hours=1)
"""After a refused login: a vendor that locks accounts after five wrong passwords never sees five in its half hour."""

BUSY = frozenset({408, 425, 500, 502, 503, 504})
REFUSED = frozenset({401, 403})
SHOWN = 200
"""Characters of an unexpected body that go into a message."""

READ = 2**20
"""Bytes of it that are searched for secrets first: so many that of a secret at their end nothing is shown. Ours."""

_backoff = wait_random_exponential(multiplier=0.5, max=20)

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def is_page(self) -> bool:
        """It is a web page: a proxy's or of somebody's maintenance, and speaks for no vendor."""
        return self.body.lstrip()[:1] == b"<"

    def text(self) -> str:
        """The body's beginning as one line."""
        return " ".join(self.body[:READ].decode("utf-8", errors="replace").split())


@dataclass(kw_only=True)
class Manners:
    """A vendor's own ways on the wire."""

    headers: Callable[[], Mapping[str, str]] = dict
    """Of every request: the key or token as it is now."""

    renew: Callable[[Mapping[str, str]], None] | None = None
    """Log in again; given the headers that were refused, so that of many requests one does it. None: a refused key
    stays refused."""

    judge: Callable[[Reply, Any], None] | None = None
    """Raises what an answer means in the vendor's own terms; given its JSON, or None where it has none. Called for
    every answer before the general rules. `LoginLost` sends the request again after `renew`."""


class LoginLost(SlotfeedError):
    """The vendor takes the session for not logged in, by an error of its own form."""


@dataclass(kw_only=True)
class CloudHttp:
    """Requests of one account during one run."""

    source: str
    client: httpx.Client
    budget: Budget
    unreadable: Path
    """Folder for answers that can't be read."""

    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    gives_up: datetime | None = None
    """Waits don't last beyond: a live run has a deadline. None: a limit that frees within `LONGEST_S` is waited for."""

    stopping: Callable[[], bool] = lambda: False
    """Whether no request is to be begun: the run is being stopped."""

    hidden: list[str] = field(default_factory=list)
    """Secrets and tokens that no message may hold."""

    manners: Manners = field(default_factory=Manners)
    ahead_s: float = 0.0
    """By how much the vendor's clock was ahead of ours at the last answer, as far as it tells."""

    requests: int = 0
    _renewing: Lock = field(default_factory=Lock)

    def redact(self, text: str) -> str:
        """A vendor's words on one line, without what is secret and without signs that steer a terminal."""
        return plain(hide(text, self.hidden))

    def get(
        self, path: str, *, what: str, params: Mapping[str, Any] | None = None, costs: Mapping[str, int] | None = None
    ) -> Any:  # noqa: ANN401 - JSON of any shape
        """Read a resource.

        Args:
            path: below the base URL.
            what: what is asked, for messages: `readings of device 4711, 12:00 to 13:00`.
            params: of the query; never a secret.
            costs: see `Budget.spend`.

        Returns:
            The answer's JSON.

        Raises:
            SourceUnavailable: no answer, or none that can be read, after all tries.
            SourceError: refused, or redirected.
            AuthenticationError: the login, key or token is refused.
            AccountStopped: the budget is spent, or the vendor has retired what was asked; remembered by the caller.
        """
        return self._ask("GET", path, what=what, costs=costs, params=params)

    def post(self, path: str, *, what: str, body: object, costs: Mapping[str, int] | None = None) -> Any:  # noqa: ANN401 - JSON of any shape
        """Send JSON and read the answer's; as `get`."""
        return self._ask("POST", path, what=what, costs=costs, json=body)

    def login(self, path: str, *, what: str, body: object, costs: Mapping[str, int] | None = None) -> Reply:
        """Send a login once, without the session's headers and without another try, and return the answer.

        Its body is never kept or quoted.

        Raises:
            SourceUnavailable, SourceError, AccountStopped: as of `get`, by the status alone.
        """
        self._wait_for_room(what, costs)
        reply = self._send("POST", path, what=what, headers={}, json=body)
        if reply.status not in REFUSED | {400}:
            self.check_status(reply, what, quote=False)
        return reply

    def each(
        self, items: Sequence[T], ask: Callable[[T], R], *, concurrency: int = CONCURRENCY
    ) -> tuple[dict[T, R], dict[T, SlotfeedError]]:
        """Ask for many things, some at a time.

        Returns:
            What came of each, and what failed. Where the account as a whole is refused or stopped on the way, what
            wasn't asked any more has failed by that; what had come before is kept.

        Raises:
            AuthenticationError, AccountStopped: and nothing had come before.
        """
        done: dict[T, R] = {}
        failed: dict[T, SlotfeedError] = {}
        ended: list[SlotfeedError] = []

        def one(item: T) -> None:
            if ended:
                failed[item] = ended[0]
                return
            try:
                done[item] = ask(item)
            except (AuthenticationError, AccountStopped) as error:
                ended.append(error)
                failed[item] = error
            except SlotfeedError as error:
                failed[item] = error

        if len(items) <= 1:
            for item in items:
                one(item)
        else:
            with ThreadPoolExecutor(min(concurrency, len(items))) as pool:
                list(pool.map(one, items))
        if ended and not done:
            raise ended[0]
        return done, failed

    def retrying(self, ask: Callable[[], R]) -> R:
        """Ask until it isn't `SourceUnavailable`, as often and as long as for every request.

        For a vendor that is spoken to otherwise than by single HTTP requests.
        """
        return Retrying(
            sleep=self.sleep,
            wait=_wait,
            stop=self._enough,
            retry=retry_if_exception_type(SourceUnavailable),
            reraise=True,
        )(ask)

    def strange(self, what: str, problem: str, content: object) -> SourceError:
        """The error for JSON that hasn't the form that was agreed; the content is kept."""
        return SourceError(f"{self._at(what)}: {self.redact(problem)}{self._kept(orjson.dumps(content))}")

    def _kept(self, body: bytes) -> str:
        text = hide(body.decode("utf-8", errors="replace"), self.hidden)
        return keep_unreadable(self.unreadable, self.source, text, self.now())

    def _ask(
        self,
        method: str,
        path: str,
        *,
        what: str,
        costs: Mapping[str, int] | None,
        **content: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        def send(headers: Mapping[str, str]) -> Any:  # noqa: ANN401
            self._wait_for_room(what, costs)
            return self._read(self._send(method, path, what=what, headers=headers, **content), what)

        def once() -> Any:  # noqa: ANN401
            headers = dict(self.manners.headers())
            try:
                return send(headers)
            except LoginLost as lost:
                if self.manners.renew is None:
                    raise AuthenticationError(f"{self._at(what)}: {lost}") from None
                with self._renewing:
                    self.manners.renew(headers)
            try:
                return send(self.manners.headers())
            except LoginLost as again:
                raise AuthenticationError(f"{self._at(what)}: refused right after a login ({again})") from None

        return self.retrying(once)

    def _read(self, reply: Reply, what: str) -> Any:  # noqa: ANN401
        """What an answer holds, if it is one."""
        parsed, readable = _parse(reply.body)
        if self.manners.judge is not None:
            self.manners.judge(reply, parsed)
        self.check_status(reply, what)
        if not readable:
            kind = "a web page" if reply.is_page else "no JSON, or only the beginning of it,"
            raise SourceUnavailable(f"{self._at(what)}: {kind} came instead of an answer{self._kept(reply.body)}")
        return parsed

    def _send(
        self,
        method: str,
        path: str,
        *,
        what: str,
        headers: Mapping[str, str],
        **content: Any,  # noqa: ANN401
    ) -> Reply:
        if not all(value.isascii() and value.isprintable() and value == value.strip() for value in headers.values()):
            # The client would quote the value in its error.
            raise AuthenticationError(
                f"{self._at(what)}: the key or token can't be sent: it holds a line break, a space at an end, "
                "or a letter that no HTTP header can carry. Set it anew"
            )
        began = time.monotonic()
        self.requests += 1
        try:
            with self.client.stream(method, path, headers=headers, **content) as response:
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if time.monotonic() - began > REQUEST_S:
                        raise SourceUnavailable(f"{self._at(what)}: the answer took longer than {REQUEST_S:.0f} s")
                    if len(body) > MOST_BYTES:
                        raise SourceError(f"{self._at(what)}: the answer is larger than {MOST_BYTES // 2**20} MiB")
                reply = Reply(status=response.status_code, headers=response.headers, body=bytes(body))
        except httpx.RequestError as error:
            reason = self.redact(f"{type(error).__name__} {error}".strip())
        else:
            if (told := server_time(reply.headers)) is not None:
                self.ahead_s = (told - self.now()).total_seconds()
            return reply
        # Raised out here, so that the client's own error, which may quote what came or was sent, is no part of it.
        raise SourceUnavailable(f"{self._at(what)}: no answer from {self.client.base_url.host} ({reason})")

    def check_status(self, reply: Reply, what: str, *, quote: bool = True) -> None:
        """Raise what a status other than success means, as of `get`; `LoginLost` for a 401."""
        status, at = reply.status, self._at(what)
        if httpx.codes.is_success(status):
            return
        said = f": {self.redact(reply.text())[:SHOWN] or 'empty body'}" if quote else ""
        wait_s = retry_after_s(reply.headers.get("Retry-After"), server_time(reply.headers) or self.now())
        if httpx.codes.is_redirect(status):
            host = self.redact(host_of(reply.headers.get("Location", ""))) or "elsewhere"
            raise SourceError(f"{at}: redirected to {host}; nothing is sent there. Correct the source's `url`")
        if status == httpx.codes.TOO_MANY_REQUESTS:
            self._too_many(at, wait_s)
        if status == httpx.codes.UNAUTHORIZED:
            raise LoginLost(f"the login was refused (401){said}")
        if status == httpx.codes.GONE:
            raise AccountStopped(
                f"{at}: this interface is retired (410){said}. Look for a newer slotfeed, or for what the vendor says",
                until=self.now() + RETIRED_STOP,
            )
        if status in BUSY or reply.is_page:
            raise SourceUnavailable(f"{at}: the vendor answered {status}", retry_after_s=wait_s)
        raise SourceError(f"{at}: the vendor answered {status}{said}")

    def _too_many(self, at: str, wait_s: float | None) -> None:
        if wait_s is not None and wait_s <= PATIENCE_S:
            raise SourceUnavailable(f"{at}: too many requests (429)", retry_after_s=wait_s)
        stop = UNASKED_STOP if wait_s is None else timedelta(seconds=min(wait_s, LONGEST_STOP.total_seconds()))
        raise AccountStopped(f"{at}: too many requests (429)", until=self.now() + stop)

    def _wait_for_room(self, what: str, costs: Mapping[str, int] | None) -> None:
        """Wait until the budget has room, if that is soon enough."""
        if self.stopping():
            raise SourceUnavailable(f"{self._at(what)}: not asked, the run is being stopped")
        while (room_at := self.budget.spend(costs or {}, self.now())) is not None:
            wait_s = (room_at - self.now()).total_seconds()
            too_late = self.gives_up is not None and room_at > self.gives_up
            if too_late or wait_s > (PATIENCE_S if self.gives_up else LONGEST_S):
                raise AccountStopped(f"{self._at(what)}: the account's budget of requests is spent", until=room_at)
            self.sleep(max(wait_s, 0.05))

    def _enough(self, state: RetryCallState) -> bool:
        if stop_after_attempt(ATTEMPTS)(state) or (_asked_wait_s(state) or 0.0) > PATIENCE_S:
            return True
        next_try = self.now() + timedelta(seconds=state.upcoming_sleep)
        return self.gives_up is not None and next_try > self.gives_up

    def _at(self, what: str) -> str:
        return f"source '{self.source}', {what}"


def _asked_wait_s(state: RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome else None
    return error.retry_after_s if isinstance(error, SourceUnavailable) else None


def _wait(state: RetryCallState) -> float:
    asked = _asked_wait_s(state)
    # Never sooner than asked, and not all workers at the same moment.
    return _backoff(state) if asked is None else asked + _backoff(state) / 4


def _parse(body: bytes) -> tuple[Any, bool]:
    """The JSON, and whether it could be read. An empty body is no error of form: it is None."""
    if not body.strip():
        return None, True
    try:
        return orjson.loads(body), True
    except orjson.JSONDecodeError:
        return None, False
