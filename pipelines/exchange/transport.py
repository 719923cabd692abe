"""Carries the requests: httpx's interface over aiohttp's connections.

httpx's own pool looks through all its connections for every request, so that it slows down with each one added:
docs/adr/0005 has the figures. What aiohttp adds of its own (cookies, its own errors) is taken off again here.

It is the door to the exchange too: no other host is spoken to, none in clear that isn't allowed, and no answer may grow
without end, packed or unpacked.
"""

import os
import ssl
import zlib
from collections.abc import Collection
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from pipelines.errors import TerminalError
from pipelines.hosts import is_loopback, origin, refuse_clear
from pipelines.tls import tls_context

KEEPALIVE_S = 30.0
"""An idle connection is used again for so long: less than servers commonly keep one (ours)."""

LONGEST_ANSWER = 64 << 20
"""Bytes of an answer, unpacked; a registry of 10,000 assets has 3 MB (ours)."""

PACKED = frozenset({"gzip", "x-gzip", "deflate"})


class ExchangeTransport(AiohttpTransport):
    """At most so many connections, to one host, no cookies, and httpx's errors only."""

    def __init__(self, base_url: str, *, connections: int, allow_http: Collection[str] = ()) -> None:
        """Prepare for one host.

        Args:
            base_url: of the exchange; a proxy that the environment names for it is used, as httpx would, but none for
                this machine.
            connections: at most.
            allow_http: hosts that may be spoken to in clear.

        Raises:
            ConfigurationError: secrets would travel in clear, to a host that isn't allowed.
        """
        refuse_clear(base_url, allow_http, where="exchange")
        url = httpx.URL(base_url)
        self._origin = _origin(url)
        super().__init__(verify=tls_context(), proxy=_proxy(url), client=lambda: self._session(connections))

    def _session(self, connections: int) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEPALIVE_S, ssl=self.ssl_context)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read its whole answer, unpacked.

        Raises:
            httpx.TransportError: it failed on the way; what aiohttp says stands in the message.
            TerminalError: the request is for another host than the exchange's.
        """
        if _origin(request.url) != self._origin:
            raise TerminalError(f"exchange: nothing is sent to {request.url.host}, which isn't the exchange's host")
        try:
            response = await super().handle_async_request(request)
            try:
                body = await _bounded(response)
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            # A refused connection would be called a timeout, and one that breaks too.
            if isinstance(cause := error.__cause__, aiohttp.ClientConnectorError):
                raise httpx.ConnectError(_words(cause.os_error)) from error
            if isinstance(cause, aiohttp.ClientOSError):
                raise httpx.ReadError(_words(cause)) from error
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise httpx.ReadError(f"{type(error).__name__} {error}") from error
        headers = response.headers.copy()
        body = _unpacked(body, headers.pop("content-encoding", ""))
        return httpx.Response(response.status_code, headers=headers, stream=httpx.ByteStream(body))


def _words(error: OSError) -> str:
    """Why no connection came about: asyncio's own text repeats the address, and a name's fault has no errno."""
    # OpenSSL counts its errors otherwise than the system does: number 1 would be "Operation not permitted".
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate isn't believed: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or str(error)).lower().replace('_', ' ')}"
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)


async def _bounded(response: httpx.Response) -> bytes:
    """The body as it came over the wire, still compressed where the exchange compresses."""
    parts, size = [], 0
    async for part in response.aiter_raw():
        parts.append(part)
        size += len(part)
        if size > LONGEST_ANSWER:
            raise httpx.ReadError(f"the answer is longer than {LONGEST_ANSWER >> 20} MiB")
    return b"".join(parts)


def _unpacked(body: bytes, encoding: str) -> bytes:
    """The body as it was before it was compressed, as far as that is bounded: a bomb of 64 MiB would unpack to 64 GiB.

    Raises:
        httpx.DecodingError: it can't be unpacked, or was packed in a way that wasn't asked for, or more than once.
        httpx.ReadError: it is too long.
    """
    how = encoding.strip().lower()
    if not body or how in {"", "identity"}:
        return body
    if how not in PACKED:
        raise httpx.DecodingError(f"the answer is packed as {how[:40]!r}, which nobody asked for")
    # zlib tells its own head from gzip's; some servers send deflate without one.
    headless = how == "deflate" and body[0] & 0x0F != zlib.DEFLATED
    reader = zlib.decompressobj(-zlib.MAX_WBITS if headless else zlib.MAX_WBITS | 32)
    try:
        whole = reader.decompress(body, LONGEST_ANSWER + 1)
    except zlib.error as error:
        raise httpx.DecodingError(f"the answer can't be unpacked ({error})") from error
    if len(whole) > LONGEST_ANSWER:
        raise httpx.ReadError(f"the answer is longer than {LONGEST_ANSWER >> 20} MiB")
    if not reader.eof:
        raise httpx.DecodingError("the answer can't be unpacked (its end is missing)")
    return whole


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return origin(url.scheme, url.host, url.port)


def _proxy(url: httpx.URL) -> httpx.Proxy | None:
    # What is meant for this machine would leave it.
    address = None if is_loopback(url.host) or proxy_bypass(url.host) else getproxies().get(url.scheme)
    return httpx.Proxy(address) if address else None
