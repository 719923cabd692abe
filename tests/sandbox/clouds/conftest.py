"""Vendor clouds in this process: their clock stands at 08:07:30 on the demo's first morning until a test moves it."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI

from pipelines.clock import FixedClock
from pipelines.sandbox.clouds.app import create_app
from pipelines.sandbox.clouds.demo import demo_fleet
from pipelines.sandbox.clouds.fleet import Fleet, Unit
from pipelines.sandbox.clouds.world import World

MORNING = datetime(2016, 10, 29, 8, 7, 30, tzinfo=UTC)
USERNAME = "member@example.org"
SECRET = "correct horse battery"


@pytest.fixture
def world() -> World:
    return World(fleet=demo_fleet(), clock=FixedClock(MORNING), username=USERNAME, secret=SECRET)


@pytest.fixture
def app(world: World) -> FastAPI:
    return create_app(world)


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the clouds, with no login of its own."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://clouds") as client:
        yield client


@pytest.fixture
def two_hours(noon: datetime) -> Callable[..., tuple[Fleet, Unit]]:
    """A fleet of one meter that counts 100, 200, … 800 Wh in the quarter hours from noon on."""

    def make(*defects: object) -> tuple[Fleet, Unit]:
        unit = Unit(
            device="m-1",
            name="Meter",
            kind="meter",
            site="home",
            rated_power_kw=5,
            energy_wh={"import": [100.0 * n for n in range(1, 9)], "export": [0.0] * 8},
            first=noon,
        )
        fleet = Fleet({"any": (unit,)})
        fleet.replace_defects(defects)
        return fleet, unit

    return make
