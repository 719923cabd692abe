"""Planted secrets, carried through the program as its users run it, and then looked for in all that it left."""

import asyncio
import contextlib
import gc
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler

from flows.feed import feed
from flows.local_prefect import prefect_server
from flows.watch import watch
from pipelines.check import read_community
from pipelines.errors import AuthenticationError, IncompleteRun
from pipelines.store import open_store
from tests.flows.places import SLOT
from tests.security.listeners import Listener, listening
from tests.security.planted import (
    CLOUD,
    ENVIRONMENT,
    EXCHANGE,
    SECRETS,
    SWITCH,
    TOKEN,
    Parrot,
    Told,
    echoing_file,
    found,
)

Command = Callable[..., tuple[int, str]]
AT = "2016-10-29T21:47Z"


@pytest.fixture
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def _all_logged(caplog: pytest.LogCaptureFixture) -> None:
    # Logs that everything is written into, as somebody makes them who looks for a fault.
    for name in ("httpx", "httpcore", "aiohttp", "asyncio", "websockets", "slotfeed"):
        caplog.set_level(logging.DEBUG, logger=name)


PARROTS = [name for name in vars(Parrot) if name not in {"all_of_it", "login"} and not name.startswith("__")]
PARROTS = [name for name in PARROTS if callable(vars(Parrot)[name])]


@pytest.fixture
def parrot_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """A community whose exchange and vendors are one server that sends everything back."""
    monkeypatch.chdir(tmp_path)
    for module in ("pipelines.exchange.client", "pipelines.collect.cloud.http"):
        monkeypatch.setattr(f"{module}._backoff", lambda _: 0.0)
    monkeypatch.setattr("pipelines.collect.cloud.budget.Budget.spend", lambda *_: None)
    with listening() as listener:
        (tmp_path / "community.yaml").write_text(echoing_file(listener.url))
        yield listener


@pytest.mark.usefixtures("_planted", "_all_logged")
@pytest.mark.parametrize("name", PARROTS)
def test_what_others_send_back_stays_out_of_all_that_is_left(
    name: str,
    parrot_place: Listener,
    tmp_path: Path,
    slotfeed: Command,
    caplog: pytest.LogCaptureFixture,
) -> None:
    parrot = Parrot()
    parrot_place.answer = getattr(parrot, name)
    told = Told(slotfeed)
    told.run("sources", "list", where=name, ends=(1,))
    told.run("check", "--connect", where=name, ends=(1,))
    told.run("feed", "--at", "2016-10-29T21:47Z", where=name, ends=(1,))
    told.run("assets", "list", where=name, ends=(1,))
    # It was sent every secret, and sent it back.
    heard = "".join(one.whole for one in parrot_place.heard)
    assert json.dumps(EXCHANGE) in heard
    assert CLOUD in heard
    assert name in {"refuses", "breaks_off"} or f"JWT {TOKEN}" in heard
    community = read_community(tmp_path / "community.yaml")
    with contextlib.closing(open_store(f"sqlite:///{tmp_path / 'slotfeed.sqlite'}")) as store:
        assert found(store, community, told.texts | {"logs": caplog.text}, tmp_path) == []


AWAY = {
    "nobody answers": "postgresql+psycopg://slotfeed@127.0.0.1:1/slotfeed",
    "no such user": "{server}",
    "an option that isn't one": "postgresql+psycopg://slotfeed@127.0.0.1:1/slotfeed?connect_timeout=soon",
    "no such host": "postgresql+psycopg://slotfeed@db.invalid/slotfeed",
}


@pytest.mark.usefixtures("_planted")
@pytest.mark.parametrize("why", AWAY)
def test_a_database_that_is_away_is_told_without_its_password(
    why: str, postgres_url: str, tmp_path: Path, slotfeed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stranger = re.sub(r"//postgres:?@", "//nobody_of_this_name@", postgres_url)
    url = AWAY[why].format(server=stranger)
    text = echoing_file("http://127.0.0.1:1").replace("sqlite:///slotfeed.sqlite", url)
    (tmp_path / "community.yaml").write_text(text)
    told = Told(slotfeed)
    told.run("status", ends=(1,))
    told.run("check", "--connect", ends=(1,))
    assert all("slotfeed's database" in words for words in told.texts.values())
    with contextlib.closing(open_store("sqlite://")) as store:
        assert found(store, read_community(tmp_path / "community.yaml"), told.texts, tmp_path) == []


UNEXPECTED = """
import pipelines.validate.run as verb
import flows.steps

def broken(store, community, **_):
    secret_in_a_local = __import__("os").environ["SLOTFEED_EXCHANGE_PASSWORD"]
    raise RuntimeError("nobody thought of this")

flows.steps.validating.validate = broken
from flows.cli import main
main()
"""


@pytest.mark.usefixtures("_planted")
def test_an_error_that_nobody_thought_of_shows_no_values(tmp_path: Path) -> None:
    """Its traceback has the lines of the program, and not what its variables held."""
    (tmp_path / "community.yaml").write_text(echoing_file("http://127.0.0.1:1"))
    command = [sys.executable, "-c", UNEXPECTED, "feed", "--at", "2016-10-29T21:47Z"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "RuntimeError: nobody thought of this" in done.stderr
    with contextlib.closing(open_store(f"sqlite:///{tmp_path / 'slotfeed.sqlite'}")) as store:
        community = read_community(tmp_path / "community.yaml")
        assert found(store, community, {"stdout": done.stdout, "stderr": done.stderr}, tmp_path) == []


@pytest.mark.prefect
# Prefect's client leaves a connection to the end of its loop.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.usefixtures("_planted")
def test_prefect_keeps_no_secret_of_runs_that_fail(
    parrot_place: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in parameters, states, logs, artifacts and results nor anywhere else in its database."""
    home = tmp_path / "prefect"
    # A task's further tries wait for half a minute; what is told is the same.
    monkeypatch.setattr("flows.steps.worth_repeating", lambda *_: False)
    tries = {"complains": IncompleteRun, "refuses": AuthenticationError}
    with prefect_server(home) as server, server.in_use():
        for name, kind in tries.items():
            parrot_place.answer = getattr(Parrot(), name)
            with pytest.raises(kind):
                asyncio.run(feed(community=str(tmp_path / "community.yaml"), at=datetime.fromisoformat(AT)))
        # What the feeds have left is told as events, and the switch refuses.
        monkeypatch.setenv("SLOTFEED_DEAD_MANS_SWITCH_URL", f"{parrot_place.url}/{SWITCH}")
        with pytest.raises(IncompleteRun, match="the dead man's switch"):
            asyncio.run(watch(community=str(tmp_path / "community.yaml"), at=datetime.fromisoformat(AT) + 4 * SLOT))
        APILogHandler().flush()
        EventsWorker.instance().drain()
        logs = httpx.post(f"{server.url}/logs/filter", json={}, timeout=30).json()
        kept = httpx.post(f"{server.url}/events/filter", json={}, timeout=30).json()["events"]
    # It has been told what happened.
    gc.collect()
    database = (home / "prefect.db").read_bytes()
    assert b"feed-summary" in database
    assert any("AuthenticationError" in log["message"] for log in logs)
    assert any(one["event"].startswith("slotfeed.") for one in kept)
    assert any(f"/{SWITCH}" in one.path for one in parrot_place.heard)
    community = read_community(tmp_path / "community.yaml")
    with contextlib.closing(open_store(f"sqlite:///{tmp_path / 'slotfeed.sqlite'}")) as store:
        assert found(store, community, {}, tmp_path, secrets=SECRETS | {"the switch's address": SWITCH}) == []
