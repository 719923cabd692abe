"""The clouds' own paths: clock, faults, defects, requests seen. No token guards them: loopback only."""

from fastapi import APIRouter, HTTPException, Response

from pipelines.clock import FixedClock
from pipelines.sandbox.answers import json_answer
from pipelines.sandbox.clouds.defects import Defect
from pipelines.sandbox.clouds.faults import CloudRule
from pipelines.sandbox.clouds.world import World
from pipelines.sandbox.controls import Time


def router(world: World) -> APIRouter:
    """The paths under /sandbox/."""
    routes = APIRouter(prefix="/sandbox")
    _add_clock(routes, world)
    _add_trouble(routes, world)
    _add_requests(routes, world)
    return routes


def _add_clock(routes: APIRouter, world: World) -> None:
    @routes.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @routes.get("/clock")
    async def tell_time() -> Time:
        return Time(now=world.now())

    @routes.put("/clock")
    async def set_time(time: Time) -> Time:
        if not isinstance(world.clock, FixedClock):
            raise HTTPException(409, "The sandbox lives by this machine's clock; start it at a time to drive it.")
        if time.now < world.now():
            raise HTTPException(409, f"The clock stands at {world.now().isoformat()} and never goes back.")
        world.clock.set(time.now)
        return Time(now=world.now())


def _add_trouble(routes: APIRouter, world: World) -> None:
    @routes.put("/faults")
    async def replace_faults(rules: list[CloudRule]) -> list[CloudRule]:
        world.faults.replace(rules)
        return rules

    @routes.put("/defects")
    async def replace_defects(defects: list[Defect]) -> list[Defect]:
        try:
            world.fleet.replace_defects(defects)
        except ValueError as error:
            raise HTTPException(404, str(error)) from error
        return defects


def _add_requests(routes: APIRouter, world: World) -> None:
    @routes.get("/requests")
    async def requests(vendor: str | None = None) -> Response:
        return json_answer(world.journal.entries(vendor))

    @routes.get("/requests/count")
    async def count() -> Response:
        return json_answer(world.journal.counts())

    @routes.delete("/requests", status_code=204)
    async def forget() -> Response:
        world.journal.clear()
        return Response(status_code=204)
