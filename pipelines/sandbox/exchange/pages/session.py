"""The web page's sessions: a login that lives in a cookie, which no path of the API looks at.

The cookie holds a token as the API gives it out, so it ends when tokens end, and with a change of the password.
"""

from urllib.parse import parse_qs

from fastapi import HTTPException, Request, Response

from pipelines.errors import AuthenticationError
from pipelines.sandbox.exchange.accounts.people import Visitor
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.wire.bodies import TooLarge, whole

COOKIE = "slotfeed_session"

LARGEST_FORM = 16 << 10
"""Bytes of a form; ours: a name and a password are a few hundred."""

MOST_FIELDS = 10


def visitor_of(ctn: Ctn, request: Request) -> Visitor:
    """Whoever is logged in.

    Raises:
        HTTPException: 401, nobody.
    """
    try:
        return ctn.people.admit(f"JWT {request.cookies.get(COOKIE, '')}")
    except AuthenticationError as error:
        raise HTTPException(401, str(error)) from error


def begin(response: Response, token: str) -> None:
    """Let the browser keep the token: out of scripts' reach, and sent from the exchange's own pages alone."""
    response.set_cookie(COOKIE, token, path="/", httponly=True, samesite="strict")


def end(response: Response) -> None:
    """Let the browser forget it."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form that one of the exchange's own pages sent.

    SameSite alone isn't enough: another port of this machine is the same site.

    Raises:
        HTTPException: 403, it comes from elsewhere; 413, it is too large; 400, it is no form.
    """
    if request.headers.get("origin") != f"{request.url.scheme}://{request.headers.get('host')}":
        raise HTTPException(403, "This form was not sent from a page of this exchange.")
    try:
        body = await whole(request.receive, LARGEST_FORM)
    except TooLarge as error:
        raise HTTPException(413, f"A form has at most {LARGEST_FORM} bytes.") from error
    try:
        text = (body or b"").decode("utf-8", "replace")
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise HTTPException(400, "That is no form of this page.") from error
    return {name: values[-1] for name, values in fields.items()}
