"""Which hosts may be spoken to in clear, and that a request goes to no other host than the one it is meant for."""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from pipelines.errors import ConfigurationError, Issue

IN_CLEAR = {"http": "https", "ws": "wss"}
"""Schemes without encryption, and those with it."""

PORTS = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """True for loopback addresses and the names that stand for them."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")


def goes_in_clear(url: str, allow_http: Collection[str]) -> bool:
    """Whether what is sent there could be read on the way, and nobody has said that it may.

    Args:
        url: of http, https, ws or wss.
        allow_http: hosts that may be spoken to in clear, as the community file names them.
    """
    address = urlsplit(url)
    host = address.hostname or ""
    return address.scheme in IN_CLEAR and not is_loopback(host) and host not in {one.lower() for one in allow_http}


def refuse_clear(url: str, allow_http: Collection[str], *, where: str) -> None:
    """Refuse an address to which secrets would travel in clear.

    Args:
        url: see `goes_in_clear`.
        allow_http: see `goes_in_clear`.
        where: whose it is, for the message: `exchange`, `source 'roof'`.

    Raises:
        ConfigurationError: its scheme has no encryption, its host isn't this machine, and isn't allowed by name.
    """
    if goes_in_clear(url, allow_http):
        address = urlsplit(url)
        raise ConfigurationError(
            [
                Issue(
                    where=where,
                    field="url",
                    problem=f"{address.scheme} to {address.hostname}: secrets would travel in clear",
                    remedy=clear_remedy(address.scheme, address.hostname or ""),
                )
            ]
        )


def clear_remedy(scheme: str, host: str) -> str:
    """What to do about an address in clear."""
    return f"Write {IN_CLEAR[scheme]}; or, where the way there is your own, allow it by name: allow_http: [{host}]"


def host_of(location: str) -> str:
    """The host in a redirect's address; empty where there is none that can be read."""
    try:
        return urlsplit(location).hostname or ""
    except ValueError:
        return ""


def origin(scheme: str, host: str, port: int | None) -> tuple[str, str, int | None]:
    """What two addresses must share so that a secret may travel to both (RFC 6454, 4)."""
    return scheme, host.lower(), port if port is not None else PORTS.get(scheme)
