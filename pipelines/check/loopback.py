"""Whether a host is this machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """True for loopback addresses and the names that stand for them."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
