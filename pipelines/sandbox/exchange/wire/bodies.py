"""Bodies of requests: read whole, and read as JSON."""

from typing import Any

import orjson
from starlette.types import Message, Receive

from pipelines.sandbox.exchange.wire.commands import read_json


class TooLarge(Exception):
    """The body is larger than it may be."""


async def whole(receive: Receive, most: int) -> bytes | None:
    """The request's body; None where the client left before its end.

    Raises:
        TooLarge: it has more than `most` bytes.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        # Nearly every body comes in one piece.
        first: bytes = message.get("body", b"")
        if len(first) > most:
            raise TooLarge
        return first
    pieces, size = [], 0
    while message["type"] != "http.disconnect":
        piece: bytes = message.get("body", b"")
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise TooLarge
        if not message.get("more_body", False):
            return b"".join(pieces)
        message = await receive()
    return None


def json_of(body: bytes) -> Any:  # noqa: ANN401 - whatever a client may send
    """The JSON value of a body.

    Raises:
        ValueError: no JSON, see `read_json`.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # It refuses some things that the slower parser takes, such as lone surrogates and huge integers.
        return read_json(body)


def again(body: bytes, receive: Receive) -> Receive:
    """`receive` for a handler that reads the body itself, though it has been read already."""
    told = False

    async def receive_again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
