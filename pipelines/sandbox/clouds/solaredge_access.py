"""SolarEdge's doors: the API key, and OAuth 2 with refresh tokens that die on their first use."""

import html
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import orjson
from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import QueryParams

from pipelines.sandbox.clouds.world import World

ACCESS_LIFE, REFRESH_LIFE, CODE_LIFE = timedelta(seconds=7200), timedelta(days=30), timedelta(minutes=5)
"""The last is ours."""


class Refused(Exception):
    """What a problem document says."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.headers = status, headers


@dataclass(frozen=True, kw_only=True)
class _Grant:
    """What a code or token gives, and until when."""

    site: str
    ends_at: datetime


class Access:
    """Who may come in: API keys, and OAuth 2 with refresh tokens that die on use."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._codes: dict[str, _Grant] = {}
        self._access: dict[str, _Grant] = {}
        self._refresh: dict[str, _Grant] = {}
        self.retired = False

    def admit(self, request: Request, site: str) -> _Grant | None:
        """The grant of a token; None for the API key, which may read all."""
        if self.retired:
            raise Refused(410, "This version of the API is no longer available.")
        if (key := request.headers.get("x-api-key")) is not None:
            if not _same(key, self._world.secret):
                raise Refused(401, "Invalid API key.")
            return None
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        grant = self._access.get(token) if scheme.lower() == "bearer" else None
        if grant is None or grant.ends_at <= self._world.now():
            raise Refused(401, "Missing, invalid, expired or revoked credentials.")
        if not site:
            raise Refused(403, "This operation is available to API keys only.")
        return grant

    def pass_to(self, grant: _Grant | None, site: str) -> None:
        """Refuse a site that the token isn't for."""
        if grant is not None and grant.site != site:
            raise Refused(403, "You have no access to this site.")

    def consent(self, query: QueryParams) -> Response:
        """The page on which the owner agrees; it stands for the login, the choice of a site and the way back."""
        sites = [unit.site for unit in self._world.fleet.of("solaredge")]
        if query.get("client_id") != self._world.username or not sites:
            return HTMLResponse("<p>Unknown client.", 400)
        code = secrets.token_urlsafe(12)
        site = query.get("site_id", sites[0])
        self._codes[code] = _Grant(site=site, ends_at=self._world.now() + CODE_LIFE)
        back = "https://app.example/callback?" + urlencode({"code": code, "site_id": site})
        return HTMLResponse(
            f"<!DOCTYPE html><title>Consent</title><p>Site {html.escape(site)} is admitted. "
            f"Your code: <code>{code}</code><p>Your browser would now be sent to <code>{html.escape(back)}</code>"
        )

    def token(self, body: bytes) -> Response:
        """Change a code or a refresh token into new tokens; errors are those of RFC 6749."""
        asked, now = _object(body), self._world.now()
        known = _same(asked.get("client_id"), self._world.username)
        if not (_same(asked.get("client_secret"), self._world.secret) and known):
            return json_reply({"error": "invalid_client", "error_description": "Unknown client or wrong secret."}, 401)
        match asked.get("grant_type"):
            case "authorization_code":
                grant = self._codes.pop(str(asked.get("code")), None)
            case "refresh_token":
                # On every use the old one dies at once.
                grant = self._refresh.pop(str(asked.get("refresh_token")), None)
            case _:
                return json_reply({"error": "unsupported_grant_type", "error_description": "Unknown grant_type."}, 400)
        if grant is None or grant.ends_at <= now:
            return json_reply({"error": "invalid_grant", "error_description": "Invalid, used, or expired."}, 400)
        access, refresh = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self._access[access] = _Grant(site=grant.site, ends_at=now + ACCESS_LIFE)
        self._refresh[refresh] = _Grant(site=grant.site, ends_at=now + REFRESH_LIFE)
        return json_reply(
            {
                "access_token": access,
                "refresh_token": refresh,
                "token_type": "Bearer",
                "expires_in": ACCESS_LIFE // timedelta(seconds=1),
            },
            200,
        )

    def revoke(self, body: bytes) -> Response:
        """End a consent by one of its tokens: all tokens of the site. That it takes all is ours."""
        token = str(_object(body).get("token"))
        grant = self._access.get(token) or self._refresh.get(token)
        if grant is not None:
            for kept in (self._access, self._refresh):
                for other in [key for key, value in kept.items() if value.site == grant.site]:
                    del kept[other]
        return Response(status_code=200)


def _same(given: object, right: str) -> bool:
    text = given if isinstance(given, str) else ""
    return secrets.compare_digest(text.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))


def _object(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def json_reply(content: object, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")
