"""`slotfeed doctor` on a place with a real exchange, and with what can be wrong there."""

import json
import re
from collections import namedtuple
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import doctor
from tests.flows.places import Place

Command = Callable[..., tuple[int, str]]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def now(place: Place) -> datetime:
    """This machine's clock, and the exchange's with it."""
    moment = datetime.now(UTC)
    place.exchange.put("/sandbox/clock", json={"now": moment.isoformat()}).raise_for_status()
    return moment


def looks(slotfeed: Command) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    status, told = slotfeed("doctor", "--json")
    found: dict[str, list[dict[str, Any]]] = {}
    for look in json.loads(told)["looks"]:
        found.setdefault(look["what"], []).append(look)
    return status, found


def words(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(look["found"], look["told"]) for look in found]


def test_all_is_well_before_the_first_feed(place: Place, now: datetime, slotfeed: Command) -> None:
    status, found = looks(slotfeed)
    assert status == 0, found
    assert {what: [look["found"] for look in looks] for what, looks in found.items()} == {
        "community file": ["fine"],
        "disk": ["fine"],
        "database": ["fine"],
        "feed": ["notice"],
        "sources": ["fine"],
        "exchange": ["fine"],
        "clock": ["fine"],
        "market's clock": ["notice"],
        "assets": ["fine"],
        "Prefect": ["notice"],
    }
    assert found["assets"][0]["told"] == "the exchange knows all 36"
    assert "all 3 sources answer" in found["sources"][0]["told"]
    assert found["feed"][0]["told"] == "none has run yet"


def test_each_thing_that_is_wrong_is_told_with_what_to_do(
    place: Place, now: datetime, slotfeed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert slotfeed("feed", "--at", (now - timedelta(hours=2)).isoformat())[0] == 0
    text = place.file.read_text()
    uuid = place.community.assets[0].uuid
    stranger = "00000000-0000-4000-8000-000000000000"
    place.file.write_text(text.replace(uuid, stranger).replace("meters.sqlite", "no-meters.sqlite", 1))
    ahead = datetime.now(UTC) + timedelta(seconds=90)
    place.exchange.put("/sandbox/clock", json={"now": ahead.isoformat()}).raise_for_status()
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: Usage(10**9, 10**9 - 10**6, 10**6))
    status, told = slotfeed("doctor")
    assert status == 1, told
    assert "no-meters.sqlite" in told
    assert f"the exchange shows this user no asset {stranger}" in told
    assert "slotfeed assets sync" in told
    assert re.search(r"this machine is (89|90) s behind the exchange, more than the margin", told), told
    assert "0.0 GB free" in told
    assert "each slot since has had none" in told
    assert "See that a Prefect worker runs" in told
    # What is wrong in one place hides nothing elsewhere.
    assert "takes the login" in told


def test_a_faulty_file_and_a_database_that_cannot_be_opened_end_early_and_say_so(
    place: Place, slotfeed: Command
) -> None:
    text = place.file.read_text()
    place.file.write_text(text.replace("sqlite:///slotfeed.sqlite", "sqlite:///nowhere/slotfeed.sqlite"))
    status, found = looks(slotfeed)
    assert status == 1
    assert "doesn't exist; make it or change `database`" in found["database"][0]["told"]
    assert found["sources, exchange"][0]["found"] == "not tried"
    place.file.write_text(text.replace("protocol:", "protokoll:"))
    status, found = looks(slotfeed)
    assert status == 1
    assert "fault" in [look["found"] for look in found["community file"]]
    assert words(found["all else"]) == [("not tried", "the community file tells what to try")]


def test_a_refused_login_and_a_prefect_server_that_is_away_are_faults(
    place: Place, now: datetime, slotfeed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLOTFEED_EXCHANGE_PASSWORD", "wrong-one")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        status, found = looks(slotfeed)
    assert status == 1
    assert "user name or password refused" in found["exchange"][0]["told"]
    assert "wrong-one" not in str(found)
    [prefect] = found["Prefect"]
    assert (prefect["found"], prefect["remedy"]) == ("fault", "Start it, or correct PREFECT_API_URL")
