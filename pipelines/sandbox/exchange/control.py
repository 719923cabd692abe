"""The sandbox's own paths: its clock, its journal, its faults. No token guards them; the server binds loopback only."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Response

from pipelines.clock import FixedClock
from pipelines.sandbox.answers import json_answer
from pipelines.sandbox.controls import Time
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.faults import Rule
from pipelines.sandbox.exchange.manage.forms import FormRoute


def router(ctn: Ctn) -> APIRouter:
    """The paths under /sandbox/."""
    routes = APIRouter(prefix="/sandbox", route_class=FormRoute)
    clock = ctn.clock

    @routes.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @routes.get("/clock")
    async def tell_time() -> Time:
        return Time(now=clock.now())

    @routes.put("/clock")
    async def set_time(time: Time) -> Time:
        if not isinstance(clock, FixedClock):
            raise HTTPException(409, "The sandbox lives by this machine's clock; start it at a time to drive it.")
        if time.now < clock.now():
            raise HTTPException(409, f"The clock stands at {clock.now().isoformat()} and never goes back.")
        clock.set(time.now)
        ctn.advance()
        return Time(now=clock.now())

    @routes.get("/journal")
    async def read_journal(after: Annotated[int, Query(ge=0)] = 0) -> Response:
        """What reached the exchange; `after` leaves out entries up to this number."""
        return json_answer(ctn.journal.entries(after=after))

    @routes.put("/faults")
    async def replace_faults(rules: list[Rule]) -> list[Rule]:
        ctn.faults.replace(rules)
        return rules

    return routes
