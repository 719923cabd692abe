"""How commands are read and answered over HTTP, beside the energy posts."""

from collections.abc import Mapping
from typing import Any

from fastapi import HTTPException, Request, Response
from starlette.background import BackgroundTask

from pipelines.sandbox.answers import json_answer
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.engine.pending import Answer, Pending
from pipelines.sandbox.exchange.visit import visit_of


def body_of(request: Request) -> dict[str, Any]:
    """The request's JSON object; an empty one where there is no body.

    Raises:
        HTTPException: 400, it is no JSON or no object.
    """
    visit = visit_of(request)
    if visit.broken is not None:
        raise HTTPException(400, f"JSON parse error - {visit.broken}")
    if visit.body is None:
        return {}
    if not isinstance(visit.body, dict):
        raise HTTPException(400, f"Invalid data. Expected a dictionary, but got {type(visit.body).__name__}.")
    return visit.body


def text_of(body: Mapping[str, Any], key: str, *, longest: int = 200) -> str:
    """A text of the body.

    Raises:
        HTTPException: 400, there is none, or it is too long (ours).
    """
    value = body.get(key)
    if not isinstance(value, str) or not value.strip():
        raise HTTPException(400, f"{key}: This field is required.")
    if len(value) > longest or not value.isprintable():
        raise HTTPException(400, f"{key}: Ensure this field has no more than {longest} printable characters.")
    return value


def answered(ctn: Ctn, request: Request, to: str, answer: Answer) -> Response:
    """Reply with an answer, and then tell those who listen to `to` the same."""
    visit_of(request).entry.answer = str(answer.get("status", "ready"))
    response = json_answer(answer)
    response.background = BackgroundTask(_tell, ctn, to, answer)
    return response


async def _tell(ctn: Ctn, to: str, answer: Answer) -> None:
    # Of the event loop's own: what isn't async is put on another thread, where the mailboxes may not be filled.
    ctn.hub.tell(to, answer)


def carried_out(ctn: Ctn, request: Request, command: Pending, name: str) -> Response:
    """Carry a command out now or at the next tick; a reply that has no answer yet says that it waits."""
    answer = ctn.take(command)
    if answer is None:
        return json_answer(
            {"command": name, "status": "queued", "transaction_id": body_of(request).get("transaction_id")}
        )
    return answered(ctn, request, command.to, answer)
