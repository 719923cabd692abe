"""What every request passes before the exchange sees it: the market's time, the journal, the faults, the headers.

A plain ASGI middleware; it reads the body once and hands the handler a `Visit`.
"""

import asyncio
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.sandbox.answers import dripping, json_answer
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.faults import Fault, Occasion, Rule
from pipelines.sandbox.exchange.journal import Entry
from pipelines.sandbox.exchange.visit import VISIT, Visit
from pipelines.sandbox.exchange.wire.bodies import TooLarge, again, json_of, whole
from pipelines.sandbox.exchange.wire.paths import ENERGY, asset_in, assets_in, is_batch, is_own, largest_body
from pipelines.sandbox.exchange.wire.spoiled import halving, instead, into_the_void

API_VERSION = "1.3.0"
"""What GSy's SDK of 2025-04-17 calls itself; it warns when the exchange's is higher."""

_VERSION = (b"api-version", API_VERSION.encode("ascii"))


class Gate:
    """The middleware."""

    def __init__(self, app: ASGIApp, *, ctn: Ctn) -> None:
        self._app = app
        self._ctn = ctn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        if is_own(path):
            self._ctn.advance()
            await self._app(scope, receive, self._answering(send, None))
            return
        most = largest_body(path)
        try:
            body = await whole(receive, most)
        except TooLarge:
            entry = self._entry(scope, self._ctn.clock.now(), asset_in(path), None)
            refusal = json_answer({"detail": f"Request body exceeded {most} bytes."}, 413)
            await refusal(scope, receive, self._answering(send, entry))
            return
        if body is not None:
            await self._serve(scope, receive, send, body)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        now = self._ctn.clock.now()
        self._ctn.advance()
        visit = scope[VISIT] = self._visit(scope, body, now)
        answering = self._answering(send, visit.entry)
        if visit.rule is None:
            await self._app(scope, again(body, receive), answering)
            return
        match visit.rule.do:
            case Fault.STATUS | Fault.HTML | Fault.EMPTY | Fault.REPLACE | Fault.REDIRECT:
                await instead(visit.rule, now, path=scope["path"])(scope, receive, answering)
                return
            case Fault.RESET:
                await self._close(scope, receive, reset=True)
                return
            case Fault.LOSE_REPLY:
                await self._app(scope, again(body, receive), into_the_void)
                await self._close(scope, receive, reset=False)
                return
            case Fault.TRUNCATE:
                await self._app(scope, again(body, receive), halving(answering))
                await self._close(scope, receive, reset=False)
                return
            case Fault.DRIP:
                answering = dripping(answering, visit.rule.seconds)
            case Fault.DELAY:
                await asyncio.sleep(visit.rule.seconds)
                # It counts as arrived when it is handled, perhaps a slot later.
                self._ctn.advance()
            case Fault.EXPIRE_TOKENS:
                self._ctn.people.expire_all()
        await self._app(scope, again(body, receive), answering)

    def _visit(self, scope: Scope, body: bytes, now: datetime) -> Visit:
        path, parsed, broken = scope["path"], None, None
        try:
            parsed = json_of(body) if body else None
        except ValueError as error:
            broken = str(error)
        asset = asset_in(path)
        rule = self._met(scope["method"], path, parsed) if self._ctn.faults else None
        entry = self._entry(scope, now, asset, parsed)
        entry.fault = rule.do if rule else None
        return Visit(parsed, broken, rule, entry)

    def _entry(self, scope: Scope, now: datetime, asset: str | None, body: object) -> Entry:
        return self._ctn.journal.open_entry(at=now, method=scope["method"], path=scope["path"], asset=asset, body=body)

    def _met(self, method: str, path: str, body: object) -> Rule | None:
        known = self._ctn.twin.assets
        uuids = assets_in(path, body)
        return self._ctn.faults.meet(
            Occasion(
                path=path,
                assets={*uuids, *(known[uuid].name for uuid in uuids if uuid in known)},
                slot=self._ctn.market.slot,
                carries_energy=method == "POST" and (ENERGY.fullmatch(path) is not None or is_batch(path)),
            )
        )

    async def _close(self, scope: Scope, receive: Receive, *, reset: bool) -> None:
        self._ctn.hang_up(scope, reset)
        # The server answers 500 for an app that returns in silence, unless it has seen the connection go.
        while (await receive())["type"] != "http.disconnect":
            pass

    def _answering(self, send: Send, entry: Entry | None) -> Send:
        """`send` with the sandbox's own headers, noting the status."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = _http_date(self._ctn.clock.now().replace(microsecond=0))
                message["headers"] = [*message.get("headers", ()), (b"date", date), _VERSION]
                if entry is not None:
                    entry.status = message["status"]
            await send(message)

        return answer


@lru_cache(maxsize=4)
def _http_date(now: datetime) -> bytes:
    return format_datetime(now, usegmt=True).encode("ascii")
