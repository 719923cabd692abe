"""What a grid operator does with a market: sets its fee, asks for the statistics of its last slot.

Words and keys are the engine's (gsy-e, models/area/redis_external_market_connection.py).
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastapi import APIRouter, HTTPException, Request, Response

from pipelines.sandbox.answers import described
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.engine.pending import Pending
from pipelines.sandbox.exchange.engine.tallies import dso_stats
from pipelines.sandbox.exchange.engine.twin import MarketArea
from pipelines.sandbox.exchange.wire.admission import admit
from pipelines.sandbox.exchange.wire.clearing import last_cleared
from pipelines.sandbox.exchange.wire.reply import body_of, carried_out

if TYPE_CHECKING:
    from collections.abc import Callable

CONFLICT = "GridFee parameter conflicting with GlobalConfigFeeType"

_API = "/external-connection/api/{sim}/{market}"
_NUMBER = {"type": "number", "minimum": 0}


def router(ctn: Ctn) -> APIRouter:
    """The two paths below /external-connection/api/ that are a market's."""
    routes = APIRouter()

    @routes.post(_API + "/grid-fee/", openapi_extra=described({"fee_const": _NUMBER}))
    async def grid_fee(sim: str, market: str, request: Request) -> Response:
        """Set the fee, in ct/kWh."""
        known = _operated(ctn, request, sim, market, "grid-fee")
        body = body_of(request)
        return _carried_out(ctn, request, known, "grid_fees", lambda: set_fee(ctn, known, body))

    @routes.get(_API + "/dso-market-stats")
    @routes.get(_API + "/dso-market-stats/", include_in_schema=False)
    async def stats(sim: str, market: str, request: Request) -> Response:
        """The statistics of the last slot."""
        known = _operated(ctn, request, sim, market, "dso-market-stats")
        return _carried_out(ctn, request, known, "dso_market_stats", lambda: told_stats(ctn, known))

    return routes


def set_fee(ctn: Ctn, market: MarketArea, data: Mapping[str, object]) -> dict[str, object]:
    """Set a market's fee, `fee_const` in ct/kWh or `fee_percent`, whichever the simulation's fees are; the answer."""
    answer: dict[str, object] = {"area_uuid": market.uuid, "command": "grid_fees", "status": "ready"}
    key = {1: "fee_const", 2: "fee_percent"}.get(ctn.twin.settings.grid_fee_type, "")
    fee = data.get(key)
    if fee is None:
        return answer | {"status": "error", "error_message": CONFLICT}
    if isinstance(fee, bool) or not isinstance(fee, int | float) or not _sane(fee):
        return answer | {"status": "error", "error_message": f"{key} must be a number that isn't negative"}
    ctn.trading.set_fee(
        market,
        fee_const=float(fee) if key == "fee_const" else None,
        fee_percent=float(fee) if key == "fee_percent" else None,
    )
    # The engine knows None for the kind of fee that isn't in use.
    told = {name: str(getattr(market, name)) if name == key else "None" for name in ("fee_const", "fee_percent")}
    return answer | {f"market_{name}": value for name, value in told.items()}


def told_stats(ctn: Ctn, market: MarketArea) -> dict[str, object]:
    """The answer to dso_market_stats."""
    return {
        "status": "ready",
        "name": market.name,
        "area_uuid": market.uuid,
        "command": "dso_market_stats",
        "market_stats": dso_stats(last_cleared(ctn).tallies[market.uuid]),
    }


def _operated(ctn: Ctn, request: Request, sim: str, uuid: str, action: str) -> MarketArea:
    visitor = admit(ctn, request, sim)
    if (market := ctn.twin.markets.get(uuid)) is None:
        raise HTTPException(404, "No such market.")
    if not visitor.may_operate(uuid):
        ctn.audit.forbid(visitor, action, uuid)
    if action == "grid-fee":
        ctn.audit.note(visitor.username, action, uuid, "asked")
    return market


def _carried_out(
    ctn: Ctn, request: Request, market: MarketArea, name: str, obey: "Callable[[], dict[str, object]]"
) -> Response:
    transaction = body_of(request).get("transaction_id")

    def serve() -> dict[str, object]:
        return obey() | {"transaction_id": transaction}

    # Markets' commands aren't among those that the engine throws away at a market cycle.
    return carried_out(ctn, request, Pending(to=market.uuid, serve=serve, refuse=serve), name)


def _sane(fee: float) -> bool:
    try:
        return math.isfinite(fee) and fee >= 0
    except OverflowError:
        return False
