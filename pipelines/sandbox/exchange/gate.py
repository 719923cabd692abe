"""What every request passes before the exchange sees it: the market's time, the journal, the faults, the headers.

A plain ASGI middleware; it reads the body once and hands the handler a `Visit`.
"""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import cast

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.clock import Clock
from pipelines.sandbox.exchange.accounts import Accounts
from pipelines.sandbox.exchange.commands import read_json
from pipelines.sandbox.exchange.faults import Fault, Faults, Occasion, Rule
from pipelines.sandbox.exchange.journal import Entry, Journal
from pipelines.sandbox.exchange.market import Market

API_VERSION = "1.3.0"
"""What GSy's SDK of 2025-04-17 calls itself; it warns when the exchange's is higher."""

CONTROL = "/sandbox/"
"""Paths that belong to the sandbox itself: no journal, no faults."""

HangUp = Callable[[Scope, bool], None]
"""Closes a request's connection; with True so that the client sees a reset (RST), else an end (FIN)."""

_ASSET = re.compile(r"/(?:external-connection/api|historical-data/(?:assets|devices))/[^/]+/([^/]+)/")
_ENERGY = re.compile(r"/external-connection/api/[^/]+/[^/]+/set[-_]energy[-_](?:forecast|measurement)/")
_VISIT = "slotfeed.visit"


def refuse_to_answer(scope: Scope, reset: bool) -> None:  # noqa: ARG001 - the shape of HangUp
    """Hangs up where there is no connection: the caller in this process gets the error a socket would give.

    Raises:
        ConnectionResetError: always.
    """
    raise ConnectionResetError(f"The sandbox closed the connection of {scope['method']} {scope['path']}")


@dataclass(slots=True)
class Visit:
    """What the gate tells the handler of a request, and what the handler tells back through the journal's entry."""

    body: object
    """Parsed JSON; None where there is none or where it is broken."""

    broken: str | None
    """Why the body is no JSON."""

    rule: Rule | None
    entry: Entry

    def scaled(self, energy_kwh: float) -> float:
        """The energy as it is applied."""
        return energy_kwh * self.rule.factor if self.rule and self.rule.do is Fault.SCALE else energy_kwh

    @property
    def dropped(self) -> bool:
        """Whether the command is to be thrown away."""
        return self.rule is not None and self.rule.do is Fault.DROP


def visit_of(request: Request) -> Visit:
    """What the gate noted of the request."""
    return cast("Visit", request.scope[_VISIT])


class Gate:
    """The middleware. `hang_up` is the server's way to close a connection."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        market: Market,
        accounts: Accounts,
        clock: Clock,
        journal: Journal,
        faults: Faults,
        hang_up: HangUp,
    ) -> None:
        self._app = app
        self._market = market
        self._accounts = accounts
        self._clock = clock
        self._journal = journal
        self._faults = faults
        self._hang_up = hang_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"].startswith(CONTROL):
            self._market.advance(self._clock.now())
            await self._app(scope, receive, self._answering(send, None))
        elif (body := await _whole(receive)) is not None:
            await self._serve(scope, receive, send, body)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        now = self._clock.now()
        self._market.advance(now)
        visit = self._visit(scope, body, now)
        scope[_VISIT] = visit
        answering = self._answering(send, visit.entry)
        match visit.rule.do if visit.rule else None:
            case Fault.STATUS | Fault.HTML | Fault.EMPTY:
                await _instead(cast("Rule", visit.rule))(scope, receive, answering)
                return
            case Fault.RESET:
                await self._close(scope, receive, reset=True)
                return
            case Fault.LOSE_REPLY:
                await self._app(scope, receive, _into_the_void)
                await self._close(scope, receive, reset=False)
                return
            case Fault.DELAY:
                await asyncio.sleep(cast("Rule", visit.rule).seconds)
                # It counts as arrived when it is handled, perhaps a slot later.
                self._market.advance(self._clock.now())
            case Fault.EXPIRE_TOKENS:
                self._accounts.expire_all()
        await self._app(scope, receive, answering)

    def _visit(self, scope: Scope, body: bytes, now: datetime) -> Visit:
        path, parsed, broken = scope["path"], None, None
        try:
            parsed = read_json(body) if body else None
        except ValueError as error:
            broken = str(error)
        found = _ASSET.match(path)
        asset = found.group(1) if found else None
        carries_energy = scope["method"] == "POST" and _ENERGY.fullmatch(path) is not None
        rule = self._faults.meet(
            Occasion(path=path, asset=asset, slot=self._market.slot, carries_energy=carries_energy)
        )
        entry = self._journal.open_entry(at=now, method=scope["method"], path=path, asset=asset, body=parsed)
        entry.fault = rule.do if rule else None
        return Visit(parsed, broken, rule, entry)

    async def _close(self, scope: Scope, receive: Receive, *, reset: bool) -> None:
        self._hang_up(scope, reset)
        # The server answers 500 for an app that returns in silence, unless it has seen the connection go.
        while (await receive())["type"] != "http.disconnect":
            pass

    def _answering(self, send: Send, entry: Entry | None) -> Send:
        """`send` with the sandbox's own headers, noting the status."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = format_datetime(self._clock.now(), usegmt=True).encode("ascii")
                own = ((b"date", date), (b"api-version", API_VERSION.encode("ascii")))
                message["headers"] = [*message.get("headers", ()), *own]
                if entry is not None:
                    entry.status = message["status"]
            await send(message)

        return answer


async def _whole(receive: Receive) -> bytes | None:
    """The request's body; None where the client left before its end."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body


async def _into_the_void(_: Message) -> None:
    """A `send` nobody hears."""


def _instead(rule: Rule) -> Response:
    """The answer a fault gives in the handler's place."""
    if rule.do is Fault.HTML:
        return HTMLResponse("<!DOCTYPE html><title>Grid Singularity</title><p>Please log in.</p>")
    if rule.do is Fault.EMPTY:
        return Response("{}", media_type="application/json")
    headers = {"Retry-After": rule.retry_after} if rule.retry_after is not None else None
    detail = json.dumps({"detail": f"The sandbox was told to answer {rule.status}."})
    return Response(detail, rule.status, headers, media_type="application/json")
