"""What the exchange tells of the past: the energies it used. The schema is ours, GSy's is undocumented."""

import re
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, HTTPException, Request, Response

from pipelines.sandbox.answers import json_answer
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.wire.admission import admit, known_asset

LONGEST_READ = timedelta(days=366)
"""Span of one request; a longer one is refused, so that a slip can't stall the sandbox. Ours."""

_PROFILE_KEYS = {"PV": "pv_production_kWh", "SmartMeter": "smart_meter_profile_kWh"}
"""Names in the exchange's results; every other type is shown as a load."""

_WIRE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d", re.ASCII)


def router(ctn: Ctn) -> APIRouter:
    """GET /historical-data/."""
    routes = APIRouter()

    @routes.get("/historical-data/assets/{sim}/{asset}/{start}/{end}")
    @routes.get("/historical-data/devices/{sim}/{asset}/{start}/{end}", include_in_schema=False)
    async def history(sim: str, asset: str, start: str, end: str, request: Request) -> Response:
        """Tell the energies used in the slots of [start, end) that have begun."""
        visitor = admit(ctn, request, sim)
        known = known_asset(ctn, asset)
        if not visitor.may_see(asset):
            ctn.audit.forbid(visitor, "historical-data", asset)
        since, until = _wire_time(start), _wire_time(end)
        if until - since > LONGEST_READ:
            raise HTTPException(400, f"Ask for {LONGEST_READ.days} days at most.")
        key = _PROFILE_KEYS.get(known.type, "load_profile_kWh")
        profile = ctn.market.profile(asset, since, until)
        # The engine rounds its results so (gsy_framework limit_float_precision).
        return json_answer({f"{slot:%Y-%m-%dT%H:%M}": {key: round(energy, 8)} for slot, energy in profile.items()})

    return routes


def _wire_time(text: str) -> datetime:
    if _WIRE_TIME.fullmatch(text):
        try:
            return datetime.strptime(text, "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
        except ValueError as error:
            raise HTTPException(400, f"'{text}' is no instant.") from error
    raise HTTPException(400, f"'{text}' isn't written as YYYY-MM-DDTHH:mm.")
