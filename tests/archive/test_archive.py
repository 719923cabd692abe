"""Days of results, fetched from the sandbox's exchange and kept."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from pipelines.archive import ArchiveSummary, Manifest, archive_folder, keep_results, verify
from pipelines.archive.manifest import read_manifest
from pipelines.errors import TerminalError
from pipelines.whole_files import sole_writer

World = Any
MakeWorld = Callable[[str], World]
SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
SLOT, DAY = timedelta(minutes=15), timedelta(days=1)
FIRST = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ASSETS = ("load-1", "load-2", "pv-1")


class Results:
    """Answers historical data from a table in memory, and everything else like the sandbox's exchange."""

    def __init__(self, world: World) -> None:
        self.sandbox = httpx.ASGITransport(world.app)
        self.held: dict[str, dict[str, float]] = {asset: {} for asset in ASSETS}
        self.down: set[str] = set()
        self.asked: list[str] = []

    def fill(self, asset: str, start: datetime, slots: int, kwh: float = 0.25) -> None:
        self.held[asset] |= {f"{start + n * SLOT:%Y-%m-%dT%H:%M}": kwh for n in range(slots)}

    async def handle(self, request: httpx.Request) -> httpx.Response:
        parts = request.url.path.split("/")
        if parts[1] != "historical-data":
            return await self.sandbox.handle_async_request(request)
        self.asked.append(request.url.path)
        if parts[4] in self.down:
            return httpx.Response(404, json={"detail": "No such asset."})
        if "*" in self.down:
            return httpx.Response(401)
        held = self.held[parts[4]]
        return httpx.Response(200, json={s: v for s, v in held.items() if parts[5] <= s < parts[6]} or [])


@pytest.fixture
def world(make_light_world: MakeWorld) -> World:
    """Its three assets are live since noon of the first day."""
    made = make_light_world("sdk")
    for asset in ASSETS:
        made.submit(asset, NOON, 100.0)
    return made


async def run(world: World, folder: Path, results: Results | None = None, **options: Any) -> ArchiveSummary:
    transport = None if results is None else httpx.MockTransport(results.handle)
    async with world.client(transport) as client:
        return await keep_results(
            world.store, world.community, client, root=archive_folder(world.community, folder), **options
        )


def root(folder: Path) -> Path:
    return folder / "archive" / SIMULATION


def manifest(folder: Path) -> Manifest:
    return read_manifest(root(folder), simulation=SIMULATION)


async def test_finished_days_of_the_sandbox_are_kept_once_and_verified(world: World, tmp_path: Path) -> None:
    world.clock.set(NOON + 3 * DAY)
    done = await run(world, tmp_path)
    # On the 5th at noon the 4th hasn't been over for a day.
    assert done.complete == (date(2026, 3, 2), date(2026, 3, 3))
    frame = pl.read_parquet(root(tmp_path) / "2026" / "2026-03-03.parquet")
    assert frame.columns == ["asset_id", "asset_name", "slot_start", "energy_kwh", "read_at"]
    assert frame.schema["slot_start"] == pl.Datetime("us", "UTC")
    assert frame.height == 3 * 96
    assert sorted(frame["asset_name"].unique()) == ["LOAD-1", "LOAD-2", "PV-1"]
    entry = manifest(tmp_path).days[FIRST]
    assert (entry.slots_expected, entry.slots_found) == (3 * 48, 3 * 48), "live since noon"
    assert entry.sha256 == hashlib.sha256((root(tmp_path) / entry.file).read_bytes()).hexdigest()
    assert verify(root(tmp_path), simulation=SIMULATION)[1] == []
    again = await run(world, tmp_path)
    assert (again.complete, again.rows) == ((), 0)


