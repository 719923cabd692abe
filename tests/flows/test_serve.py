"""`slotfeed serve` as a process: a feed by schedule, a worker that dies and one that is started in its place."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from flows.serve_deployments import ROOT, entries_for_many, entries_for_one

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


# A minute and more of waiting for schedules, so `make matrices` runs it.
@pytest.mark.matrix
@pytest.mark.prefect
def test_a_feed_runs_by_schedule_and_again_by_the_worker_that_replaces_a_dead_one(place: Place, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    environment |= {"PREFECT_HOME": str(tmp_path / "prefect"), "NO_COLOR": "1"}
    program = "from flows.cli import main; main()"
    command = [sys.executable, "-c", program, "serve", "--community", str(place.file), "--port", str(port)]
    log = tmp_path / "serve.log"
    with log.open("wb") as output:
        serving = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=30) as api:
                deadly = until(lambda: workers_of(serving.pid))
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
                until(lambda: [one for one in workers_of(serving.pid) if one not in deadly])
                schedule_feeds(15)
                until(lambda: feeds("COMPLETED")[before:])
                assert all(run["auto_scheduled"] for run in feeds("COMPLETED"))
                serving.send_signal(signal.SIGTERM)
                assert serving.wait(timeout=120) == 143
                with pytest.raises(httpx.TransportError):
                    api.get("/health")
        finally:
            if serving.poll() is None:
                serving.terminate()
                serving.wait(timeout=120)
    assert "the worker ended with -9; it starts again" in log.read_text()
