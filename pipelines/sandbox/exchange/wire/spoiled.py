"""Answers that a fault spoils."""

import json
import re
from datetime import datetime, timedelta
from email.utils import format_datetime

from starlette.responses import HTMLResponse, Response
from starlette.types import Message, Send

from pipelines.sandbox.exchange.faults import Fault, Rule

_DATE = re.compile(r"date\+(\d{1,7})", re.ASCII)


def instead(rule: Rule, now: datetime, *, path: str) -> Response:
    """The answer a fault gives in the handler's place.

    Args:
        rule: of kind STATUS, HTML, EMPTY, REPLACE or REDIRECT.
        now: by the sandbox's clock.
        path: of the request.
    """
    if rule.do is Fault.HTML:
        return HTMLResponse("<!DOCTYPE html><title>Grid Singularity</title><p>Please log in.</p>")
    if rule.do is Fault.EMPTY:
        return Response("{}", media_type="application/json")
    if rule.do is Fault.REPLACE:
        return Response(rule.body, media_type="application/json")
    if rule.do is Fault.REDIRECT:
        return Response(status_code=307, headers={"Location": rule.location + path})
    headers = None if rule.retry_after is None else {"Retry-After": _retry_after(rule.retry_after, now)}
    detail = json.dumps({"detail": f"The sandbox was told to answer {rule.status}."})
    return Response(detail, rule.status, headers, media_type="application/json")


def halving(send: Send) -> Send:
    """`send` that tells the whole Content-Length, half the body, and nothing after it."""
    told = False

    async def send_half(message: Message) -> None:
        nonlocal told
        if message["type"] == "http.response.start":
            await send(message)
        elif not told:
            told = True
            body = message.get("body", b"")
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})

    return send_half


async def into_the_void(_: Message) -> None:
    """A `send` nobody hears."""


def _retry_after(text: str, now: datetime) -> str:
    if (found := _DATE.fullmatch(text)) is None:
        return text
    return format_datetime(now + timedelta(seconds=int(found[1])), usegmt=True)
