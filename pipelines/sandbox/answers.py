"""How the sandbox writes JSON, and how it describes requests it reads by hand."""

import json
from typing import Any

from starlette.responses import Response


def json_answer(content: object, status: int = 200) -> Response:
    """A JSON answer in plain ASCII, so that whatever text a client sent can be sent back."""
    return Response(json.dumps(content, separators=(",", ":")), status, media_type="application/json")


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
