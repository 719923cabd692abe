"""The energy posts, handled below FastAPI's routing: they are nearly all that an exchange gets, and it adds a third.

What a body may be, and how the engine words what it refuses, stands in `commands.py`.
"""

from typing import Any

import orjson
from fastapi import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.sandbox.answers import described, json_answer
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.engine.pending import Answer
from pipelines.sandbox.exchange.visit import VISIT, Visit
from pipelines.sandbox.exchange.wire.admission import admit_holder, known_asset
from pipelines.sandbox.exchange.wire.energy import Order, pending
from pipelines.sandbox.exchange.wire.paths import ENERGY, LARGEST_BODY

ORDERS = {
    "set_energy_forecast": Order.SINGLE,
    "set-energy-forecast": Order.FORECAST,
    "set-energy-measurement": Order.MEASUREMENT,
}
_JSON = (b"content-type", b"application/json")
_KEYED = {"type": "object", "additionalProperties": {"type": "number"}, "example": {"2026-03-02T12:15": 0.25}}


class Posts:
    """Answers the energy posts; hands every other request on."""

    def __init__(self, app: ASGIApp, *, ctn: Ctn) -> None:
        self._app = app
        self._ctn = ctn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        found = ENERGY.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        visit: Visit = scope[VISIT]
        order = ORDERS[found[3]]
        asset = found[2]
        told = False
        headers = [_JSON]
        try:
            status, answer, told = self._answer(scope, visit, found[1], asset, order)
        except HTTPException as refusal:
            status, answer = refusal.status_code, {"detail": refusal.detail}
            headers += [(name.lower().encode(), text.encode()) for name, text in (refusal.headers or {}).items()]
        body = _written(answer)
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        if told:
            self._ctn.hub.tell(asset, answer)

    def _answer(self, scope: Scope, visit: Visit, sim: str, uuid: str, order: Order) -> tuple[int, Answer, bool]:
        """Status, body, and whether the asset's listeners are told the same."""
        ctn = self._ctn
        visitor = admit_holder(ctn, _authorization(scope), sim)
        asset = known_asset(ctn, uuid)
        if not visitor.may_post(uuid):
            ctn.audit.forbid(visitor, order.command, uuid)
        if visit.broken is not None:
            raise HTTPException(400, f"JSON parse error - {visit.broken}")
        answer = ctn.take(pending(ctn, asset, order, visit, by=visitor.username))
        if answer is None:
            transaction = visit.body.get("transaction_id") if isinstance(visit.body, dict) else None
            return 200, {"command": order.command, "status": "queued", "transaction_id": transaction}, False
        return 200, answer, True


def described_paths() -> dict[str, Any]:
    """OpenAPI of the posts."""
    bodies: dict[str, dict[str, Any]] = {
        "set_energy_forecast": {"energy_Wh": {"type": "number"}},
        "set-energy-forecast": {"energy_forecast": _KEYED},
        "set-energy-measurement": {"energy_measurement": _KEYED},
    }
    return {
        f"/external-connection/api/{{sim}}/{{asset}}/{name}/": {
            "post": {
                "summary": order.summary,
                "operationId": name,
                **described(bodies[name], in_path=("sim", "asset")),
                "responses": {
                    "200": {"description": "Buffered (`ready`), waiting (`queued`) or refused (`error`)"},
                    "400": {"description": "The body is no JSON"},
                    "401": {"description": "No valid token"},
                    "403": {"description": "The asset isn't the user's"},
                    "404": {"description": "No such simulation or asset"},
                    "413": {"description": f"The body has more than {LARGEST_BODY} bytes"},
                },
            }
        }
        for name, order in ORDERS.items()
    }


def _authorization(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            text: str = value.decode("latin-1")
            return text
    return None


def _written(answer: Answer) -> bytes:
    try:
        return orjson.dumps(answer)
    except TypeError:
        # Whatever text a client sent can be sent back, lone surrogates and huge integers too.
        return bytes(json_answer(answer).body)
