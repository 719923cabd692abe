"""prefect.yaml on a real local server: deployed, run once by a real worker, rows and artifacts read."""

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.system import Secret
from sqlalchemy import func, select
from sqlmodel import col

from flows.doctor_prefect import look_at_prefect
from flows.fleet_deployments import fleet_yaml
from flows.local_prefect import PrefectServer, prefect_server
from flows.notices import LOOKED
from flows.secrets import block_name
from pipelines.frames import State
from pipelines.settings import DEAD_MANS_SWITCH
from pipelines.store import RunRow, SubmissionRow

ROOT = Path(__file__).parents[2]
SLOT = timedelta(minutes=15)
Place = Any
Command = Callable[..., tuple[int, str]]


def prefect(server: PrefectServer, *arguments: str) -> str:
    environment = os.environ | {
        "PREFECT_API_URL": server.url,
        "PREFECT_HOME": str(server.log.parent),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(server: PrefectServer, deployment: str, place: Place, *, at: str) -> None:
    prefect(server, "deployment", "run", deployment, "--param", f"community={place.file}", "--param", f"at={at}")


@contextlib.contextmanager
def recorder() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that takes everything and keeps it: its address, and what came."""
    requests: list[dict[str, str]] = []

    class Keep(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            requests.append({"path": self.path, "body": self.rfile.read(length).decode(errors="replace")})
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the server's name for it

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keep)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()
    thread.join()
    server.server_close()


def wait_for(requests: list[dict[str, str]], path: str) -> dict[str, str]:
    """The first request to this path: an automation's action comes when the server gets to it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for request in list(requests):
            if request["path"] == path:
                return request
        threading.Event().wait(0.1)
    raise AssertionError(f"nothing came to {path}: {requests}")


def doctor_on(server: PrefectServer) -> str:
    async def look() -> str:
        return "\n".join(look.told for look in await look_at_prefect(slot_length=SLOT))

    with server.in_use():
        return asyncio.run(look())


def completed(api: httpx.Client) -> list[dict[str, Any]]:
    wanted = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    found: list[dict[str, Any]] = api.post("/flow_runs/filter", json=wanted).json()
    return found


@pytest.mark.prefect
def test_deployed_feed_run_by_a_worker_reaches_the_exchange(
    place: Place, slotfeed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The worker's environment doesn't hold the password; a Secret block does.
    monkeypatch.delenv("SLOTFEED_EXCHANGE_PASSWORD")
    with prefect_server(tmp_path / "prefect") as server:
        with server.in_use():
            Secret(value="hush-hush").save(block_name("SLOTFEED_EXCHANGE_PASSWORD"))  # type: ignore[call-arg]
        prefect(server, "work-pool", "create", "slotfeed", "--type", "process")
        prefect(server, "deploy", "--all", "--no-prompt")
        with httpx.Client(base_url=server.url, timeout=30) as api:
            deployments = {one["name"]: one for one in api.post("/deployments/filter", json={}).json()}
            declared = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
            assert (
                set(deployments)
                == {one["name"] for one in declared}
                == {
                    "feed",
                    "feed-rest",
                    "reconcile",
                    "backfill",
                    "grid-fees",
                    "archive",
                    "commission",
                    "listen",
                    "quality",
                    "retention",
                    "watch",
                }
            )
            schedules = {name: one["schedules"] for name, one in deployments.items()}
            assert schedules["feed"][0]["schedule"]["interval"] == 900
            assert schedules["feed-rest"][0]["schedule"]["interval"] == 900
            assert schedules["reconcile"][0]["schedule"]["cron"] == "5 * * * *"
            assert schedules["backfill"] == []
            assert schedules["grid-fees"][0]["schedule"]["interval"] == 900
            assert schedules["archive"][0]["schedule"]["cron"] == "20 3 * * *"
            assert schedules["quality"][0]["schedule"]["cron"] == "40 4 * * *"
            assert schedules["commission"][0]["schedule"]["cron"] == "12 * * * *"
            told = doctor_on(server)
            assert told.count("with an active schedule") == 2
            assert "none is online in pool 'slotfeed'" in told
            # The schedules would start runs on a community that isn't there.
            assert "feed-rest" not in told
            for name in (
                "feed",
                "feed-rest",
                "reconcile",
                "grid-fees",
                "archive",
                "commission",
                "listen",
                "quality",
                "watch",
            ):
                api.post(f"/deployments/{deployments[name]['id']}/pause_deployment").raise_for_status()

            assert "feed: its schedule is paused" in doctor_on(server)

            run(server, "feed/feed", place, at="2016-10-29T21:47:00Z")
            prefect(server, "worker", "start", "--pool", "slotfeed", "--run-once")
            runs = completed(api)
            assert [run["parameters"]["community"] for run in runs] == [str(place.file)]
            assert "1 online in pool 'slotfeed'" in doctor_on(server)
            tasks = api.post("/task_runs/filter", json={}).json()
            assert sorted(task["name"].split("-")[0] for task in tasks) == ["collect", "convert", "deliver", "validate"]
            artifacts = {one["key"]: one for one in api.post("/artifacts/filter", json={}).json()}
            assert set(artifacts) == {"feed-summary", "feed-table"}
            assert "**LV1.111 community**: all arrived that was due" in artifacts["feed-summary"]["data"]
            assert "the exchange took 36 values" in artifacts["feed-summary"]["data"]
            assert artifacts["feed-summary"]["description"] == "LV1.111 community, 2016-10-29 23:47 CEST"
            assert artifacts["feed-table"]["data"].count('"state"') == 36
            assert "hush-hush" not in str(artifacts) + str(runs) + str(tasks)

            run(server, "quality/quality", place, at="2016-10-31T07:00:00Z")
            prefect(server, "worker", "start", "--pool", "slotfeed", "--run-once")
            assert len(completed(api)) == 2
            artifacts = {one["key"]: one for one in api.post("/artifacts/filter", json={}).json()}
            pages = place.folder / "quality"
            assert (pages / "report.html").as_uri() in artifacts["quality-report"]["data"]
            assert (pages / "docs" / "index.html").as_uri() in artifacts["quality-docs"]["data"]
            assert "judged" in artifacts["quality-summary"]["data"]
            assert (pages / "report.html").is_file()
            assert (pages / "docs" / "index.html").is_file()

            with recorder() as (url, requests):
                with server.in_use():
                    CustomWebhookNotificationBlock(
                        name="ops",
                        url=f"{url}/message",
                        json_data={"text": "{{subject}}: {{body}}"},
                        allow_private_urls=True,
                    ).save("ops")  # type: ignore[unused-coroutine]
                    Secret(value=f"{url}/alive/key-of-the-switch").save(block_name(DEAD_MANS_SWITCH[0]))  # type: ignore[call-arg,unused-coroutine]
                    CustomWebhookNotificationBlock(
                        name="pager",
                        url=f"{url}/pager",
                        json_data={"text": "{{subject}}: {{body}}"},
                        allow_private_urls=True,
                    ).save("pager")  # type: ignore[unused-coroutine]
                    assert slotfeed("automations", "--urgent", "custom-webhook/nobody")[0] == 1
                    status, told = slotfeed("automations", "--urgent", "custom-webhook/pager")
                    assert (status, told.count("created")) == (0, 4), told
                    # Once more, they are brought up to date; what was paused stays so.
                    urgent = {one["name"]: one["id"] for one in api.post("/automations/filter", json={}).json()}
                    api.patch(f"/automations/{urgent['slotfeed: over']}", json={"enabled": False}).raise_for_status()
                    status, told = slotfeed("automations", "--urgent", "custom-webhook/pager")
                    assert (status, told.count("updated")) == (0, 4), told
                    now = {one["name"]: one["enabled"] for one in api.post("/automations/filter", json={}).json()}
                    assert {name for name, enabled in now.items() if not enabled} == {"slotfeed: over"}
                    assert len(now) == 4
                with place.file.open("a") as file:
                    file.write("\nwatch:\n  notify: [custom-webhook/ops]\n")
                run(server, "watch/watch", place, at="2016-10-29T22:40:00Z")
                monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
                prefect(server, "worker", "start", "--pool", "slotfeed", "--run-once")
                monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
                paged = wait_for(requests, "/pager")
            assert len(completed(api)) == 3
            assert "slotfeed, LV1.111 community: " in paged["body"]
            assert " began: " in paged["body"]
            assert "-> " in paged["body"]
            # The process of a flow run ends with its spans sent.
            spans = "".join(request["body"] for request in requests if request["path"] == "/v1/traces")
            assert all(name in spans for name in ("watch", "look", "tell_people", "vouch"))
            [message, alive] = [request for request in requests if request["path"] not in {"/pager", "/v1/traces"}]
            assert message["path"] == "/message"
            assert "LV1.111 community: " in message["body"]
            assert "feed.missing\\n  the last was at 2016-10-29 21:47 UTC\\n  -> See that Prefect's" in message["body"]
            assert alive["path"] == "/alive/key-of-the-switch"
            artifacts = {one["key"]: one for one in api.post("/artifacts/filter", json={}).json()}
            assert "**feed.missing**: the last was at" in artifacts["watch-summary"]["data"]
            assert "since 2016-10-29 22:40 UTC. What to do: See that" in artifacts["watch-summary"]["data"]
            told = api.post("/events/filter", json={"filter": {"event": {"prefix": ["slotfeed."]}}}).json()["events"]
            assert {"slotfeed.feed.missing.began", LOOKED} <= {event["event"] for event in told}
            assert "key-of-the-switch" not in str(artifacts) + str(told)

            # The same community as a fleet of one: one run and no task.
            place.live_until(datetime(2016, 10, 29, 22, 2, tzinfo=UTC))
            fleet = tmp_path / "prefect.fleet.yaml"
            fleet.write_text(fleet_yaml([str(place.file)], shares=1))
            prefect(server, "deploy", "--all", "--no-prompt", "--prefect-file", str(fleet))
            for one in api.post("/deployments/filter", json={}).json():
                api.post(f"/deployments/{one['id']}/pause_deployment").raise_for_status()
            before = len(api.post("/task_runs/filter", json={}).json())
            prefect(server, "deployment", "run", "fleet/fleet-feed", "--param", "at=2016-10-29T22:02:00Z")
            prefect(server, "worker", "start", "--pool", "slotfeed", "--run-once")
            assert len(completed(api)) == 4
            assert len(api.post("/task_runs/filter", json={}).json()) == before
            artifacts = {one["key"]: one for one in api.post("/artifacts/filter", json={}).json()}
            assert artifacts["fleet-feed-1-of-1"]["description"] == "feed of 1 communities (share 1/1): 0 with trouble"

    with place.store() as store, store.reading() as connection:
        state = col(SubmissionRow.state)
        assert connection.execute(select(state, func.count()).group_by(state)).all() == [(State.ACCEPTED, 72)]
        assert connection.execute(select(col(RunRow.command), col(RunRow.outcome))).all() == [
            ("feed", "ok"),
            ("quality", "ok"),
            ("watch", "ok"),
            ("feed", "ok"),
        ]
