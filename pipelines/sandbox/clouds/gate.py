"""What every request passes before a vendor sees it: the journal, the faults, the Date of the sandbox's clock."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import format_datetime
from typing import cast

from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.sandbox.answers import dripping
from pipelines.sandbox.clouds.faults import CloudFault, CloudRule
from pipelines.sandbox.clouds.journal import CloudEntry
from pipelines.sandbox.clouds.world import World
from pipelines.sandbox.connections import HangUp
from pipelines.sandbox.controls import CONTROL


@dataclass(frozen=True, kw_only=True)
class Served:
    """One vendor, as the gate sees it."""

    name: str
    prefix: str
    routes: Sequence[BaseRoute]

    def template(self, path: str) -> str | None:
        """The path below the prefix with the names of its parameters in place of their values; None for no route's."""
        below = path.removeprefix(self.prefix)
        # Asked of the routes, not of the router's own choice: a fault may keep the request from ever getting there.
        known = (route for route in self.routes if isinstance(route, Route | WebSocketRoute))
        return next((route.path for route in known if route.path_regex.match(below)), None)


class CloudGate:
    """A plain ASGI middleware. `hang_up` is the server's way to close a connection."""

    def __init__(self, app: ASGIApp, *, world: World, served: Iterable[Served], hang_up: HangUp) -> None:
        """Stand before `app`, which serves what `served` lists."""
        self._app = app
        self._world = world
        # The longest first: one vendor's prefix may begin with another's.
        self._served = sorted(served, key=lambda known: len(known.prefix), reverse=True)
        self._hang_up = hang_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or websocket."""
        path = scope["path"]
        if path.startswith(CONTROL):
            await self._app(scope, receive, self._answering(send, None))
            return
        vendor = next((one for one in self._served if path.startswith(one.prefix)), None)
        entry = self._world.journal.open_entry(
            at=self._world.now(),
            vendor=vendor.name if vendor else "",
            method=scope.get("method", "WEBSOCKET"),
            path=path,
            template=vendor.template(path) if vendor else None,
        )
        rule = self._world.faults.meet(path)
        entry.fault = rule.do.value if rule else None
        await self._serve(scope, receive, self._answering(send, entry), rule)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, rule: CloudRule | None) -> None:
        match rule.do if rule else None:
            case CloudFault.DELAY:
                await asyncio.sleep(cast("CloudRule", rule).seconds)
            case CloudFault.STATUS | CloudFault.HTML | CloudFault.EMPTY | CloudFault.REPLACE | CloudFault.REDIRECT:
                if scope["type"] == "websocket":
                    await _refuse(receive, send)
                else:
                    await _instead(cast("CloudRule", rule), scope["path"])(scope, receive, send)
                return
            case CloudFault.DRIP if scope["type"] == "http":
                await self._app(scope, receive, dripping(send, cast("CloudRule", rule).seconds))
                return
            case CloudFault.RESET:
                await self._close(scope, receive, reset=True)
                return
            case CloudFault.LOSE_REPLY | CloudFault.TRUNCATE if scope["type"] == "websocket":
                # There is no body yet to lose or cut: the handshake stays without an answer.
                await self._close(scope, receive, reset=False)
                return
            case CloudFault.LOSE_REPLY:
                await self._app(scope, receive, _into_the_void)
                await self._close(scope, receive, reset=False)
                return
            case CloudFault.TRUNCATE:
                await self._truncated(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _truncated(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the headers of the whole answer and the first half of its body."""
        kept: list[Message] = []

        async def keep(message: Message) -> None:
            kept.append(message)

        await self._app(scope, receive, keep)
        start = next(message for message in kept if message["type"] == "http.response.start")
        body = b"".join(message.get("body", b"") for message in kept)
        await send(start)
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        await self._close(scope, receive, reset=False)

    async def _close(self, scope: Scope, receive: Receive, *, reset: bool) -> None:
        self._hang_up(scope, reset)
        # The server answers 500 for an app that returns in silence, unless it has seen the connection go.
        while (await receive())["type"] not in {"http.disconnect", "websocket.disconnect"}:
            pass

    def _answering(self, send: Send, entry: CloudEntry | None) -> Send:
        """`send` with the sandbox's Date, noting the status."""

        async def answer(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.accept"}:
                date = format_datetime(self._world.now(), usegmt=True).encode("ascii")
                message["headers"] = [*message.get("headers", ()), (b"date", date)]
                if entry is not None:
                    entry.status = message.get("status")
            await send(message)

        return answer


async def _refuse(receive: Receive, send: Send) -> None:
    """Close a websocket before it is accepted: the handshake is answered 403, all that ASGI can say there."""
    await receive()
    await send({"type": "websocket.close", "code": 1011})


async def _into_the_void(_: Message) -> None:
    """A `send` nobody hears."""


def _instead(rule: CloudRule, path: str) -> Response:
    """The answer a fault gives in the vendor's place."""
    match rule.do:
        case CloudFault.HTML:
            return HTMLResponse("<!DOCTYPE html><title>Portal</title><p>We'll be back soon.</p>")
        case CloudFault.EMPTY:
            return Response(b"", media_type="application/json")
        case CloudFault.REPLACE:
            return Response(rule.body or "{}", media_type="application/json")
        case CloudFault.REDIRECT:
            return Response(status_code=307, headers={"Location": rule.location + path})
    headers = {"Retry-After": rule.retry_after} if rule.retry_after is not None else None
    if rule.body is not None:
        return Response(rule.body, rule.status, headers, media_type="application/json")
    return Response(f"The sandbox was told to answer {rule.status}.", rule.status, headers, media_type="text/plain")
