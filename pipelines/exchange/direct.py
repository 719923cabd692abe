"""Requests that go straight to their transport.

What `httpx.AsyncClient` does around it (cookies, redirects, authentication, an address parsed several times) is a
quarter of a request's work, and none of it is wanted here: docs/adr/0005 has the figures.
"""

from collections.abc import Mapping

import httpx

COMMON = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": f"python-httpx/{httpx.__version__}"}
"""Headers of every request; httpx decodes both encodings without further packages."""


class DirectHttp:
    """Speaks to one host. It follows no redirect and keeps no cookie."""

    def __init__(self, base_url: str, transport: httpx.AsyncBaseTransport, *, timeout: httpx.Timeout) -> None:
        """Take the transport, which stays its owner's to close.

        Args:
            base_url: of the host; paths are appended to it.
            transport: carries the requests.
            timeout: of each.
        """
        self._base = base_url.rstrip("/")
        self._transport = transport
        self._extensions = {"timeout": timeout.as_dict()}
        self.host = httpx.URL(base_url).host

    async def request(
        self, method: str, path: str, *, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send a request and read its whole answer.

        Raises:
            httpx.RequestError: no answer, or one that can't be decoded.
        """
        request = httpx.Request(
            method,
            self._base + path,
            content=content,
            headers={**COMMON, **(headers or {})},
            extensions=self._extensions,
        )
        response = await self._transport.handle_async_request(request)
        response.request = request
        try:
            await response.aread()
        finally:
            await response.aclose()
        return response
