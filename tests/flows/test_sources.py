"""`slotfeed sources`, and feeds that read vendor clouds, as a user runs them against emulated clouds."""

import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml
from sqlalchemy import func
from sqlalchemy import select as query
from sqlmodel import col

from pipelines.clock import FixedClock
from pipelines.frames import State
from pipelines.sandbox.clouds.app import vendors
from pipelines.sandbox.clouds.demo import assignments, demo_fleet
from pipelines.sandbox.clouds.process import clouds_process
from pipelines.sandbox.clouds.serve import in_thread
from pipelines.sandbox.clouds.world import World
from pipelines.sandbox.demo_community import community_yaml
from pipelines.store import SubmissionRow

Place = Any
Command = Callable[..., tuple[int, str]]
AT = "2016-10-29T21:47Z"
SECRET = "hush-cloud-4711"


@dataclass
class Clouds:
    """The vendor clouds beside the demo's place: of its 36 assets, one is read at inexogy and one at SolarEdge."""

    place: Place
    http: httpx.Client
    meter: str
    """At inexogy."""

    site: str
    """At SolarEdge."""

    @property
    def file(self) -> Path:
        found: Path = self.place.file
        return found

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        content = yaml.safe_load(self.file.read_text())
        change(content)
        self.file.write_text(yaml.safe_dump(content, sort_keys=False))

    def break_(self, path: str, **rule: Any) -> None:
        """Let requests to a part of the clouds go wrong."""
        self.http.put("/sandbox/faults", json=[{"path": path, **rule}]).raise_for_status()

    def mend(self) -> None:
        self.http.put("/sandbox/faults", json=[]).raise_for_status()

    def asked(self) -> int:
        """Requests that reached any vendor since the last look."""
        count = len(self.http.get("/sandbox/requests").json())
        self.http.delete("/sandbox/requests").raise_for_status()
        return count

    def states(self) -> dict[str, int]:
        with self.place.store() as store, store.reading() as connection:
            state = col(SubmissionRow.state)
            return dict(connection.execute(query(state, func.count()).group_by(state)).all())


READ_AT = {"inexogy": "grid", "solaredge": "sun"}
"""Vendor -> the source that reads there."""


def move_to_clouds(content: dict[str, Any], url: str) -> dict[str, str]:
    """Let the first asset of each of the two vendors be read there; source -> its device."""
    content["sources"]["grid"] = {"type": "inexogy", "url": url + vendors()["inexogy"].PREFIX, "username": "me"}
    content["sources"]["sun"] = {"type": "solaredge", "url": url + vendors()["solaredge"].PREFIX}
    known, moved = assignments(), {}
    for asset in content["assets"]:
        vendor, device, channel = known.get(asset["name"], ("", "", ""))
        name = READ_AT.get(vendor, "")
        if name and name not in moved:
            asset["streams"] = [{"source": name, "device": device, "register": channel}]
            moved[name] = device
    return moved


@pytest.fixture
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in READ_AT.values():
        monkeypatch.setenv(f"SLOTFEED_SOURCE_{name.upper()}_PASSWORD", SECRET)


@pytest.fixture
def clouds(place: Place, _secrets: None) -> Iterator[Clouds]:
    """With databases, an exchange and the clouds in a process of their own."""
    content = yaml.safe_load(place.file.read_text())
    with (
        clouds_process(username="me", secret=SECRET, clock_start=datetime.fromisoformat(AT)) as url,
        httpx.Client(base_url=url) as http,
    ):
        moved = move_to_clouds(content, url)
        place.file.write_text(yaml.safe_dump(content, sort_keys=False))
        yield Clouds(place=place, http=http, meter=moved["grid"], site=moved["sun"])


