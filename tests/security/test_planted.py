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
from typing import Any

import httpx
import pytest
import typer
import yaml
from prefect.logging.handlers import APILogHandler

from flows import screens
from flows.feed import feed
from flows.local_prefect import prefect_server
from pipelines.check import read_community
from pipelines.errors import AuthenticationError, IncompleteRun
from pipelines.sandbox.clouds.app import vendors
from pipelines.sandbox.clouds.demo import assignments
from pipelines.sandbox.clouds.process import clouds_process
from pipelines.store import open_store
from tests.flows import places
from tests.flows.places import FIRST_RUN, SLOT, Place, living_in, open_place
from tests.security.listeners import Listener, listening
from tests.security.planted import (
    CLOUD,
    DATABASE,
    ENVIRONMENT,
    EXCHANGE,
    SECRETS,
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


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The demo's community, whose exchange knows the planted login."""
    monkeypatch.setattr(places, "USERNAME", ENVIRONMENT["SLOTFEED_EXCHANGE_USERNAME"])
    monkeypatch.setattr(places, "PASSWORD", EXCHANGE)
    monkeypatch.setattr(places, "IN_ENVIRONMENT", ENVIRONMENT)
    with open_place(tmp_path, tmp_path_factory.mktemp("exchange")) as opened, living_in(opened):
        yield opened


def move_to_clouds(place: Place, url: str) -> None:
    """One asset to each of two vendors: by key, and by OAuth."""
    content = yaml.safe_load(place.file.read_text())
    prefixes = {name: url + module.PREFIX for name, module in vendors().items()}
    content["sources"]["inexogy"] = {"type": "inexogy", "url": prefixes["inexogy"], "username": "planted-user"}
    content["sources"]["solaredge"] = {"type": "solaredge", "url": prefixes["solaredge"], "client_id": "planted-user"}
    moved: set[str] = set()
    for asset in content["assets"]:
        vendor, device, channel = assignments().get(asset["name"], ("", "", ""))
        if vendor in content["sources"] and vendor not in moved:
            asset["streams"] = [{"source": vendor, "device": device, "register": channel}]
            moved.add(vendor)
    place.file.write_text(yaml.safe_dump(content, sort_keys=False))
    assert moved == {"inexogy", "solaredge"}


def agrees(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The account's owner opens the address that is shown, and types in the code; returns the codes."""
    shown: list[str] = []
    codes: list[str] = []
    original = screens.out.print

    def note(*texts: Any, **how: Any) -> None:
        shown.extend(str(text) for text in texts)
        original(*texts, **how)

    def type_in(*_: Any, hide_input: bool, **__: Any) -> str:
        assert hide_input
        address = next(text.strip() for text in shown if "client_id=" in text)
        page = httpx.get(f"{address}&site_id={assignments()['PV 1'][1]}").text
        back, code = re.search(r"https://app\.example\S+?(?=<)", page), re.search(r"<code>([^<]+)</code>", page)
        assert back is not None
        assert code is not None
        codes.append(code[1])
        return back[0].replace("&amp;", "&")

    monkeypatch.setattr(screens.out, "print", note)
    monkeypatch.setattr(typer, "prompt", type_in)
    return codes


@pytest.mark.usefixtures("_planted", "_all_logged")
def test_a_day_s_work_leaves_no_secret_anywhere(
    place: Place,
    postgres_url: str,
    slotfeed: Command,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Told(slotfeed)
    at = FIRST_RUN
    with clouds_process(username="planted-user", secret=CLOUD, clock_start=at) as url:
        place.write_file(protocol="sdk", database=postgres_url)
        move_to_clouds(place, url)
        codes = agrees(monkeypatch)
        told.run("sources", "authorise", "solaredge")
        told.run("check", "--connect")
        told.run("sources", "list")
        for number in range(2):
            now = at + number * SLOT
            place.live_until(now)
            told.run("feed", "--at", now.isoformat())
        told.run("reconcile", "--at", (at + 2 * SLOT).isoformat())
        told.run("sources", "quota")
        told.run("status", "--json")
        told.run("report", "--output", "report.html")
        told.run("assets", "list")
    assert "36 assets" in told.texts[": slotfeed check --connect"]
    assert (place.folder / "report.html").stat().st_size > 100_000

    kept = place.folder / ".slotfeed" / "tokens" / "solaredge.json"
    tokens = json.loads(kept.read_bytes())
    # The one file that holds a secret, and it is nobody else's to read.
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.unlink()
    secrets = SECRETS | {"refresh token": tokens["refresh"], "access token": tokens["access"], "code": codes[0]}
    texts = told.texts | {"logs": caplog.text}
    with place.store() as store:
        assert store.engine.dialect.name == "postgresql"
        assert str(store.engine.url.password) == DATABASE
        assert found(store, place.community, texts, place.folder, secrets=secrets) == []


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
        APILogHandler().flush()
        logs = httpx.post(f"{server.url}/logs/filter", json={}, timeout=30).json()
    # It has been told what happened.
    gc.collect()
    database = (home / "prefect.db").read_bytes()
    assert b"feed-summary" in database
    assert any("AuthenticationError" in log["message"] for log in logs)
    community = read_community(tmp_path / "community.yaml")
    with contextlib.closing(open_store(f"sqlite:///{tmp_path / 'slotfeed.sqlite'}")) as store:
        assert found(store, community, {}, tmp_path) == []
