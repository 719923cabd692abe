"""JSON over a websocket, for vendors that speak so: failures are told as those of HTTP requests are.

A connection is opened for a question and closed after it. Whoever asks does so inside `CloudHttp.retrying`.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from pipelines.collect.cloud.http import MOST_BYTES, REQUEST_S, CloudHttp, LoginLost, Reply
from pipelines.errors import AuthenticationError, SourceError, SourceUnavailable
from pipelines.headers import server_time
from pipelines.hosts import is_loopback
from pipelines.quiet import without_debug
from pipelines.tls import tls_context

OPEN_S, CLOSE_S = 10.0, 2.0
"""For the handshake and for the good-bye. Ours."""

TOO_BIG = 1009
"""What a websocket is closed with for a message beyond its bound (RFC 6455, 7.4.1)."""

# websockets logs every frame at DEBUG, the one with the token too.
_quiet = without_debug("slotfeed.websocket")


@dataclass(kw_only=True)
class Talk:
    """An open websocket."""

    http: CloudHttp
    connection: ClientConnection
    what: str
    """What is asked, for messages."""

    _until: float = field(default_factory=lambda: time.monotonic() + OPEN_S, init=False)

    def say(self, message: Mapping[str, object]) -> None:
        """Send JSON; from now on the other side has `REQUEST_S` to answer."""
        self.http.requests += 1
        self._until = time.monotonic() + REQUEST_S
        self.connection.send(orjson.dumps(message), text=True)

    def hear(self) -> Any:  # noqa: ANN401 - JSON of any shape
        """The next message.

        Raises:
            SourceError: it is no JSON.
            TimeoutError: none came in time.
        """
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(f"no answer in {REQUEST_S:.0f} s")
        text = self.connection.recv(timeout=left_s, decode=False)
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            shown = bytes(text).decode("utf-8", errors="replace")
            raise self.http.strange(self.what, "a message is no JSON", shown) from None


@contextlib.contextmanager
def talking(http: CloudHttp, path: str, *, what: str) -> Iterator[Talk]:
    """A websocket for as long as the block lasts.

    Args:
        http: the account's client: its base URL with ws in place of http.
        path: below it.
        what: see `Talk`.

    Raises:
        SourceUnavailable: there is none, or it broke off in the block, or an answer took too long.
        SourceError: refused or redirected, or a message is larger than `MOST_BYTES`.
        AuthenticationError: the handshake was answered 401.
        AccountStopped: 410, or 429 for longer than is waited.
    """
    at, url = f"source '{http.source}', {what}", http.client.base_url
    scheme = "wss" if url.scheme == "https" else "ws"
    try:
        connection = connect(
            str(url.copy_with(scheme=scheme)).rstrip("/") + path,
            open_timeout=OPEN_S,
            close_timeout=CLOSE_S,
            ping_interval=None,
            max_size=MOST_BYTES,
            compression=None,
            logger=_quiet,
            ssl=tls_context() if scheme == "wss" else None,
            # The environment's, but none for this machine: what is meant for it would leave it.
            proxy=None if is_loopback(url.host) else True,
        )
        with connection:
            _note_time(http, connection)
            yield Talk(http=http, connection=connection, what=what)
    except InvalidStatus as refused:
        _judge(http, refused, what)
        raise SourceUnavailable(
            f"{at}: {url.host} answered {refused.response.status_code} in place of a websocket; a proxy on the way "
            "must let websockets through"
        ) from None
    except ConnectionClosed as closed:
        if closed.sent is not None and closed.sent.code == TOO_BIG:
            raise SourceError(f"{at}: the answer is larger than {MOST_BYTES // 2**20} MiB") from None
        raise SourceUnavailable(f"{at}: the connection to {url.host} broke off ({http.redact(str(closed))})") from None
    except (InvalidHandshake, OSError) as error:
        reason = http.redact(f"{type(error).__name__} {error}".strip())
        raise SourceUnavailable(f"{at}: no answer from {url.host} ({reason})") from None


def _note_time(http: CloudHttp, connection: ClientConnection) -> None:
    if connection.response is None:
        return
    if (told := server_time(httpx.Headers(list(connection.response.headers.raw_items())))) is not None:
        http.ahead_s = (told - http.now()).total_seconds()


def _judge(http: CloudHttp, refused: InvalidStatus, what: str) -> None:
    """Raise what the status means that came in place of a websocket, as for every request."""
    answer = refused.response
    headers = httpx.Headers(list(answer.headers.raw_items()))
    try:
        http.check_status(Reply(status=answer.status_code, headers=headers, body=bytes(answer.body or b"")), what)
    except LoginLost as lost:
        raise AuthenticationError(f"source '{http.source}', {what}: {lost}") from None
