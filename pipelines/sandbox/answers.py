"""How the sandbox writes JSON, how slowly it may send, and how it describes requests it reads by hand."""

import asyncio
import json
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Send


def json_answer(content: object, status: int = 200) -> Response:
    """A JSON answer in plain ASCII, so that whatever text a client sent can be sent back."""
    return Response(json.dumps(content, separators=(",", ":")), status, media_type="application/json")


def dripping(send: Send, seconds: float) -> Send:
    """`send` that lets a body fall byte by byte, `seconds` before each."""

    async def send_slowly(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        for byte in message.get("body", b""):
            await asyncio.sleep(seconds)
            await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
        await send({**message, "body": b""})

    return send_slowly


def described(properties: dict[str, Any], *, in_path: tuple[str, ...] = ()) -> dict[str, Any]:
    """OpenAPI of a request: a JSON body with these keys and an optional transaction_id, and texts in the path."""
    schema = {
        "type": "object",
        "required": list(properties),
        "properties": {**properties, "transaction_id": {"type": "string", "format": "uuid"}},
        "additionalProperties": False,
    }
    return {
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in in_path
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
    }
