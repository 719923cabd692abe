"""Carries the requests: httpx's interface over aiohttp's connections.

httpx's own pool looks through all its connections for every request, so that it slows down with each one added:
docs/adr/0005 has the figures. What aiohttp adds of its own (cookies, its own errors) is taken off again here.
"""

import os
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from pipelines.tls import tls_context

KEEPALIVE_S = 30.0
"""An idle connection is used again for so long: less than servers commonly keep one (ours)."""

LONGEST_ANSWER = 64 << 20
"""Bytes of an answer; a registry of 10,000 assets has 3 MB (ours)."""


class ExchangeTransport(AiohttpTransport):
    """At most so many connections, no cookies, and httpx's errors only."""

    def __init__(self, base_url: str, *, connections: int) -> None:
        """Prepare for one host.

        Args:
            base_url: of the exchange; a proxy that the environment names for it is used, as httpx would.
            connections: at most.
        """
        super().__init__(
            verify=tls_context(), proxy=_proxy(httpx.URL(base_url)), client=lambda: self._session(connections)
        )

    def _session(self, connections: int) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEPALIVE_S, ssl=self.ssl_context)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read its whole answer.

        Raises:
            httpx.TransportError: it failed on the way; what aiohttp says stands in the message.
        """
        try:
            response = await super().handle_async_request(request)
            try:
                body = await _bounded(response)
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            # A refused connection would be called a timeout.
            if isinstance(cause := error.__cause__, aiohttp.ClientConnectorError):
                raise httpx.ConnectError(_words(cause.os_error)) from error
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise httpx.ReadError(f"{type(error).__name__} {error}") from error
        return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(body))


def _words(error: OSError) -> str:
    """Why no connection came about: asyncio's own text repeats the address, and a name's fault has no errno."""
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


def _proxy(url: httpx.URL) -> httpx.Proxy | None:
    address = None if proxy_bypass(url.host) else getproxies().get(url.scheme)
    return httpx.Proxy(address) if address else None
