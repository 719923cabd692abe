"""The exchange's web page: what its users may see, drawn on the server. It changes nothing but the login."""

import math
from base64 import b64encode
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipelines.errors import AuthenticationError
from pipelines.sandbox.exchange.accounts.people import Role, Visitor
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.engine.tallies import dso_stats
from pipelines.sandbox.exchange.engine.twin import Asset
from pipelines.sandbox.exchange.pages import docs_page, session
from pipelines.sandbox.exchange.pages.charts import bars, sparkline
from pipelines.sandbox.exchange.pages.overview import Days, activity, last_day, measured, with_profile
from pipelines.sandbox.exchange.wire.clearing import last_cleared
from pipelines.sandbox.exchange.wire.login import log_in

FOLDER = Path(__file__).parent / "templates"

ON_A_PAGE = 100
"""Assets, markets or lines of the audit log; ours."""

_CSS = (FOLDER / "page.css").read_text(encoding="utf-8")

_STYLE_HASH = b64encode(sha256(_CSS.encode()).digest()).decode()

HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: a browser would then send `Origin: null` with the forms.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

REFUSALS = {
    400: "This request makes no sense here.",
    403: "This isn't yours to see.",
    404: "There is no such page.",
    413: "That is too large.",
    429: "Too many failed logins.",
}
"""Titles of the pages that refuse."""


@dataclass(frozen=True, kw_only=True)
class Pager:
    """A part of a long list."""

    items: Sequence[Any]
    total: int
    number: int
    last: int


def router(ctn: Ctn) -> APIRouter:
    """Every page."""
    routes = APIRouter(route_class=PageRoute, include_in_schema=False)
    days = Days(ctn)
    _add_login(routes, ctn)
    _add_assets(routes, ctn, days)
    _add_rest(routes, ctn)
    return routes


class PageRoute(APIRoute):
    """Tells refusals as pages; whoever isn't logged in is led to the login."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler with pages for refusals."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except HTTPException as refused:
                if refused.status_code == 401:
                    return RedirectResponse("/login", 303, HEADERS)
                title = REFUSALS[refused.status_code]
                content = {"visitor": None, "title": title, "detail": refused.detail}
                return page("refused.html.j2", content, status=refused.status_code, headers=refused.headers)

        return handle


def _add_login(routes: APIRouter, ctn: Ctn) -> None:
    @routes.get("/login")
    async def login() -> Response:
        return _login_page(ctn)

    @routes.post("/login")
    async def try_login(request: Request) -> Response:
        form = await session.form_of(request)
        username = form.get("username", "")
        try:
            token = await log_in(ctn, username, form.get("password"))
        except AuthenticationError as error:
            return _login_page(ctn, username=username, problem=str(error), status=401)
        except HTTPException as throttled:
            return _login_page(ctn, username=username, problem=throttled.detail, status=429, headers=throttled.headers)
        response = RedirectResponse("/", 303, HEADERS)
        session.begin(response, token)
        return response

    @routes.post("/logout")
    async def logout(request: Request) -> Response:
        await session.form_of(request)
        response = RedirectResponse("/login", 303, HEADERS)
        session.end(response)
        return response


def _add_assets(routes: APIRouter, ctn: Ctn, days: Days) -> None:
    @routes.get("/")
    async def overview(request: Request) -> Response:
        visitor = session.visitor_of(ctn, request)
        if visitor.role is Role.GRID_OPERATOR:
            return RedirectResponse("/markets", 303, HEADERS)
        wanted = request.query_params.get("filter", "").strip()
        seen = [asset for asset in ctn.twin.assets.values() if visitor.may_see(asset.uuid)]
        found = _paged(_named(_matching(ctn, seen, wanted)), request)
        start, end = last_day(ctn)
        used = await days.used(found.items, start, end)
        uuids = [asset.uuid for asset in found.items]
        content = {
            "ctn": ctn,
            "seen": len(seen),
            "wanted": wanted,
            "pager": found,
            "used": used,
            "totals": {uuid: sum(slot.energy_kwh for slot in slots) for uuid, slots in used.items()},
            "lines": {uuid: sparkline([slot.energy_kwh for slot in slots]) for uuid, slots in used.items()},
            "activity": activity(ctn, uuids),
            "with_profile": with_profile(ctn, uuids),
            "start": start,
        }
        return page("overview.html.j2", _shell(visitor, "Assets") | content)

    @routes.get("/assets/{uuid:path}")
    async def asset(uuid: str, request: Request) -> Response:
        visitor = session.visitor_of(ctn, request)
        if (found := ctn.twin.assets.get(uuid)) is None:
            raise HTTPException(404, "No asset of this exchange has this uuid.")
        if not visitor.may_see(uuid):
            ctn.audit.forbid(visitor, "page-asset", uuid)
        start, end = last_day(ctn)
        used = (await days.used([found], start, end))[uuid]
        own = None if visitor.manages else visitor.username
        content = {
            "ctn": ctn,
            "asset": found,
            "start": start,
            "slots": used[::-1],
            "total": sum(slot.energy_kwh for slot in used),
            "drawn": list(zip(used, bars([slot.energy_kwh for slot in used]), strict=True)),
            "top": max(slot.energy_kwh for slot in used),
            "measured": measured(ctn, uuid, start, end),
            "grants": ctn.people.grants.listed(username=own, subject=uuid),
            "activity": activity(ctn, [uuid])[uuid],
            "has_profile": bool(with_profile(ctn, [uuid])),
        }
        return page("asset.html.j2", _shell(visitor, found.name) | content)


def _add_rest(routes: APIRouter, ctn: Ctn) -> None:
    @routes.get("/markets")
    async def markets(request: Request) -> Response:
        visitor = session.visitor_of(ctn, request)
        if not visitor.manages and visitor.role is not Role.GRID_OPERATOR:
            ctn.audit.forbid(visitor, "page-markets", "")
        seen = [market for market in ctn.twin.markets.values() if visitor.may_operate(market.uuid)]
        found = _paged(sorted(seen, key=lambda market: (market.name.casefold(), market.uuid)), request)
        cleared = last_cleared(ctn)
        stats = {market.uuid: dso_stats(cleared.tallies[market.uuid]) for market in found.items}
        content = {"ctn": ctn, "pager": found, "stats": stats, "slot": cleared.slot}
        return page("markets.html.j2", _shell(visitor, "Markets") | content)

    @routes.get("/audit")
    async def audit(request: Request) -> Response:
        visitor = session.visitor_of(ctn, request)
        if not visitor.manages:
            ctn.audit.forbid(visitor, "page-audit", "")
        before = _whole_number(request.query_params.get("before"))
        lines = ctn.audit.lines(limit=ON_A_PAGE + 1, before=before)
        content = {"lines": lines[:ON_A_PAGE], "more": len(lines) > ON_A_PAGE, "before": before}
        return page("audit.html.j2", _shell(visitor, "Audit log") | content)

    @routes.get("/docs")
    async def docs(request: Request) -> Response:
        try:
            visitor: Visitor | None = session.visitor_of(ctn, request)
        except HTTPException:
            # What the API is like is no secret: its description stands open under /sandbox/.
            visitor = None
        content = {"visitor": visitor, "title": "API"} | docs_page.content(request.app.openapi())
        return page("docs.html.j2", content)


def page(
    template: str, content: Mapping[str, object], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A page of a template."""
    html = _ENVIRONMENT.get_template(template).render(content)
    # A path or a body may hold lone surrogates, which can't be written.
    return HTMLResponse(html.encode("utf-8", "replace"), status, {**HEADERS, **(headers or {})})