@dataclass
class Folder:
    """A community file that no exchange stands behind."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "community.yaml"


@pytest.fixture
def accounts(tmp_path: Path, _secrets: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clouds]:
    """Only the two assets that are read at the clouds."""
    monkeypatch.chdir(tmp_path)
    text = community_yaml(base_url="http://127.0.0.1:9", meter_url="sqlite:///m.sqlite", database="sqlite:///s.sqlite")
    content = yaml.safe_load(text)
    world = World(fleet=demo_fleet(), clock=FixedClock(datetime.fromisoformat(AT)), username="me", secret=SECRET)
    with in_thread(world) as url, httpx.Client(base_url=url) as http:
        moved = move_to_clouds(content, url)
        content["sources"] = {name: content["sources"][name] for name in moved}
        content["assets"] = [one for one in content["assets"] if one["streams"][0]["source"] in moved]
        place = Folder(tmp_path)
        place.file.write_text(yaml.safe_dump(content, sort_keys=False))
        yield Clouds(place=place, http=http, meter=moved["grid"], site=moved["sun"])


def part_of(told: str, source: str) -> list[str]:
    """The lines that stand under a source."""
    lines = iter(told.splitlines())
    found: list[str] = []
    for line in lines:
        if line.startswith(f"{source}: "):
            found = [line]
            break
    for line in lines:
        if not line.startswith("  "):
            break
        found.append(line.strip())
    return found


def test_list_shows_devices_registers_and_who_uses_them(accounts: Clouds, slotfeed: Command) -> None:
    status, told = slotfeed("sources", "list")
    assert status == 0, told
    grid, sun = part_of(told, "grid"), part_of(told, "sun")
    assert (grid[0], sun[0]) == ("grid: 4 device(s)", "sun: 2 device(s)")
    meter = next(number for number, line in enumerate(grid) if line.startswith(accounts.meter))
    assert [line.split(maxsplit=1) for line in grid[meter + 1 : meter + 3]] == [
        ["import", "read for Load 1"],
        ["export", "not read"],
    ]
    assert [line.split()[0] for line in sun[1:]] == ["2051001", "production", "2051002", "production"]
    assert [line.endswith("read for PV 1") for line in sun[1:]] == [False, True, False, False]
    assert SECRET not in told


def test_what_is_not_read_yet_is_shown_as_it_stands_in_the_file(accounts: Clouds, slotfeed: Command) -> None:
    status, told = slotfeed("sources", "list", "sun")
    assert status == 0, told
    streams = [yaml.safe_load(line) for line in told.splitlines() if line.startswith("  - {")]
    assert streams == [[{"source": "sun", "device": "2051002", "register": "production"}]]
    asset = {"name": "PV 2", "uuid": str(uuid4()), "type": "pv", "rated_power_kw": 5, "streams": streams[0]}
    accounts.edit(lambda file: file["assets"].append(asset))
    status, told = slotfeed("sources", "list", "sun")
    assert (status, "read for PV 2" in told) == (0, True), told


def test_list_of_one_source_asks_no_other(accounts: Clouds, slotfeed: Command) -> None:
    accounts.asked()
    status, told = slotfeed("sources", "list", "grid")
    assert status == 0, told
    assert part_of(told, "sun") == []
    assert {entry["vendor"] for entry in accounts.http.get("/sandbox/requests").json()} == {"inexogy"}
    status, told = slotfeed("sources", "list", "gird")
    assert status == 1
    assert "source 'gird'" in told
    assert "grid" in told.replace("gird", "")


def test_list_tells_which_source_can_not_be_asked_and_shows_the_others(accounts: Clouds, slotfeed: Command) -> None:
    accounts.break_("/solaredge/", do="status", status=404)
    status, told = slotfeed("sources", "list")
    assert status == 1
    assert part_of(told, "grid")[0] == "grid: 4 device(s)"
    assert re.search("error source 'sun'.*404", told)


def test_quota_shows_every_limit_and_asks_nobody(accounts: Clouds, slotfeed: Command) -> None:
    accounts.edit(lambda file: file["sources"]["sun"].update(limits={"month": 12_345}))
    assert slotfeed("sources", "list")[0] == 0
    accounts.asked()
    status, told = slotfeed("sources", "quota")
    assert status == 0, told
    assert accounts.asked() == 0
    sun, grid = " ".join(part_of(told, "sun")), " ".join(part_of(told, "grid"))
    # One for the list of sites, and one for each site's devices.
    assert re.search("month +12,342 left of 12,345 a calendar month, 3 used; the oldest is freed at .* UTC", sun)
    assert re.search("minute +7 left of 10 in any 60 s, 3 used", sun)
    # One for the list of meters, and one for each one's registers.
    assert re.search("requests +2,995 left of 3,000 in any 5 min, 5 used", grid)
    assert SECRET not in told


def test_a_refused_login_stops_the_account_until_it_is_resumed(
    accounts: Clouds, slotfeed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLOTFEED_SOURCE_GRID_PASSWORD", "wrong-one-4711")
    status, told = slotfeed("sources", "list", "grid")
    assert status == 1
    assert "source 'grid'" in told
    accounts.asked()

    monkeypatch.setenv("SLOTFEED_SOURCE_GRID_PASSWORD", SECRET)
    status, again = slotfeed("sources", "list", "grid")
    assert (status, accounts.asked()) == (1, 0)
    assert "slotfeed sources resume grid" in again

    status, quota = slotfeed("sources", "quota")
    assert status == 0, quota
    assert re.search(r"stopped until \d{4}-\d\d-\d\d \d\d:\d\d UTC: .*401", quota)

    status, resumed = slotfeed("sources", "resume", "grid")
    assert (status, "grid is asked again" in resumed) == (0, True), resumed
    assert slotfeed("sources", "list", "grid")[0] == 0
    status, twice = slotfeed("sources", "resume", "grid")
    assert (status, "wasn't stopped" in twice) == (0, True), twice
    assert not [text for text in (told, again, quota, resumed) if "4711" in text]


def test_a_reason_with_brackets_is_shown_as_it_is(accounts: Clouds, slotfeed: Command) -> None:
    """Vendors write what they like, and brackets are markup to the screen."""
    accounts.break_("/inexogy/", do="status", status=410, body=json.dumps({"see": "[/the] [red]papers"}))
    assert slotfeed("sources", "list", "grid")[0] == 1
    status, told = slotfeed("sources", "quota")
    assert status == 0, told
    assert "[/the] [red]papers" in told


@pytest.mark.parametrize(("name", "words"), [("smart_meters", "meter database"), ("gird", "no such source")])
@pytest.mark.usefixtures("clouds")
def test_only_accounts_are_resumed(slotfeed: Command, name: str, words: str) -> None:
    status, told = slotfeed("sources", "resume", name)
    assert status == 1
    assert words in told
    assert "Accounts are: grid, sun" in told


@pytest.mark.usefixtures("accounts")
def test_a_vendor_without_consent_says_so(slotfeed: Command) -> None:
    status, told = slotfeed("sources", "authorise", "grid")
    assert status == 1
    assert "knows no authorisation by its owner" in told


def test_check_connect_finds_what_the_accounts_do_not_have(
    clouds: Clouds, slotfeed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, told = slotfeed("check", "--connect")
    assert status == 0, told
    clouds.file.write_text(clouds.file.read_text().replace(f"device: '{clouds.site}'", "device: '2051999'"))
    status, told = slotfeed("check", "--connect")
    assert status == 1
    assert "the account has no device 2051999" in told
    assert "2051001, 2051002" in told
    monkeypatch.setenv("SLOTFEED_SOURCE_GRID_PASSWORD", "wrong-one-4711")
    status, told = slotfeed("check", "--connect")
    assert status == 1
    assert "SLOTFEED_SOURCE_GRID_PASSWORD" in told
    assert "2051999" in told
    assert "4711" not in told


def test_a_login_that_check_sees_refused_is_not_tried_again_by_the_feed(
    clouds: Clouds, slotfeed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vendor that locks accounts after some wrong passwords counts those of a check too."""
    monkeypatch.setenv("SLOTFEED_SOURCE_GRID_PASSWORD", "wrong-one")
    assert slotfeed("check", "--connect")[0] == 1
    clouds.asked()
    status, told = slotfeed("check", "--connect")
    assert status == 1
    assert "slotfeed sources resume grid" in told
    assert "inexogy" not in {entry["vendor"] for entry in clouds.http.get("/sandbox/requests").json()}


