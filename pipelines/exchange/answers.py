"""What an answer of the exchange means for the one who asked: go on, try again, or stop and tell.

2xx says that a request was queued, never that its value will be used.
"""

import json
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urljoin, urlsplit

import httpx

from pipelines.errors import ExchangeMoved, ExchangeUnavailable, RejectedError
from pipelines.headers import retry_after_s
from pipelines.hosts import host_of
from pipelines.plain import plain

SHOWN = 200
"""Characters of an unexpected body that go into a message."""

READ = 1 << 20
"""Characters that are searched for secrets first: so many that of a secret at their end nothing is shown (ours)."""

BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Status codes after which a later try may succeed."""

FOR_GOOD = frozenset({301, 308})
"""Redirects that are meant to stay (RFC 9110, 15.4); others may be gone at the next try, as one to a page that tells of
maintenance is."""


def json_of(
    response: httpx.Response, *, step: str, now: datetime, hide: Callable[[str], str], quote: bool = True
) -> object:
    """The answer's JSON, if it is a success that means it.

    Args:
        response: the answer; a 401 has been dealt with before.
        step: what was asked, for messages: `forecast of asset 'PV 1'`.
        now: present time, for Retry-After.
        hide: takes secrets out of the exchange's words, before they are cut.
        quote: whether the body may be quoted in messages.

    Raises:
        ExchangeUnavailable: busy, broken, or a success whose body is no JSON, says something twice or is empty (a
            proxy's page, a truncated answer, or what GSy's own client takes for "not posted").
        ExchangeMoved: the exchange sends us elsewhere; no token follows a redirect.
        RejectedError: refused for good, by status or by an error inside a 200.
    """
    status = response.status_code
    if status in BUSY:
        wait = retry_after_s(response.headers.get("Retry-After"), now)
        raise ExchangeUnavailable(f"{step}: the exchange answered {status}", retry_after_s=wait)
    if response.is_redirect:
        raise _moved(response, step=step, hide=hide)

    def shown() -> str:
        return _shown(response, hide) if quote else "(not quoted)"

    if not response.is_success:
        raise RejectedError(f"{step}: the exchange answered {status}: {shown()}")
    try:
        body = json.loads(response.content, object_pairs_hook=_each_once)
    except _KeyTwiceError:
        raise ExchangeUnavailable(f"{step}: answered {status} with a key that stands there twice: {shown()}") from None
    except (ValueError, RecursionError):  # no part of what is raised: it holds the whole document
        raise ExchangeUnavailable(f"{step}: answered {status} without JSON: {shown()}") from None
    if not body and body != []:
        raise ExchangeUnavailable(f"{step}: answered {status} with an empty body, so nothing was queued")
    if isinstance(body, dict) and (body.get("status") == "error" or "error" in body):
        reason = body.get("error") or body.get("error_message") or body.get("message") or body.get("msg")
        reason = reason or "without saying why"
        words = plain(hide(str(reason)[:READ]))[:SHOWN] if quote else "(not quoted)"
        raise RejectedError(f"{step}: the exchange refuses it: {words}")
    return body


def _moved(response: httpx.Response, *, step: str, hide: Callable[[str], str]) -> ExchangeMoved:
    """A redirect, told by its host: the rest of the address may hold what was sent."""
    asked, status = response.request.url, response.status_code
    location = response.headers.get("Location", "")
    try:
        target = urlsplit(urljoin(str(asked), location)) if location else None
    except ValueError:
        target = None
    host = plain(hide(host_of(target.geturl()))) if target else ""
    if target and asked.scheme == "http" and target.scheme == "https" and target.hostname == asked.host:
        told = f"{step}: redirected to https at {host}; write https in `exchange.base_url`: http is read on the way"
        return ExchangeMoved(told, for_good=True)
    told = (
        f"{step}: redirected to {host or 'elsewhere'} ({status}), where nothing is sent; correct `exchange.base_url`, "
        "or see to the proxy before the exchange"
    )
    return ExchangeMoved(told, for_good=status in FOR_GOOD)


class _KeyTwiceError(ValueError):
    """Of two values for one key nobody knows which is meant (RFC 8259, 4)."""


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _KeyTwiceError
    return found


def _shown(response: httpx.Response, hide: Callable[[str], str]) -> str:
    return plain(hide(" ".join(response.text[:READ].split())))[:SHOWN] or "empty body"
