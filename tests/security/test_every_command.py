"""Planted secrets through every command there is: where all is sound, and where everybody sends back what was sent."""

import base64
import contextlib
import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows import listen_cli
from pipelines.check import read_community
from pipelines.sandbox.clouds.process import clouds_process
from pipelines.store import open_store
from pipelines.validate.quarantine import list_quarantined
from tests.flows import places
from tests.flows.places import FIRST_RUN, SLOT, Place, living_in, open_place
from tests.security.commands import FAILS, NOT_SOUND, SOUND, WITHOUT_DATABASE, commands
from tests.security.listeners import Listener, listening
from tests.security.planted import (
    CLOUD,
    DATABASE,
    ENVIRONMENT,
    EXCHANGE,
    SWITCH,
    TOKEN,
    Parrot,
    found,
)
from tests.security.scenes import (
    CODE,
    EACH,
    LOGS,
    PREFECT,
    PREFECT_URL,
    Collector,
    agrees,
    echoes,
    furnish,
    once_served,
    prefect_s,
    run_all,
    write_echoing,
)

Command = Callable[..., tuple[int, str]]

SPOILED = FIRST_RUN.replace(minute=30)
SPANS = {"feed", "backfill", "reconcile", "watch", "quality", "listen", "archive", "grid-fees"}
"""Runs that are traced."""
ASK_PREFECT = ("doctor", "automations", "serve")


def secrets_and_pairs() -> dict[str, str]:
    """With those that travel as Base64 beside a name."""
    pairs = {"Prefect's key with its name": f"admin:{PREFECT}", "its address's with its name": f"us:{PREFECT_URL}"}
    return EACH | pairs


def test_every_command_is_run_or_left_out_for_a_reason() -> None:
    known = commands()
    assert {"feed", "grid-fees", "grid-fees show", "metrics serve"} <= known
    sound, fails = ({command for command, *_ in steps} for steps in (SOUND, FAILS))
    assert not sound & NOT_SOUND.keys()
    assert (sound | NOT_SOUND.keys(), fails) == (known, known)
    assert known >= WITHOUT_DATABASE.keys()


@pytest.fixture
def _planted(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for name in LOGS:
        # Its level goes back at the end.
        caplog.set_level(logging.DEBUG, logger=name)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with listening() as listener:
        made = Collector(monkeypatch, listener)
        yield made
        made.provider.shutdown()


@pytest.fixture
def prefect() -> Iterator[Listener]:
    """Prefect's server behind a proxy with a password of its own."""
    with listening() as listener:
        url = listener.url.replace("//", f"//us:{PREFECT_URL}@") + "/api"
        with temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: f"admin:{PREFECT}"}):
            yield listener


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The demo's community, whose exchange knows the planted login."""
    monkeypatch.setattr(places, "USERNAME", ENVIRONMENT["SLOTFEED_EXCHANGE_USERNAME"])
    monkeypatch.setattr(places, "PASSWORD", EXCHANGE)
    monkeypatch.setattr(places, "IN_ENVIRONMENT", ENVIRONMENT)
    with open_place(tmp_path, tmp_path_factory.mktemp("exchange")) as opened, living_in(opened):
        yield opened


@pytest.mark.usefixtures("_planted")
def test_every_command_leaves_no_secret_where_all_is_sound(
    *,
    place: Place,
    postgres_url: str,
    slotfeed: Command,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    collector: Collector,
    prefect: Listener,
) -> None:
    prefect.answer = prefect_s
    monkeypatch.setenv("SLOTFEED_METRICS_FOLDER", str(place.folder / "metrics"))
    monkeypatch.setenv("SLOTFEED_DEAD_MANS_SWITCH_URL", f"{prefect.url}/{SWITCH}")
    once_served(monkeypatch)
    codes = agrees(monkeypatch)
    say = listen_cli._say

    def say_and_go_on(message: Any) -> None:
        say(message)
        if str(message).startswith("Listening"):
            # The next slot begins as soon as somebody listens.
            threading.Thread(target=place.live_until, args=(FIRST_RUN + 2 * SLOT,)).start()

    monkeypatch.setattr(listen_cli, "_say", say_and_go_on)
    fed = iter((FIRST_RUN, FIRST_RUN + SLOT))
    with contextlib.closing(sqlite3.connect(place.folder / "meters.sqlite")) as meters:
        # What no check lets pass, of each meter once.
        meters.execute("UPDATE smart_meter_register SET value_kwh = -1 WHERE read_at = ?", [SPOILED.timestamp()])
        meters.commit()

    def before(command: str) -> dict[str, str]:
        if command == "feed" and (now := next(fed, None)) is not None:
            place.live_until(now)
        if command == "archive run":
            place.live_until(datetime(2016, 11, 1, 0, 1, tzinfo=UTC))
        if not command.startswith("quarantine"):
            return {}
        with place.store() as store:
            waiting = list_quarantined(store, limit=9)["id"].to_list()
        return {"QUARANTINED": str(waiting[0])}

    with clouds_process(username="planted-user", secret=CLOUD, clock_start=FIRST_RUN) as url:
        furnish(place, postgres_url, url)
        texts = run_all(slotfeed, SOUND, before=before)
    assert len(prefect.heard) >= 3
    assert "36 assets" in texts["slotfeed check --connect"]
    assert "slotfeed_up" in texts["slotfeed metrics serve --listen 127.0.0.1:0"]
    restored = texts["slotfeed retention restore --start 2016-10-29 --end 2016-10-30"]
    assert int(restored.removeprefix("Brought back ").removesuffix(" rows\n").replace(",", "")) > 100
    written = {path.name for path in place.folder.rglob("*") if path.stat().st_size}
    assert {"report.html", "copy.sqlite", "fleet.yaml", "automations.yaml", "2016-10-30.parquet"} <= written
    assert list((place.folder / "metrics").glob("*.prom"))

    kept = place.folder / ".slotfeed" / "tokens" / "solaredge.json"
    tokens = json.loads(kept.read_bytes())
    # The one file that holds a secret, and it is nobody else's to read.
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.unlink()
    secrets = EACH | {"refresh token": tokens["refresh"], "access token": tokens["access"], "code": codes[0]}
    spans = collector.payloads()
    assert {name for name in SPANS if name.encode() in spans} == SPANS
    (place.folder / "spans").write_bytes(spans)
    journal = place.exchange.get("/sandbox/journal").json()
    assert len(journal) > 100
    texts |= {"logs": caplog.text, "journal": json.dumps(journal)}
    with place.store() as store:
        assert store.engine.dialect.name == "postgresql"
        assert str(store.engine.url.password) == DATABASE
        assert found(store, place.community, texts, place.folder, place.ledger.parent, secrets=secrets) == []