def test_a_missing_secret_of_an_account_is_named(
    accounts: Clouds, slotfeed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLOTFEED_SOURCE_SUN_PASSWORD")
    status, told = slotfeed("sources", "list", "sun")
    assert status == 1
    assert "SLOTFEED_SOURCE_SUN_PASSWORD" in told
    assert "API key" in told
    assert str(accounts.file.parent / ".env") in told


def test_a_feed_from_databases_and_clouds_sends_every_asset(clouds: Clouds, slotfeed: Command) -> None:
    status, told = slotfeed("feed", "--at", AT)
    assert (status, clouds.states()) == (0, {State.ACCEPTED: 36}), told
    assert SECRET not in told


def test_a_cloud_that_is_down_is_named_and_the_others_go_on(clouds: Clouds, slotfeed: Command) -> None:
    # A status that isn't tried again: a person's patience isn't under test.
    clouds.break_("/solaredge/", do="status", status=451)
    status, told = slotfeed("feed", "--at", AT)
    assert status == 1
    assert "source 'sun'" in told
    assert "source 'grid'" not in told
    assert clouds.states() == {State.ACCEPTED: 35}
    runs = slotfeed("status", "--json")
    assert runs[0] == 0
    clouds.mend()
    status, told = slotfeed("feed", "--at", AT)
    assert (status, clouds.states()) == (0, {State.ACCEPTED: 36}), told


def test_an_account_that_is_stopped_leaves_the_feed_incomplete_and_asks_nothing(
    clouds: Clouds, slotfeed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLOTFEED_SOURCE_GRID_PASSWORD", "wrong-one-4711")
    status, told = slotfeed("feed", "--at", AT)
    assert status == 1
    assert "source 'grid'" in told
    assert clouds.states() == {State.ACCEPTED: 35}
    monkeypatch.setenv("SLOTFEED_SOURCE_GRID_PASSWORD", SECRET)
    clouds.asked()
    status, again = slotfeed("feed", "--at", AT)
    assert status == 1
    assert "slotfeed sources resume grid" in again
    assert "inexogy" not in {entry["vendor"] for entry in clouds.http.get("/sandbox/requests").json()}
    assert slotfeed("sources", "resume", "grid")[0] == 0
    assert slotfeed("feed", "--at", AT)[0] == 0
    assert clouds.states() == {State.ACCEPTED: 36}
    assert "4711" not in told + again


def test_no_secret_of_an_account_is_left_behind(clouds: Clouds, slotfeed: Command) -> None:
    slotfeed("feed", "--at", AT)
    slotfeed("report", "--output", clouds.file.parent / "r.html")
    kept = [path for path in clouds.file.parent.rglob("*") if path.is_file()]
    assert len(kept) > 3
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]


def test_sandbox_clouds_starts_serves_and_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from flows.cli import main; main()", "sandbox", "clouds", "--port", "0"]
    environment = os.environ | {"SLOTFEED_SANDBOX_SECRET": SECRET, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [*command, "--username", "me", "--clock", AT],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    try:
        assert process.stdout is not None
        told: list[str] = []
        while not told or "listening on" not in told[-1]:
            readable, _, _ = select.select([process.stdout], [], [], 60)
            assert readable, told
            line = process.stdout.readline()
            assert line, told
            told.append(line)
        url = told[-1].split()[-1]
        shown = {line.split()[0] for line in told if "url: http://127.0.0.1:" in line}
        assert shown == set(vendors())
        answer = httpx.get(f"{url}{vendors()['inexogy'].PREFIX}/meters", auth=("me", SECRET))
        assert (answer.status_code, len(answer.json())) == (200, 4)
        assert httpx.get(f"{url}/sandbox/clock").json()["now"].startswith("2016-10-29T21:47")
        assert SECRET not in "".join(told)
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0, rest
