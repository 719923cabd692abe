"""`slotfeed sandbox exchange` as a person starts it."""

import json
import subprocess
import sys
from pathlib import Path

import httpx

SCENARIO = {
    "name": "Village",
    "type": "Area",
    "uuid": "village",
    "children": [{"name": "Flat", "type": "Load", "uuid": "flat"}],
}
COMMAND = [sys.executable, "-c", "from flows.cli import main; main()", "sandbox", "exchange", "--port", "0"]


def test_scenario_is_served_with_its_faults_and_kept_in_a_file(tmp_path: Path) -> None:
    scenario = tmp_path / "village.json"
    scenario.write_text(json.dumps(SCENARIO))
    options = ["--from", scenario, "--database", tmp_path / "village.sqlite", "--clock", "2026-03-02T12:00"]
    fault = ["--fault", "do=status status=429 retry_after=3 path=historical-data times=1"]
    with subprocess.Popen([*COMMAND, *options, *fault], stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().removeprefix("slotfeed sandbox exchange listening on ").strip()
        try:
            with httpx.Client(base_url=url) as client:
                clock = client.get("/sandbox/clock").json()
                login = {"username": "sandbox", "password": "sandbox"}
                client.headers["Authorization"] = f"JWT {client.post('/api-token-auth/', json=login).json()['access']}"
                past = "/historical-data/assets/any/flat/2026-03-02T12:00/2026-03-02T13:00"
                faulty, unknown = client.get(past), client.get(past)
        finally:
            process.terminate()
        assert process.wait(20) == 0
    assert clock == {"now": "2026-03-02T12:00:00Z"}
    assert (faulty.status_code, faulty.headers["retry-after"], unknown.status_code) == (429, "3", 404)
    assert (tmp_path / "village.sqlite").exists()


def test_fault_that_means_nothing_ends_it_with_the_reason() -> None:
    ended = subprocess.run([*COMMAND, "--fault", "do=explode"], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "--fault" in ended.stderr + ended.stdout
    assert "explode" in ended.stderr + ended.stdout
