"""The authorities that every connection trusts."""

import ssl
from functools import cache

import httpx


@cache
def tls_context() -> ssl.SSLContext:
    """The trusted authorities; reading them takes tens of milliseconds, so once a process."""
    return httpx.create_ssl_context()