@pytest.fixture
def parrot_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect: Listener, collector: Collector
) -> Iterator[Listener]:
    """A community whose exchange and vendors are one server that sends everything back, as Prefect's does."""
    monkeypatch.chdir(tmp_path)
    for module in ("pipelines.exchange.client", "pipelines.collect.cloud.http"):
        monkeypatch.setattr(f"{module}._backoff", lambda _: 0.0)
    monkeypatch.setattr("pipelines.collect.cloud.budget.Budget.spend", lambda *_: None)
    monkeypatch.setattr("flows.listen.CONNECTING_S", 0.2)
    prefect.answer = echoes
    say = listen_cli._say

    def say_and_stop(message: Any) -> None:
        say(message)
        raise KeyboardInterrupt

    monkeypatch.setattr(listen_cli, "_say", say_and_stop)
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: CODE)
    once_served(monkeypatch)
    with listening() as listener:
        listener.answer = Parrot().complains
        write_echoing(tmp_path, listener.url, "sqlite:///slotfeed.sqlite")
        yield listener


@pytest.mark.usefixtures("_planted")
def test_every_command_leaves_no_secret_where_everybody_sends_back_what_he_was_sent(
    *,
    parrot_place: Listener,
    tmp_path: Path,
    slotfeed: Command,
    caplog: pytest.LogCaptureFixture,
    prefect: Listener,
    collector: Collector,
) -> None:
    texts = run_all(slotfeed, FAILS)
    # A password in the address goes before the key of the settings; without, that one travels.
    with temporary_settings({PREFECT_API_URL: f"{prefect.url}/api"}):
        keyed = run_all(slotfeed, [step for step in FAILS if step[0] in ASK_PREFECT])
    texts |= {f"{typed}, with a key": told for typed, told in keyed.items()}
    # They were sent every secret, and sent it back.
    heard = "".join(one.whole for one in parrot_place.heard)
    assert json.dumps(EXCHANGE) in heard
    assert CLOUD in heard
    assert f"JWT {TOKEN}" in heard
    sent = {base64.b64decode(one.headers["authorization"].removeprefix("Basic ")).decode() for one in prefect.heard}
    assert sent == {f"us:{PREFECT_URL}", f"admin:{PREFECT}"}
    assert "Prefect's server" in texts["slotfeed automations --urgent slack-webhook/ops"]
    (tmp_path / "spans").write_bytes(collector.payloads())
    community = read_community(tmp_path / "community.yaml")
    with contextlib.closing(open_store(f"sqlite:///{tmp_path / 'slotfeed.sqlite'}")) as store:
        assert found(store, community, texts | {"logs": caplog.text}, tmp_path, secrets=secrets_and_pairs()) == []


@pytest.mark.usefixtures("_planted", "parrot_place")
def test_every_command_tells_a_database_that_is_away_without_its_password(
    tmp_path: Path, slotfeed: Command, caplog: pytest.LogCaptureFixture
) -> None:
    away = "postgresql+psycopg://slotfeed@127.0.0.1:1/slotfeed"
    write_echoing(tmp_path, "http://127.0.0.1:1", away)
    steps = [(command, more, 1) for command, more, _ in FAILS if command not in WITHOUT_DATABASE]
    texts = run_all(slotfeed, steps)
    for typed, told in texts.items():
        # `metrics` logs why it has no figures.
        assert "slotfeed's database" in (caplog.text if "metrics" in typed else told), typed
    texts["logs"] = caplog.text
    with contextlib.closing(open_store("sqlite://")) as store:
        assert found(store, read_community(tmp_path / "community.yaml"), texts, tmp_path, secrets=EACH) == []