def _login_page(
    ctn: Ctn,
    *,
    username: str = "",
    problem: str | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    content = {"visitor": None, "title": "Log in", "name": ctn.twin.name, "username": username, "problem": problem}
    return page("login.html.j2", content, status=status, headers=headers)


def _shell(visitor: Visitor, title: str) -> dict[str, object]:
    return {"visitor": visitor, "title": title}


def _matching(ctn: Ctn, assets: Sequence[Asset], wanted: str) -> list[Asset]:
    words = wanted.casefold().split()

    def text(asset: Asset) -> str:
        return f"{asset.name}\n{asset.type}\n{ctn.twin.markets[asset.market].name}\n{asset.uuid}".casefold()

    return [asset for asset in assets if all(word in text(asset) for word in words)]


def _named(assets: Sequence[Asset]) -> list[Asset]:
    return sorted(assets, key=lambda asset: (asset.name.casefold(), asset.uuid))


def _paged(items: Sequence[Any], request: Request) -> Pager:
    last = max(1, math.ceil(len(items) / ON_A_PAGE))
    number = min(_whole_number(request.query_params.get("page")) or 1, last)
    return Pager(items=items[(number - 1) * ON_A_PAGE : number * ON_A_PAGE], total=len(items), number=number, last=last)


def _whole_number(text: str | None) -> int | None:
    """A positive number of a query; None where it is none."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 18:
        return None
    return int(text) or None


def _kwh(energy: float) -> str:
    """A number that fits a cell, whatever a client has posted."""
    if 0 < abs(energy) < 0.0005 or abs(energy) >= 1e9:
        return f"{energy:.3g}"
    return f"{energy:,.3f}"


def _moment(instant: datetime | None) -> str:
    return "" if instant is None else f"{instant:%Y-%m-%d %H:%M:%S}"


def _path(text: str) -> str:
    return quote(text, safe="", errors="replace")


def _query(**values: object) -> str:
    return urlencode({name: value for name, value in values.items() if value}, errors="replace")


def _environment() -> Environment:
    made = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.filters |= {"kwh": _kwh, "moment": _moment, "in_path": _path}
    made.globals |= {"css": Markup(_CSS), "query": _query, "Role": Role}  # noqa: S704 - our own file
    return made


_ENVIRONMENT = _environment()
