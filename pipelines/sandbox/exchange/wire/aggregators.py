"""Aggregators over HTTP: making, listing and deleting them, and which asset or market selects which.

Paths, bodies and the keys that GSy's client reads of the replies are its own; the engine's words are those of gsy-e
(redis_connections/aggregator.py). Who may do what is ours.
"""

from uuid import uuid4

from fastapi import APIRouter, HTTPException, Request, Response

from pipelines.sandbox.answers import described, json_answer
from pipelines.sandbox.exchange.accounts.people import Role, Visitor
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.engine.trading import Aggregator
from pipelines.sandbox.exchange.wire.admission import admit
from pipelines.sandbox.exchange.wire.events import tell_selection
from pipelines.sandbox.exchange.wire.reply import body_of, text_of

MOST = 1000
"""Aggregators of one user; ours."""

_API = "/external-connection/aggregator-api/{sim}"
_TEXT = {"type": "string", "maxLength": 200}
_PAIR = {"aggregator_uuid": _TEXT, "device_uuid": _TEXT}


def router(ctn: Ctn) -> APIRouter:
    """The paths below /external-connection/aggregator-api/, but for batch commands."""
    routes = APIRouter()
    _add_aggregators(routes, ctn)
    _add_selections(routes, ctn)
    return routes


def _add_aggregators(routes: APIRouter, ctn: Ctn) -> None:
    @routes.get(_API + "/list-aggregators/")
    @routes.get(_API + "/list-aggregators", include_in_schema=False)
    async def listed(sim: str, request: Request) -> Response:
        """The user's aggregators; whoever manages sees all."""
        visitor = admit(ctn, request, sim)
        return json_answer([{"uuid": one.uuid, "name": one.name} for one in visible(ctn, visitor)])

    @routes.post(_API + "/create-aggregator/", openapi_extra=described({"name": _TEXT}))
    async def create(sim: str, request: Request) -> Response:
        """Make one."""
        visitor = admit(ctn, request, sim)
        if not (visitor.manages or visitor.role in {Role.AGGREGATOR, Role.GRID_OPERATOR}):
            ctn.audit.forbid(visitor, "create-aggregator", "")
        name = text_of(body_of(request), "name")
        if sum(one.username == visitor.username for one in ctn.trading.aggregators.values()) >= MOST:
            raise HTTPException(400, f"You have {MOST} aggregators: delete some first.")
        made = Aggregator(uuid=str(uuid4()), name=name, username=visitor.username)
        ctn.trading.add(made)
        ctn.audit.note(visitor.username, "create-aggregator", made.uuid, "done")
        return json_answer({"uuid": made.uuid, "name": made.name})

    @routes.post(_API + "/delete-aggregator/", openapi_extra=described({"aggregator_uuid": _TEXT}))
    async def remove(sim: str, request: Request) -> Response:
        """Delete one; what had selected it is free."""
        visitor = admit(ctn, request, sim)
        one = usable(ctn, visitor, text_of(body_of(request), "aggregator_uuid"), "delete-aggregator")
        for uuid in ctn.trading.remove(one):
            tell_selection(ctn, one, uuid, selected=False)
        ctn.audit.note(visitor.username, "delete-aggregator", one.uuid, "done")
        return json_answer({"uuid": one.uuid, "aggregator_uuid": one.uuid, "status": "deleted"})


def _add_selections(routes: APIRouter, ctn: Ctn) -> None:
    @routes.post(_API + "/select-aggregator/", openapi_extra=described(_PAIR))
    async def select(sim: str, request: Request) -> Response:
        """Let an asset or market be spoken for by an aggregator; exclusive."""
        visitor = admit(ctn, request, sim)
        body = body_of(request)
        one, device = _pair(ctn, visitor, body, "select-aggregator")
        taken = ctn.trading.selected_by(device)
        answer = {"aggregator_uuid": one.uuid, "device_uuid": device, "transaction_id": body.get("transaction_id")}
        if taken is not None:
            refusal = {"msg": f"Device already have selected {taken}", "status": "error"}
            return json_answer(refusal | answer, 400)
        ctn.trading.select(device, one.uuid)
        tell_selection(ctn, one, device, selected=True)
        ctn.audit.note(visitor.username, "select-aggregator", device, one.uuid)
        return json_answer(answer | {"status": "SELECTED"})

    @routes.post(_API + "/unselect-aggregator/", openapi_extra=described(_PAIR))
    async def unselect(sim: str, request: Request) -> Response:
        """Free an asset or market."""
        visitor = admit(ctn, request, sim)
        body = body_of(request)
        one, device = _pair(ctn, visitor, body, "unselect-aggregator")
        if ctn.trading.selected_by(device) != one.uuid:
            raise HTTPException(400, f"Device {device} has not selected {one.uuid}")
        ctn.trading.select(device, None)
        tell_selection(ctn, one, device, selected=False)
        ctn.audit.note(visitor.username, "unselect-aggregator", device, one.uuid)
        answer = {"aggregator_uuid": one.uuid, "device_uuid": device, "transaction_id": body.get("transaction_id")}
        return json_answer(answer | {"status": "UNSELECTED"})


def visible(ctn: Ctn, visitor: Visitor) -> list[Aggregator]:
    """Aggregators that the visitor may use, in order of their names."""
    found = [one for one in ctn.trading.aggregators.values() if _is_theirs(visitor, one)]
    return sorted(found, key=lambda one: (one.name, one.uuid))


def usable(ctn: Ctn, visitor: Visitor, uuid: str, action: str) -> Aggregator:
    """The aggregator, if the visitor may use it.

    Raises:
        HTTPException: 404, there is none; 403, it is somebody else's.
    """
    one = _known(ctn, uuid)
    if not _is_theirs(visitor, one):
        ctn.audit.forbid(visitor, action, uuid)
    return one


def _pair(ctn: Ctn, visitor: Visitor, body: dict[str, object], action: str) -> tuple[Aggregator, str]:
    """Aggregator and device of a selection, which takes a right to the device.

    An asset's owner may choose anybody's aggregator; whoever sends for assets themselves, their own.
    """
    one, device = _known(ctn, text_of(body, "aggregator_uuid")), text_of(body, "device_uuid")
    if ctn.trading.node(device) is None:
        raise HTTPException(404, "No such asset.")
    right = visitor.may_see(device) if device in ctn.twin.assets else visitor.may_operate(device)
    if not right or (visitor.role is not Role.USER and not _is_theirs(visitor, one)):
        ctn.audit.forbid(visitor, action, device)
    return one, device


def _known(ctn: Ctn, uuid: str) -> Aggregator:
    if (one := ctn.trading.aggregators.get(uuid)) is None:
        raise HTTPException(404, "No such aggregator.")
    return one


def _is_theirs(visitor: Visitor, one: Aggregator) -> bool:
    return visitor.manages or one.username == visitor.username
