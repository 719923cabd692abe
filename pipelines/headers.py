"""What HTTP headers tell about time."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header, in either of its forms (RFC 9110, 10.2.3); None where it says nothing.

    Args:
        value: the header.
        now: the server's present time, against which a date counts.
    """
    if not value:
        return None
    text = value.strip()
    if text.isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - now).total_seconds())


def server_time(headers: httpx.Headers) -> datetime | None:
    """The time the server gives its answer (header Date); None where it gives none that can be read."""
    try:
        return parsedate_to_datetime(headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return None