async def test_gaps_are_fetched_again_until_they_are_a_week_old(world: World, tmp_path: Path) -> None:
    results = Results(world)
    for asset in ASSETS:
        results.fill(asset, NOON, 48)
    del results.held["pv-1"]["2026-03-02T13:15"]
    world.clock.set(NOON + 2 * DAY)
    assert (await run(world, tmp_path, results)).open_with_gaps == (FIRST,)
    (gap,) = manifest(tmp_path).days[FIRST].missing
    assert (gap.asset_id, gap.slots, gap.first) == ("pv-1", 1, NOON + 5 * SLOT)
    # What was read once stays, also when the exchange says less the next time.
    results.held["load-1"].clear()
    assert (await run(world, tmp_path, results)).missing == {"2026-03-02": 1}
    results.fill("pv-1", NOON + 5 * SLOT, 1, 0.5)
    assert (await run(world, tmp_path, results)).complete == (FIRST,)
    frame = pl.read_parquet(root(tmp_path) / "2026/2026-03-02.parquet")
    assert frame["energy_kwh"].sum() == pytest.approx((3 * 48 - 1) * 0.25 + 0.5)


async def test_an_old_day_is_kept_with_its_gaps_and_not_asked_for_again(world: World, tmp_path: Path) -> None:
    results = Results(world)
    world.clock.set(datetime(2026, 3, 10, 0, 30, tzinfo=UTC))
    results.fill("load-1", NOON, 48)
    done = await run(world, tmp_path, results)
    assert done.settled_with_gaps == (FIRST,), "over for seven days and half an hour"
    assert date(2026, 3, 3) in done.open_with_gaps
    assert done.missing["2026-03-02"] == 2 * 48
    results.asked.clear()
    await run(world, tmp_path, results)
    assert not any("2026-03-02T00:00" in path for path in results.asked)


async def test_values_that_can_be_no_energy_are_left_out_and_told(world: World, tmp_path: Path) -> None:
    results = Results(world)
    for asset in ASSETS:
        results.fill(asset, NOON, 48)
    results.held["load-1"] |= {"2026-03-02T12:00": -0.1, "2026-03-02T12:07": 1.0}
    world.clock.set(NOON + 2 * DAY)
    await run(world, tmp_path, results)
    (gap,) = manifest(tmp_path).days[FIRST].missing
    assert (gap.asset_id, gap.slots) == ("load-1", 1)
    assert "1 slot(s) beside the grid and 1 value(s) like -0.1 kWh" in gap.reason


async def test_an_exchange_that_lets_nobody_in_leaves_the_days_to_be_done(world: World, tmp_path: Path) -> None:
    results = Results(world)
    results.down.add("*")
    world.clock.set(NOON + 2 * DAY)
    done = await run(world, tmp_path, results)
    assert (done.waiting, done.rows) == ((FIRST,), 0)
    assert any("LOAD-1" in problem for problem in done.problems)
    assert manifest(tmp_path).days == {}


async def test_an_exchange_that_refuses_every_asset_settles_no_day(world: World, tmp_path: Path) -> None:
    """Old days too would else be kept for good with nothing in them, and not asked for when it answers again."""
    results = Results(world)
    for asset in ASSETS:
        results.fill(asset, NOON, 48)
    results.down.update(ASSETS)
    world.clock.set(NOON + 20 * DAY)
    done = await run(world, tmp_path, results)
    assert (done.settled_with_gaps, done.rows, done.waiting[0]) == ((), 0, FIRST)
    assert any("LOAD-1" in problem and "No such asset" in problem for problem in done.problems)
    assert manifest(tmp_path).days == {}
    # One of them alone is the asset's own matter.
    results.down.intersection_update({"load-1"})
    done = await run(world, tmp_path, results)
    assert FIRST in done.settled_with_gaps
    assert (done.rows, done.waiting) == (2 * 48, ())


@pytest.mark.parametrize(("age", "told"), [(79, False), (80, True)])
async def test_from_the_80th_day_on_an_unkept_day_is_a_problem(
    world: World, tmp_path: Path, age: int, told: bool
) -> None:
    results = Results(world)
    results.down.add("*")
    world.clock.set(datetime(2026, 3, 2, 1, tzinfo=UTC) + age * DAY)
    done = await run(world, tmp_path, results)
    named = [problem for problem in done.problems if "2026-03-02" in problem]
    assert bool(named) is told
    if told:
        assert "drops the first of them from 2026-05-31 on" in named[0]


