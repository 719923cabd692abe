"""The authorities that every connection trusts, and the oldest TLS it takes. No setting switches the check off."""

import ssl
from functools import cache

import httpx


@cache
def tls_context() -> ssl.SSLContext:
    """Checks certificate and name against the trusted authorities; TLS 1.2 at least (RFC 9325, 3.1.1).

    The authorities are certifi's, or those of SSL_CERT_FILE or SSL_CERT_DIR in the environment, for an authority of
    one's own. Reading them takes tens of milliseconds, so once a process.
    """
    context = httpx.create_ssl_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
