"""What the bodies of the exchange's management share: nothing unknown in them, and refusals that repeat no secret."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from pipelines.errors import RejectedError
from pipelines.sandbox.answers import json_answer
from pipelines.sandbox.exchange.accounts.passwords import LONGEST, SHORTEST

Username = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@+-]{0,149}$")]
"""Django's signs and length of a user name, except that it begins with a letter or digit; that is ours."""

NewPassword = Annotated[str, Field(min_length=SHORTEST, max_length=LONGEST)]
OldPassword = Annotated[str, Field(min_length=1, max_length=LONGEST)]
Uuid = Annotated[str, Field(min_length=1, max_length=100)]


class Form(BaseModel):
    """A body; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class FormRoute(APIRoute):
    """Tells what is wrong with a request without repeating it: FastAPI's own answer holds the input, here passwords."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler with other words for a wrong request."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestValidationError as error:
                faults = [{key: fault[key] for key in ("loc", "msg", "type")} for fault in error.errors()]
                return json_answer({"detail": faults}, 422)

        return handle


@contextmanager
def refusals() -> Iterator[None]:
    """Answers 409 with the reason where the exchange's state forbids what is asked."""
    try:
        yield
    except RejectedError as error:
        raise HTTPException(409, str(error)) from error
