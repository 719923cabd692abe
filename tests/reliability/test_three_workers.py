"""One community in three shares: three workers of a real Prefect server on PostgreSQL; one dies, and one is away."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import func, select
from sqlmodel import col

from flows.fleet_deployments import shares_yaml
from flows.local_prefect import PrefectServer, prefect_server
from pipelines.frames import State
from pipelines.shares import Share, parts
from pipelines.store import RunRow, Store, SubmissionRow
from tests.flows.places import FIRST_RUN, MIDNIGHT, SLOT, Place, living_in, open_place
from tests.reliability.haste import SHORT_LEASE_S
from tests.reliability.invariants import check_all, told
from tests.reliability.posts import posts_in
from tests.reliability.sight import seen

ROOT = Path(__file__).parents[2]
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
PATIENCE_S = 120


def until(true: Callable[[], Any], what: str) -> Any:
    """What it returns once that is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


@dataclass
class Fleet:
    """A server with the deployments of three shares, and the workers on it."""

    server: PrefectServer
    api: httpx.Client
    place: Place
    store: Store
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    signalled: list[int] = field(default_factory=list)
    """Processes of runs, which outlive a test that fails."""

    def prefect(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "prefect", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        home = {"PREFECT_API_URL": self.server.url, "PREFECT_HOME": str(self.server.log.parent)}
        quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "NO_COLOR": "1"}
        return os.environ | home | quiet | {"PREFECT_WORKER_QUERY_SECONDS": "1"}

    def call(self, *arguments: str) -> None:
        subprocess.run(self.prefect(*arguments), cwd=ROOT, env=self.environment, check=True, capture_output=True)

    def deploy(self) -> None:
        entries = yaml.safe_load(shares_yaml([str(self.place.file)], shares=3))
        entries["deployments"] = [
            one for one in entries["deployments"] if one["entrypoint"].startswith("flows/feed.py")
        ]
        for one in entries["deployments"]:
            one["entrypoint"] = one["entrypoint"].replace("flows/feed.py", "tests/reliability/short_leases.py")
            # Runs are asked for by the test.
            one["schedules"] = []
        file = self.place.folder / "prefect.fleet.yaml"
        file.write_text(yaml.safe_dump(entries))
        self.call("work-pool", "create", "slotfeed", "--type", "process")
        self.call("deploy", "--all", "--no-prompt", "--prefect-file", str(file))

    def start_worker(self) -> None:
        command = self.prefect("worker", "start", "--pool", "slotfeed", "--limit", "1")
        with (self.place.folder.parent / f"worker-{len(self.workers)}.log").open("wb") as log:
            # Each a session of its own, as on a machine of its own.
            self.workers.append(
                subprocess.Popen(
                    command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
                )
            )

    def ask(self, deployment: str, at: datetime) -> str:
        """A run of it, as a schedule would ask for; its id."""
        [found] = [one for one in self.api.post("/deployments/filter", json={}).json() if one["name"] == deployment]
        key = f"{deployment} {at.isoformat()}"
        body = {"parameters": {"at": at.isoformat()}, "state": {"type": "SCHEDULED"}, "idempotency_key": key}

        def answer() -> dict[str, str] | None:
            # A server on SQLite may be too busy for a moment.
            said = self.api.post(f"/deployments/{found['id']}/create_flow_run", json=body)
            return said.json() if said.is_success else None

        return str(until(answer, f"a run of {deployment}")["id"])

    def state(self, run: str) -> str:
        return str(self.api.get(f"/flow_runs/{run}").json()["state_type"])

    def accepted(self, share: str, slot: datetime) -> int:
        ids = [asset.asset_id for asset in Share.parse(share).part(self.place.community).assets]
        row = SubmissionRow
        query = select(func.count()).where(
            col(row.asset_id).in_(ids), col(row.slot_start) == slot, col(row.state) == State.ACCEPTED.value
        )
        with self.store.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def process_of(self, share: str) -> int:
        """The process that carries the share now."""
        row = RunRow
        query = select(col(row.worker)).where(col(row.share) == share, col(row.command) == "feed")
        with self.store.reading() as connection:
            worker: str = connection.execute(query.order_by(col(row.started_at).desc()).limit(1)).scalar_one()
        return int(worker.rpartition(":")[2])

    def machine_of(self, process: int) -> subprocess.Popen[bytes]:
        """The worker whose session the process is in."""
        return next(one for one in self.workers if one.pid in ancestors(process))

    def signal_machine(self, process: int, sent: signal.Signals) -> subprocess.Popen[bytes]:
        """To the process and its worker, as if the machine were lost or asleep."""
        worker = self.machine_of(process)
        for one in (process, worker.pid):
            os.kill(one, sent)
        self.signalled.append(process)
        return worker


def ancestors(process: int) -> Iterator[int]:
    while process > 1:
        yield process
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@contextlib.contextmanager
def fleet_at(place: Place, home: Path) -> Iterator[Fleet]:
    with (
        prefect_server(home) as server,
        httpx.Client(timeout=30) as api,
        place.store() as store,
    ):
        server.wait()
        api.base_url = server.url
        fleet = Fleet(server=server, api=api, place=place, store=store)
        try:
            yield fleet
        finally:
            for process in fleet.signalled:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            for worker in fleet.workers:
                if worker.poll() is None:
                    # Those of its session that it started are ended with it.
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()


