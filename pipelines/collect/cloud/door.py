"""The way out to a vendor: encrypted or allowed by name, to one host, and with answers that can't grow without end."""

import contextlib
import logging
from collections.abc import Collection, Iterator

import httpx

from pipelines.errors import SourceError
from pipelines.hosts import is_loopback, origin, refuse_clear
from pipelines.tls import tls_context

TIMEOUT = httpx.Timeout(connect=10, read=30, write=10, pool=60)
CONCURRENCY = 8

PACKED = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
"""How an answer may be packed, and once only: a thousandfold of what is read at a time is bearable, a millionfold
isn't."""


@contextlib.contextmanager
def open_client(base_url: str, *, where: str, allow_http: Collection[str] = ()) -> Iterator[httpx.Client]:
    """Connections to a vendor for as long as they are needed.

    It follows no redirect and asks no other host, whatever an answer names as its next page.

    Args:
        base_url: of the vendor.
        where: whose account it is, for messages.
        allow_http: hosts that may be spoken to in clear.

    Raises:
        ConfigurationError: secrets would travel in clear, to a host that isn't allowed.
    """
    refuse_clear(base_url, allow_http, where=where)
    # At DEBUG it would log headers, and with them logins and tokens.
    logging.getLogger("httpcore").setLevel(logging.INFO)
    home = httpx.URL(base_url)

    def same_host(request: httpx.Request) -> None:
        if _origin(request.url) != _origin(home):
            raise SourceError(f"{where}: nothing is sent to {request.url.host}, for `url` names {home.host}")

    def packed_once(response: httpx.Response) -> None:
        how = response.headers.get("Content-Encoding", "").strip().lower()
        if how not in PACKED:
            raise httpx.DecodingError(f"the answer is packed as {how[:40]!r}, which nobody asked for")

    with httpx.Client(
        base_url=base_url,
        headers={"Accept-Encoding": "gzip, deflate"},
        timeout=TIMEOUT,
        limits=httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY),
        follow_redirects=False,
        verify=tls_context(),
        # The environment's proxies; but what is meant for this machine would leave it through one.
        trust_env=not is_loopback(home.host),
        event_hooks={"request": [same_host], "response": [packed_once]},
    ) as client:
        yield client


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return origin(url.scheme, url.host, url.port)