async def test_without_a_start_no_day_before_retention_is_asked_for(world: World, tmp_path: Path) -> None:
    results = Results(world)
    world.clock.set(NOON + 100 * DAY)
    await run(world, tmp_path, results)
    assert min(path.split("/")[-2] for path in results.asked) == "2026-03-12T00:00"
    results.asked.clear()
    await run(world, tmp_path, results, start=date(2026, 3, 1))
    assert min(path.split("/")[-2] for path in results.asked) == "2026-03-01T00:00"


@pytest.mark.parametrize("dies_at", ["file", "rename", "manifest"])
async def test_a_run_that_dies_leaves_its_day_to_the_next(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    world.clock.set(NOON + 2 * DAY)
    real = Path.replace

    def die(path: Path, target: Path) -> Path:
        if dies_at == "rename" or (dies_at == "manifest" and target.name == "manifest.json"):
            raise KeyboardInterrupt
        return real(path, target)

    def torn(_frame: pl.DataFrame, file: Any, **_options: str) -> None:
        file.write(b"PAR1")
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", die)
    if dies_at == "file":
        monkeypatch.setattr(pl.DataFrame, "write_parquet", torn)
    with pytest.raises(KeyboardInterrupt):
        await run(world, tmp_path)
    monkeypatch.undo()
    assert manifest(tmp_path).days == {}
    assert (await run(world, tmp_path)).complete == (FIRST,)
    assert verify(root(tmp_path), simulation=SIMULATION)[1] == []


async def test_verify_names_what_is_wrong(world: World, tmp_path: Path) -> None:
    world.clock.set(NOON + 4 * DAY)
    await run(world, tmp_path)
    folder = root(tmp_path) / "2026"
    (folder / "2026-03-02.parquet").unlink()
    changed = folder / "2026-03-03.parquet"
    pl.read_parquet(changed).head(5).write_parquet(changed)
    (folder / "stranger.parquet").write_bytes(b"x")
    (folder / "left.parquet.part").write_bytes(b"x")
    told = {(one.file, one.problem.split(":")[0]) for one in verify(root(tmp_path), simulation=SIMULATION)[1]}
    assert told == {
        ("2026/2026-03-02.parquet", "is missing"),
        ("2026/2026-03-03.parquet", "has changed"),
        ("2026/2026-03-03.parquet", "has 5 rows, not 288"),
        ("2026/stranger.parquet", "isn't in the manifest"),
        ("2026/left.parquet.part", "was left by a run that died"),
    }
    # A file that is gone is fetched again.
    assert (await run(world, tmp_path)).complete == (FIRST,)


async def test_a_damaged_manifest_and_a_second_run_are_told(world: World, tmp_path: Path) -> None:
    world.clock.set(NOON + 2 * DAY)
    with sole_writer(root(tmp_path)), pytest.raises(TerminalError, match="another run works in the folder"):
        await run(world, tmp_path)
    (root(tmp_path) / "manifest.json").write_text('{"simulation": 1')
    with pytest.raises(TerminalError, match="is damaged"):
        await run(world, tmp_path)
    (root(tmp_path) / "manifest.json").write_text(json.dumps({"simulation": "other"}))
    with pytest.raises(TerminalError, match="is of simulation other"):
        await run(world, tmp_path)


def test_a_simulations_name_cant_lead_out_of_the_archive(world: World, tmp_path: Path) -> None:
    for name in ("..", "../../etc", "a/b"):
        section = world.community.community.model_copy(update={"simulation_uuid": name})
        folder = archive_folder(world.community.model_copy(update={"community": section}), tmp_path)
        assert folder.resolve().parent == tmp_path / "archive"
