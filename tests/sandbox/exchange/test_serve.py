"""The exchange as a process of its own, over real sockets."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from pipelines.errors import ConfigurationError, TerminalError
from pipelines.sandbox.exchange.faults import Rule
from pipelines.sandbox.exchange.process import exchange_process
from pipelines.sandbox.exchange.serve import run

PASSWORD = "correct horse battery"
SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
USERNAME = "feeder@example.org"

REGISTRY = f"/external-connection/configurations/{SIMULATION}/registry"
LOAD = f"/external-connection/api/{SIMULATION}/load/set_energy_forecast/"


@pytest.fixture
def client(registry_file: Path, noon: datetime) -> Iterator[httpx.Client]:
    with (
        exchange_process(registry_file, username=USERNAME, password=PASSWORD, clock_start=noon) as url,
        httpx.Client(base_url=url) as opened,
    ):
        yield opened


def test_a_day_at_the_real_process(client: httpx.Client) -> None:
    token = client.post("/api-token-auth/", json={"username": USERNAME, "password": PASSWORD}).json()["access"]
    client.headers["Authorization"] = f"JWT {token}"

    answer = client.post(LOAD, json={"energy_Wh": 250, "transaction_id": "t"})
    assert answer.json() == {"command": "set_energy_forecast", "status": "ready", "transaction_id": "t"}
    assert answer.headers.get_list("date") == ["Mon, 02 Mar 2026 12:00:00 GMT"], "one Date, and the sandbox's"

    client.put("/sandbox/faults", json=[{"do": "reset", "times": 1}, {"do": "lose_reply", "times": 1}])
    with pytest.raises(httpx.ReadError):
        client.post(LOAD, json={"energy_Wh": 111})
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(LOAD, json={"energy_Wh": 300})
    assert client.get(REGISTRY).status_code == 200, "it serves on"

    client.put("/sandbox/faults", json=[{"do": "drip", "seconds": 0, "times": 1}])
    with client.stream("POST", LOAD, json={"energy_Wh": 300}) as dripping:
        drops = list(dripping.iter_raw())
    assert json.loads(b"".join(drops))["status"] == "ready"
    assert len(drops) > 1

    client.put("/sandbox/clock", json={"now": "2026-03-02T12:15:00Z"})
    profile = client.get(f"/historical-data/assets/{SIMULATION}/load/2026-03-02T12:15/2026-03-02T12:30").json()
    assert profile == {"2026-03-02T12:15": {"load_profile_kWh": 0.3}}, "the reset post is lost, the other applied"
    journal = client.get("/sandbox/journal").json()
    assert [(entry["fault"], entry["status"]) for entry in journal[2:4]] == [("reset", None), ("lose_reply", None)]


@contextlib.contextmanager
def logged_in(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url) as client:
        token = client.post("/api-token-auth/", json={"username": USERNAME, "password": PASSWORD}).json()["access"]
        client.headers["Authorization"] = f"JWT {token}"
        yield client


def test_what_counted_outlives_the_process(registry_file: Path, tmp_path: Path, noon: datetime) -> None:
    account = {"username": USERNAME, "password": PASSWORD, "database": tmp_path / "exchange.sqlite"}
    with exchange_process(registry_file, **account, clock_start=noon) as url, logged_in(url) as client:
        token = client.headers["Authorization"]
        client.post(LOAD, json={"energy_Wh": 250})
        client.put("/sandbox/clock", json={"now": "2026-03-02T12:15:00Z"})
        client.post(LOAD, json={"energy_Wh": 999})
    later = noon + timedelta(minutes=16)
    with exchange_process(registry_file, **account, clock_start=later) as url, httpx.Client(base_url=url) as client:
        client.headers["Authorization"] = token
        client.put("/sandbox/clock", json={"now": "2026-03-02T12:30:00Z"})
        profile = client.get(f"/historical-data/assets/{SIMULATION}/load/2026-03-02T12:00/2026-03-02T13:00").json()
    assert [list(values.values()) for values in profile.values()] == [[0.0], [0.25], [0.25]]


def test_truncated_answer_was_handled_and_promises_more_than_it_holds(registry_file: Path, noon: datetime) -> None:
    rule = Rule.model_validate({"do": "truncate", "path": "set_energy", "times": 1})
    account = {"username": USERNAME, "password": PASSWORD}
    with (
        exchange_process(registry_file, **account, clock_start=noon, faults=[rule]) as url,
        logged_in(url) as client,
    ):
        with pytest.raises(httpx.RemoteProtocolError, match="received 36 bytes, expected 72"):
            client.post(LOAD, json={"energy_Wh": 250})
        client.put("/sandbox/clock", json={"now": "2026-03-02T12:15:00Z"})
        profile = client.get(f"/historical-data/assets/{SIMULATION}/load/2026-03-02T12:15/2026-03-02T12:30").json()
    assert profile == {"2026-03-02T12:15": {"load_profile_kWh": 0.25}}


def test_listener_hears_answers_at_the_tick_and_the_end(registry_file: Path) -> None:
    account = {"username": USERNAME, "password": PASSWORD}
    with contextlib.ExitStack() as listening:
        # By this machine's clock, so nobody drives it from tick to tick.
        with exchange_process(registry_file, **account, tick_s=0.05) as url, logged_in(url) as client:
            headers = {"Authorization": client.headers["Authorization"]}
            address = url.replace("http", "ws") + f"/external-ws/{SIMULATION}"
            asset, market = (
                listening.enter_context(connect(f"{address}/{uuid}/", additional_headers=headers))
                for uuid in ("load", "area-house")
            )
            queued = client.post(LOAD, json={"energy_Wh": 250, "transaction_id": "t"}).json()
            told = json.loads(asset.recv(timeout=20))
        last = json.loads(market.recv(timeout=20))
    assert queued == {"command": "set_energy_forecast", "status": "queued", "transaction_id": "t"}
    assert told == {"command": "set_energy_forecast", "status": "ready", "transaction_id": "t"}
    assert last["event"] == "finish"


def test_sigterm_ends_it_with_status_zero_and_one_line_was_printed(registry_file: Path) -> None:
    arguments = {"source": str(registry_file), "port": 0, "username": USERNAME, "password": PASSWORD}
    with subprocess.Popen(
        [sys.executable, "-m", "pipelines.sandbox.exchange.serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdin.write(json.dumps(arguments))
        process.stdin.close()
        line = process.stdout.readline()
        url = line.removeprefix("slotfeed sandbox exchange listening on ").strip()
        before = datetime.now(UTC).replace(microsecond=0)
        with httpx.Client(base_url=url) as client:
            answer = client.get("/sandbox/health")
            refused = client.put("/sandbox/clock", json={"now": "2199-01-01T00:00:00Z"})
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        assert before <= parsedate_to_datetime(answer.headers["date"]) <= datetime.now(UTC)
        assert refused.status_code == 409, "a wall clock can't be driven"
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


def test_child_that_dies_early_is_an_error_with_its_reason(tmp_path: Path) -> None:
    with (
        pytest.raises(TerminalError, match=r"exit status 1.*nowhere\.json") as caught,
        exchange_process(tmp_path / "nowhere.json", username=USERNAME, password=PASSWORD),
    ):
        pass
    assert PASSWORD not in str(caught.value)


def test_wrong_settings_are_listed_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        run(
            source=tmp_path / "nowhere.json",
            host="0.0.0.0",  # noqa: S104 - refused is what is tested
            port=0,
            username=USERNAME,
            password=PASSWORD,
        )
    assert [issue.field for issue in caught.value.issues] == ["host", ""]


def test_settings_that_do_not_fit_the_simulation_are_listed(registry_file: Path) -> None:
    stranger = Rule.model_validate({"do": "drop", "asset": "Cellar"})
    known = Rule.model_validate({"do": "drop", "asset": "Flat"})
    with pytest.raises(ConfigurationError) as caught:
        run(
            source=registry_file,
            port=0,
            username=USERNAME,
            password=PASSWORD,
            tick_s=1000,
            lead_s=-900,
            faults=[known, stranger],
        )
    assert [issue.field for issue in caught.value.issues] == ["fault", "tick", "lead"]
    assert "'Cellar'" in str(caught.value)


def test_file_that_is_no_database_is_named(registry_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no database at all, but long enough to be looked at as one" * 100)
    with pytest.raises(ConfigurationError, match=r"notes\.txt"):
        run(source=registry_file, port=0, username=USERNAME, password=PASSWORD, database=file)


def test_taken_port_is_named(registry_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"can't listen on 127\.0\.0\.1:{port}"):
            run(source=registry_file, port=port, username=USERNAME, password=PASSWORD)
