"""What else is posted for one asset: registering, live generation, and data of coefficient communities.

Registering is answered as the engine does (gsy-e, external_strategies/__init__.py), but for one thing: the engine says
nothing to who is registered already, and GSy's client would wait a quarter of an hour. What the other posts carry is
public nowhere; it is taken and not looked at.
"""

from fastapi import APIRouter, Request, Response

from pipelines.sandbox.answers import described, json_answer
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.engine.twin import Asset
from pipelines.sandbox.exchange.wire.admission import admit, known_asset
from pipelines.sandbox.exchange.wire.events import tell_selection
from pipelines.sandbox.exchange.wire.reply import answered, body_of

NOT_REGISTERED = "Client should be registered in order to access this area."

_API = "/external-connection/api/{sim}"
_ANY = {"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}}}


def router(ctn: Ctn) -> APIRouter:
    """Paths below /external-connection/api/ that aren't energies or markets."""
    routes = APIRouter()

    @routes.post(_API + "/{asset}/register/", openapi_extra=described({}))
    async def register(sim: str, asset: str, request: Request) -> Response:
        """Trade for an asset directly: the exchange's own bidding for it stops."""
        known = _posting(ctn, request, sim, asset, "register")
        known.registered = True
        ctn.twin.keep(ctn.ledger, known)
        answer = {"command": "register", "status": "ready", "registered": True, "device_uuid": asset}
        return answered(ctn, request, asset, answer | _transaction(request))

    @routes.post(_API + "/{asset}/unregister/", openapi_extra=described({}))
    async def unregister(sim: str, asset: str, request: Request) -> Response:
        """Leave an asset to the exchange's own bidding again; its aggregator loses it too."""
        known = _posting(ctn, request, sim, asset, "unregister")
        transaction = _transaction(request)
        if not known.registered:
            return answered(ctn, request, asset, {"status": "error", "error_message": NOT_REGISTERED})
        known.registered = False
        one = ctn.trading.aggregators.get(known.aggregator or "")
        ctn.trading.select(asset, None)
        if one is not None:
            tell_selection(ctn, one, asset, selected=False)
        answer = {"command": "unregister", "status": "ready", "unregistered": True}
        return answered(ctn, request, asset, answer | transaction)

    @routes.post(_API + "/{asset}/set-live-generation/", openapi_extra=_ANY)
    async def live_generation(sim: str, asset: str, request: Request) -> Response:
        """Take live data for GSy's pages; nothing is done with it."""
        _posting(ctn, request, sim, asset, "set-live-generation")
        answer = {"command": "set-live-generation", "status": "ready"}
        return answered(ctn, request, asset, answer | _transaction(request))

    @routes.post(_API + "/{asset}/set-scm-timeseries-and-member-data/", openapi_extra=_ANY)
    async def member_data(sim: str, asset: str, request: Request) -> Response:
        """Take a member's data of a coefficient community; nothing is done with it."""
        _posting(ctn, request, sim, asset, "set-scm-timeseries-and-member-data")
        return json_answer({"status": "ready"} | _transaction(request))

    @routes.post(_API + "/set-scm-global-data/", openapi_extra=_ANY)
    async def global_data(sim: str, request: Request) -> Response:
        """Take data of a whole coefficient community; nothing is done with it."""
        visitor = admit(ctn, request, sim)
        if not visitor.manages:
            ctn.audit.forbid(visitor, "set-scm-global-data", sim)
        return json_answer({"status": "ready"} | _transaction(request))

    return routes


def _posting(ctn: Ctn, request: Request, sim: str, uuid: str, action: str) -> Asset:
    visitor = admit(ctn, request, sim)
    asset = known_asset(ctn, uuid)
    if not visitor.may_post(uuid):
        ctn.audit.forbid(visitor, action, uuid)
    return asset


def _transaction(request: Request) -> dict[str, object]:
    return {"transaction_id": body_of(request).get("transaction_id")}
