"""The websocket itself: kept open, opened again when it breaks, never followed to another host."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from pipelines.errors import AuthenticationError, SlotfeedError
from pipelines.exchange.client import ExchangeClient
from pipelines.hosts import host_of, is_loopback, refuse_clear
from pipelines.plain import plain
from pipelines.quiet import without_debug
from pipelines.tls import tls_context

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
"""Between tries, doubling from the first (ours); GSy's own client waits 30 s each time."""

SOUND_S = 30.0
"""A connection that lived so long was a good one: the waits begin anew (as in GSy's client)."""

OPEN_S = 10.0
CLOSE_S = 1.0
LARGEST_FRAME = 16 * 2**20
"""Bytes (ours): a market event tells the whole grid tree, some hundred bytes an asset."""

FRAMES_AHEAD = 4
"""Frames read before they are taken; then the exchange has to wait, so that a flood can't fill the memory."""

REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

# The library writes headers into its debug log, and with them the token.
_quiet = without_debug("slotfeed.websocket")


class _Connect(connect):
    """Without redirects: the token goes to the address in the community file and nowhere else."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Leave the exchange's answer as the error it is."""
        return exc


class Link:
    """One address, connected as well as may be."""

    def __init__(
        self,
        client: ExchangeClient,
        url: str,
        *,
        take: Callable[[bytes | str], None],
        changed: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """Take what belongs to it; `run` connects.

        Args:
            client: whose token opens the socket.
            url: full address.
            take: gets each frame.
            changed: is told when the link comes, goes or ends.
            sleep: waits between tries.

        Raises:
            ConfigurationError: the token would travel in clear, to a host that isn't allowed.
        """
        refuse_clear(url, client.allow_http, where="exchange's websocket")
        self._client, self._url = client, url
        self._take, self._changed, self._sleep = take, changed, sleep
        self._settled = asyncio.Event()
        self._ended = False
        self._token_replaced = False
        self.connected = False
        self.problem = ""
        """Why it isn't connected, in words."""

    async def wait_connected(self, seconds: float) -> bool:
        """Whether it is connected, after so many seconds at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._settled.wait()
        except TimeoutError:
            pass
        return self.connected

    async def run(self) -> None:
        """Keep it open until cancelled. A login that is refused ends it: a wrong password would lock the account."""
        wait_s = FIRST_WAIT_S
        try:
            while True:
                lived_s = await self._once()
                if lived_s is None:
                    return
                wait_s = FIRST_WAIT_S if lived_s >= SOUND_S else wait_s
                # Not all of an exchange's clients at the same moment.
                await self._sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        finally:
            self._ended = True
            self._set(connected=False)

    async def _once(self) -> float | None:
        """One connection, from opening to end: seconds it lived; None: no further try makes sense."""
        now = asyncio.get_running_loop().time
        opened = None
        try:
            socket = await self._open()
            try:
                opened = now()
                self._token_replaced = False
                self._set(connected=True)
                async for frame in socket:
                    self._take(frame)
                self.problem = "the exchange closed the socket"
            finally:
                self._set(connected=False)
                await socket.close()
        except AuthenticationError as refused:
            self.problem = str(refused)
            return None
        except ConnectionClosed as closed:
            self.problem = f"the socket broke ({plain(self._client.hide(str(closed)))})"
        except InvalidStatus as refused:
            self.problem = self._refusal(refused)
        except (OSError, WebSocketException, SlotfeedError) as error:
            # TimeoutError is an OSError; some errors have a type only.
            said = plain(self._client.hide(str(error)))
            self.problem = f"no socket ({type(error).__name__} {said})".replace(" )", ")")
        return 0.0 if opened is None else now() - opened

    def _refusal(self, refused: InvalidStatus) -> str:
        status, location = refused.response.status_code, refused.response.headers.get("Location")
        if location is None:
            return f"the exchange refuses the socket with status {status}"
        host = plain(self._client.hide(host_of(location))) or "elsewhere"
        return f"the socket is redirected to {host} ({status}), where nothing is sent; correct `exchange.websocket_url`"

    async def _open(self) -> ClientConnection:
        token = await self._client.tokens.get(self._client.http_clock)
        try:
            return await self._connect(token)
        except InvalidStatus as refused:
            # Once: an aggregator of somebody else's is refused with any token.
            if refused.response.status_code not in REFUSED or self._token_replaced:
                raise
            self._token_replaced = True
            return await self._connect(await self._client.tokens.replace(token, self._client.http_clock))

    async def _connect(self, token: str) -> ClientConnection:
        return await _Connect(
            self._url,
            additional_headers={"Authorization": f"JWT {token}"},
            ssl=tls_context() if self._url.startswith("wss:") else None,
            open_timeout=OPEN_S,
            close_timeout=CLOSE_S,
            max_size=LARGEST_FRAME,
            max_queue=FRAMES_AHEAD,
            logger=_quiet,
            # The environment's, but none for this machine: what is meant for it would leave it.
            proxy=None if is_loopback(urlsplit(self._url).hostname or "") else True,
        )

    def _set(self, *, connected: bool) -> None:
        self.connected = connected
        if connected:
            self.problem = ""
        if connected or self._ended:
            self._settled.set()
        else:
            self._settled.clear()
        self._changed()
