"""Clean worlds for the checker: real runs against one exchange process."""

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from flows import screens, steps
from flows.feed import feed_once
from flows.session import Run, open_run
from pipelines.sandbox.demo_community import AGGREGATOR, SIMULATION_UUID, demo_assets
from pipelines.store import open_store
from tests.flows.places import FIRST_RUN, PASSWORD, SLOT, USERNAME, Place, living_in, open_place
from tests.reliability.damage import Copy, copy_of
from tests.reliability.invariants import World
from tests.reliability.short_history import forget
from tests.reliability.sight import seen

SLOTS = 3
HISTORY = FIRST_RUN - timedelta(hours=3, minutes=2)


Live = Callable[[str, str, int], World]
"""Protocol, database, and which of the worlds it is -> a community that has fed three slots and reconciled them."""


def run(command: str, place: Place, at: datetime, story: Callable[[Run], Awaitable[object]]) -> str:
    """Run a flow's story as the command line does, in this process; all it printed."""

    async def told() -> None:
        async with open_run(command, place.file, at=at, tell=screens.show_run) as opened:
            await story(opened)

    printed = io.StringIO()
    with (
        living_in(place),
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        for console in (screens.out, screens.err):
            patch.setattr(console, "width", 250)
        asyncio.run(told())
    return printed.getvalue()


def live(place: Place, protocol: str, database: str, *, first: datetime) -> World:
    """Feed three slots from `first` on, and reconcile when they are over."""
    place.write_file(protocol=protocol, database=database)
    before = len(place.exchange.get("/sandbox/journal").json())
    printed = {}
    for number in range(SLOTS):
        at = first + number * SLOT
        place.live_until(at)
        printed[f"feed {number + 1}"] = run("feed", place, at, feed_once)
    over = first + (SLOTS + 1) * SLOT
    place.live_until(over)
    printed["reconcile"] = run("reconcile", place, over, steps.reconcile)
    journal = place.exchange.get("/sandbox/journal").json()[before:]
    store = open_store(database)
    return seen(place, store, journal=journal, texts=printed)


@pytest.fixture(scope="session")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One exchange and one meter database for all worlds, which live one after the other."""
    with open_place(tmp_path_factory.mktemp("community"), tmp_path_factory.mktemp("exchange")) as place:
        forget(place.folder / "meters.sqlite", before=HISTORY)
        yield place


@pytest.fixture(scope="session")
def lived(grounds: Place) -> Iterator[Live]:
    """Live three slots in a protocol, on a database, as the n-th world."""
    made: list[World] = []

    def make(protocol: str, database: str, turn: int) -> World:
        made.append(live(grounds, protocol, database, first=FIRST_RUN + turn * (SLOTS + 1) * SLOT))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


@pytest.fixture(scope="session")
def clean(grounds: Place, lived: Live) -> dict[str, World]:
    """A world of each protocol, all on SQLite."""
    _select_aggregator(grounds)
    return {
        protocol: lived(protocol, f"sqlite:///{grounds.folder / f'{protocol}.sqlite'}", turn)
        for turn, protocol in enumerate(("rest", "sdk", "batch"))
    }


def _select_aggregator(place: Place) -> None:
    """Let one send for all assets."""
    api = f"/external-connection/aggregator-api/{SIMULATION_UUID}"
    login = place.exchange.post("/api-token-auth/", json={"username": USERNAME, "password": PASSWORD})
    headers = {"Authorization": f"JWT {login.json()['access']}"}
    made = place.exchange.post(f"{api}/create-aggregator/", json={"name": AGGREGATOR}, headers=headers).json()
    for asset in demo_assets():
        pair = {"aggregator_uuid": made["uuid"], "device_uuid": asset.asset_id}
        place.exchange.post(f"{api}/select-aggregator/", json=pair, headers=headers).raise_for_status()


@pytest.fixture(params=["rest", "sdk"])
def damaged(request: pytest.FixtureRequest, clean: dict[str, World], tmp_path: Path) -> Iterator[Copy]:
    """A copy to be damaged, once of the world of each protocol."""
    yield from _copy(clean[request.param], tmp_path)


@pytest.fixture
def rest(clean: dict[str, World], tmp_path: Path) -> Iterator[Copy]:
    """A copy of the world of protocol rest."""
    yield from _copy(clean["rest"], tmp_path)


@pytest.fixture
def sdk(clean: dict[str, World], tmp_path: Path) -> Iterator[Copy]:
    """A copy of the world of protocol sdk."""
    yield from _copy(clean["sdk"], tmp_path)


@pytest.fixture
def batch(clean: dict[str, World], tmp_path: Path) -> Iterator[Copy]:
    """A copy of the world of protocol batch."""
    yield from _copy(clean["batch"], tmp_path)


def _copy(world: World, folder: Path) -> Iterator[Copy]:
    made = copy_of(world, folder)
    yield made
    made.store.close()