def taken(place: Place) -> Counter[tuple[str, datetime]]:
    """(asset, slot) -> how often the exchange took a forecast for it."""
    journal = place.exchange.get("/sandbox/journal").raise_for_status().json()
    found = posts_in(journal, slot_length=SLOT, lead=timedelta(0))
    return Counter((one.asset, one.slot_start) for one in found if one.taken and one.quantity == "forecast")


@pytest.mark.prefect
def test_a_worker_that_dies_and_one_that_sleeps_lose_nothing_and_send_nothing_twice(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, postgres_url: str
) -> None:
    folder = tmp_path / "community"
    folder.mkdir()
    with open_place(folder, tmp_path_factory.mktemp("exchange")) as place, living_in(place):
        place.write_file(protocol="sdk", database=postgres_url)
        # One post after another, half a second each, so that there is a middle to die in.
        place.file.write_text(place.file.read_text().replace("\nexchange:\n", "\nexchange:\n  concurrency: 1\n"))
        slow = [{"do": "delay", "path": "set-energy-forecast", "seconds": 0.5}]
        place.exchange.put("/sandbox/faults", json=slow).raise_for_status()
        with fleet_at(place, tmp_path / "prefect") as fleet:
            fleet.deploy()
            for _ in parts(3):
                fleet.start_worker()
            first_slot(fleet)
            place.exchange.put("/sandbox/faults", json=[]).raise_for_status()
            second_slot(fleet)
            times = taken(place)
            assert set(times) == {(a.asset_id, MIDNIGHT + n * SLOT) for a in place.community.assets for n in range(2)}
            # Twice only what was on its way when its worker died or fell asleep: nobody can know that it had arrived.
            again = [key for key, count in times.items() if count > 1]
            assert len(again) <= 2
            assert all(times[key] == 2 and key[1] == MIDNIGHT for key in again)
            assert told(check_all(seen(place, fleet.store, kills=2))) == ""


def first_slot(fleet: Fleet) -> None:
    """Of three workers one is lost in mid-slot, and one sleeps; the third carries what they left."""
    # The second begins when the first is lost: begun together, it might have ended by then.
    first, second, third = (f"feed-community-{share.number}-of-3" for share in parts(3))
    fleet.ask(first, FIRST_RUN)
    until(lambda: fleet.accepted("1/3", MIDNIGHT) >= 2, "share 1/3 is being sent")
    lost = fleet.process_of("1/3")
    gone = fleet.signal_machine(lost, signal.SIGKILL)
    fleet.ask(second, FIRST_RUN)
    well = fleet.ask(third, FIRST_RUN)
    until(lambda: fleet.accepted("2/3", MIDNIGHT) >= 2, "share 2/3 is being sent")
    asleep = fleet.process_of("2/3")
    sleeping = fleet.signal_machine(asleep, signal.SIGSTOP)
    fell_asleep = time.monotonic()
    until(lambda: fleet.state(well) in ENDED, "the third has ended")
    assert fleet.state(well) == "COMPLETED"
    before = sum(taken(fleet.place).values())
    assert 0 < before < 36

    until(lambda: time.monotonic() > fell_asleep + SHORT_LEASE_S + 1, "leases have lapsed")
    fleet.place.live_until(FIRST_RUN + timedelta(minutes=7))
    rest = fleet.ask("feed-rest-community", FIRST_RUN + timedelta(minutes=7))
    until(lambda: fleet.state(rest) in ENDED, "the rest has been carried")
    assert fleet.state(rest) == "COMPLETED"
    assert len(taken(fleet.place)) == 36
    at_rest = sum(taken(fleet.place).values())

    # It wakes in the middle of its posts, and must not go on with them.
    for one in (sleeping.pid, asleep):
        os.kill(one, signal.SIGCONT)
    until(lambda: not Path(f"/proc/{asleep}").exists(), "the one that slept has ended")
    assert sum(taken(fleet.place).values()) == at_rest
    assert gone.wait() == -signal.SIGKILL
    with fleet.store.reading() as connection:
        row = RunRow
        query = select(col(row.share), col(row.outcome)).where(col(row.command) == "feed")
        log = Counter(tuple(one) for one in connection.execute(query))
    # The one that slept may have lost the answer to its last post, and tell of that.
    woken = log["2/3", "ok"], log["2/3", "incomplete"]
    assert woken in {(2, 0), (1, 1)}
    assert {key: count for key, count in log.items() if key[0] != "2/3"} == {
        ("1/3", "running"): 1,
        ("1/3", "ok"): 1,
        ("3/3", "ok"): 1,
    }


def second_slot(fleet: Fleet) -> None:
    """The two that are left carry all three shares, the lost one's at the second go."""
    at = FIRST_RUN + SLOT
    fleet.place.live_until(at)
    runs = [fleet.ask(f"feed-community-{share.number}-of-3", at) for share in parts(3)]
    until(lambda: all(fleet.state(run) in ENDED for run in runs), "all shares have ended")
    # For minutes, Prefect takes the lost run for one that runs, and cancels the next of its deployment.
    assert [fleet.state(run) for run in runs] == ["CANCELLED", "COMPLETED", "COMPLETED"]
    fleet.place.live_until(at + timedelta(minutes=7))
    rest = fleet.ask("feed-rest-community", at + timedelta(minutes=7))
    until(lambda: fleet.state(rest) in ENDED, "the rest has been carried")
