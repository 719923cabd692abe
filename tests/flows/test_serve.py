"""`slotfeed serve` as a process: a feed by schedule, a worker that dies and one that is started in its place."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import select
from sqlmodel import col

from flows.serve_deployments import ROOT, entries_for_many, entries_for_one
from pipelines.frames import State
from pipelines.store import RunRow, SubmissionRow
from tests.flows.places import FIRST_RUN
from tests.reliability.invariants import check_all, told
from tests.reliability.sight import seen

Place = Any


def until(look: Callable[[], list[Any]], *, seconds: int = 120) -> list[Any]:
    """What is looked for, once it is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        threading.Event().wait(0.3)
    raise AssertionError("it didn't come")


def workers_of(server: int) -> list[int]:
    """Processes of `prefect worker start` that this process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == server and b"worker" in words:
            found.append(int(folder.name))
    return found


def test_one_community_has_the_entries_of_prefect_yaml_but_for_its_file(tmp_path: Path) -> None:
    made = yaml.safe_load(entries_for_one(tmp_path / "a.yaml"))
    expected = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    assert {entry["parameters"]["community"] for entry in made["deployments"]} == {str(tmp_path / "a.yaml")}
    for entry in [*made["deployments"], *expected["deployments"]]:
        entry["parameters"].pop("community")
    assert made["deployments"] == expected["deployments"]


def test_many_communities_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = yaml.safe_load(entries_for_many(["c/*.yaml", "/else/b.yaml"]))
    assert made["deployments"]
    for entry in made["deployments"]:
        assert entry["parameters"]["communities"] == [str(tmp_path / "c/*.yaml"), "/else/b.yaml"]


@contextlib.contextmanager
def serving(place: Place, folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", httpx.Client]]:
    """`slotfeed serve` as a process, and its server's API; its output goes to serve.log in the folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    environment |= {"PREFECT_HOME": str(folder / "prefect"), "NO_COLOR": "1"}
    program = "from flows.cli import main; main()"
    command = [sys.executable, "-c", program, "serve", "--community", str(place.file), "--port", str(port)]
    with (folder / "serve.log").open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=30) as api:
                yield process, api
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=120)


# A minute and more of waiting for schedules, so `make matrices` runs it.
@pytest.mark.matrix
@pytest.mark.prefect
def test_a_feed_runs_by_schedule_and_again_by_the_worker_that_replaces_a_dead_one(place: Place, tmp_path: Path) -> None:
    with serving(place, tmp_path) as (process, api):
        deadly = until(lambda: workers_of(process.pid))
        found = api.get("/deployments/name/feed/feed").raise_for_status().json()

        def schedule_feeds(interval: int) -> None:
            """A schedule in place of the one there was; 0 takes it and what it has planned away."""
            schedules = f"/deployments/{found['id']}/schedules"
            for one in api.get(schedules).json():
                api.delete(f"{schedules}/{one['id']}").raise_for_status()
            if interval:
                new = {"schedule": {"interval": interval, "timezone": "UTC"}, "active": True}
                api.post(schedules, json=[new]).raise_for_status()
                # Plan its runs now, and not when Prefect's scheduler comes by, once a minute.
                api.post(f"/deployments/{found['id']}/schedule", json={}).raise_for_status()

        def feeds(*states: str) -> list[dict[str, Any]]:
            wanted = {
                "flow_runs": {"state": {"type": {"any_": states}}},
                "deployments": {"id": {"any_": [found["id"]]}},
            }
            return list(api.post("/flow_runs/filter", json=wanted).json())

        schedule_feeds(15)
        until(lambda: feeds("COMPLETED"))
        schedule_feeds(0)
        until(lambda: [True] if not feeds("PENDING", "RUNNING") else [])
        before = len(feeds("COMPLETED"))

        os.killpg(deadly[0], signal.SIGKILL)
        until(lambda: [one for one in workers_of(process.pid) if one not in deadly])
        schedule_feeds(15)
        until(lambda: feeds("COMPLETED")[before:])
        assert all(run["auto_scheduled"] for run in feeds("COMPLETED"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 143
        with pytest.raises(httpx.TransportError):
            api.get("/health")
    assert "the worker ended with -9; it starts again" in (tmp_path / "serve.log").read_text()


# The same: a minute and more.
@pytest.mark.matrix
@pytest.mark.prefect
def test_what_the_only_worker_left_when_it_died_is_carried_in_the_same_slot(place: Place, tmp_path: Path) -> None:
    with serving(place, tmp_path) as (process, api):

        def all_deployed() -> list[dict[str, Any]]:
            with contextlib.suppress(httpx.TransportError):
                found = api.post("/deployments/filter", json={}).raise_for_status().json()
                return list(found) if len(found) == len(declared) else []
            return []

        declared = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
        ids = {one["name"]: one["id"] for one in until(all_deployed)}
        # Schedules go by this machine's clock, and the exchange here doesn't.
        for one in ids.values():
            api.post(f"/deployments/{one}/pause_deployment").raise_for_status()

        def ask(name: str, at: datetime) -> str:
            body = {"parameters": {"at": at.isoformat()}, "state": {"type": "SCHEDULED"}}
            answer = api.post(f"/deployments/{ids[name]}/create_flow_run", json=body)
            return str(answer.raise_for_status().json()["id"])

        def state(run: str) -> str:
            return str(api.get(f"/flow_runs/{run}").raise_for_status().json()["state_type"])

        def ended(run: str) -> str:
            ends = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
            return str(until(lambda: [found for found in [state(run)] if found in ends])[0])

        def posts() -> list[str]:
            entries = place.exchange.get("/sandbox/journal").raise_for_status().json()
            return [one["path"] for one in entries if "set_energy_forecast" in one["path"]]

        deadly = until(lambda: workers_of(process.pid))
        slow = {"do": "delay", "path": "set_energy_forecast", "seconds": 3.0}
        place.exchange.put("/sandbox/faults", json=[slow]).raise_for_status()
        lost = ask("feed", FIRST_RUN)
        until(lambda: posts()[8:])
        with place.store() as store, store.reading() as connection:
            feed: str = connection.execute(select(col(RunRow.worker))).scalar_one()
        for one in (*deadly, int(feed.rpartition(":")[2])):
            os.kill(one, signal.SIGKILL)
        place.exchange.put("/sandbox/faults", json=[]).raise_for_status()
        until(lambda: [one for one in workers_of(process.pid) if one not in deadly])
        # Prefect takes the lost one for running, and cancels the next of its deployment.
        assert ended(ask("feed", FIRST_RUN + timedelta(minutes=1))) == "CANCELLED"
        assert state(lost) == "RUNNING"

        nine_minutes_into_it = FIRST_RUN + timedelta(minutes=7)
        place.live_until(nine_minutes_into_it)
        assert ended(ask("feed-rest", nine_minutes_into_it)) == "COMPLETED"
        with place.store() as store:
            with store.reading() as connection:
                states = connection.execute(select(col(SubmissionRow.state))).scalars().all()
            assert states == [State.ACCEPTED] * 36
            assert told(check_all(seen(place, store, kills=1))) == ""
