"""The login, as GSy's clients send it."""

from fastapi import APIRouter, HTTPException, Request, Response

from pipelines.errors import AuthenticationError
from pipelines.sandbox.answers import described, json_answer
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.visit import visit_of

_TEXT = {"type": "string"}


def router(ctn: Ctn) -> APIRouter:
    """POST /api-token-auth/."""
    routes = APIRouter()

    @routes.post("/api-token-auth/", openapi_extra=described({"username": _TEXT, "password": _TEXT}))
    async def login(request: Request) -> Response:
        """Give a token for a user name and password."""
        visit = visit_of(request)
        if visit.broken is not None:
            raise HTTPException(400, f"JSON parse error - {visit.broken}")
        given = visit.body if isinstance(visit.body, dict) else {}
        try:
            token = await log_in(ctn, given.get("username"), given.get("password"))
        except AuthenticationError as error:
            raise HTTPException(401, str(error)) from error
        # Under both keys that clients have read.
        return json_answer({"access": token, "token": token})

    return routes


async def log_in(ctn: Ctn, username: object, password: object) -> str:
    """A new token; a refusal is noted in the audit log.

    Raises:
        AuthenticationError: name or password is wrong.
        HTTPException: 429 after too many failures.
    """
    try:
        return await ctn.people.login(username, password)
    except AuthenticationError:
        known = isinstance(username, str) and ctn.people.find(username) is not None
        # Who mistakes the fields writes a password where the name belongs: no unknown name gets into the log.
        ctn.audit.note(str(username) if known else "(unknown)", "login", "", "refused")
        raise
