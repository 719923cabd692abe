"""`slotfeed assets`, `check --connect` and `init` as a user types them, against a small exchange written here."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from openpyxl import Workbook

Command = Callable[..., tuple[int, str]]
SIMULATION = "84d221fa-46e1-49e0-823b-26cfb3425a5a"
FLAT = "5f9c3e13-f75d-42af-92e4-55244faec4b4"
ROOF = "26090dea-a100-4c9b-9d2c-fcd582be8b2d"
CELLAR = "cf3b262c-26af-4cad-aa8a-02d1d4aef5c1"


def leaf(name: str, kind: str, uuid: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "uuid": uuid, "registered": False, "aggregator_name": None}


def house(name: str, *children: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "type": "Area", "uuid": f"area {name}", "children": list(children)}


class Exchange:
    """Login, registry and GraphQL on loopback."""

    def __init__(self) -> None:
        self.tree = house(
            "Grid",
            house("House 1", leaf("Wohnung „Süd“", "Load", FLAT), leaf('Roof "1"', "PV", ROOF)),
            house("House 2", leaf("Cellar", "Load", CELLAR), leaf("Battery", "Storage", "b1")),
        )
        self.live: dict[str, str] | None = {FLAT: "s", CELLAR: "s"}
        """None: the user's list of canary networks is refused."""

        self.url = ""
        self.before_answer: Callable[[], None] = lambda: None

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        if path == "/api-token-auth/":
            good = json.loads(body) == {"username": "me", "password": "hush-hush"}
            return (200, {"access": "t"}) if good else (401, {"detail": "no"})
        if (method, path) == ("GET", f"/external-connection/configurations/{SIMULATION}/registry"):
            self.before_answer()
            return 200, self.tree
        if (method, path) == ("POST", "/graphql/"):
            if self.live is None:
                return 200, {"errors": [{"message": "no permission"}], "data": None}
            scenario = {"forecastStreamAreaMapping": json.dumps(self.live)}
            return 200, {
                "data": {"listCanaryNetworks": {"configurations": [{"uuid": SIMULATION, "scenarioData": scenario}]}}
            }
        return 404, {"detail": "Not found."}


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:
    """Stands while the test runs; its user's secrets are in the environment, and the test in an empty folder."""
    stand_in = Exchange()

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content = stand_in.answer(self.command, self.path, body)
            payload = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = respond  # noqa: N815 - the names that the standard library looks for

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("SLOTFEED_EXCHANGE_USERNAME", "me")
    monkeypatch.setenv("SLOTFEED_EXCHANGE_PASSWORD", "hush-hush")
    monkeypatch.chdir(tmp_path)
    yield stand_in
    server.shutdown()
    thread.join()
    server.server_close()


def write(exchange: Exchange, assets: str) -> Path:
    """A file that lacks most of what a community file needs."""
    path = Path("community.yaml")
    path.write_text(
        f"# Ours.\ncommunity: {{simulation_uuid: {SIMULATION}, name: null}}\n"
        f"exchange:\n  base_url: {exchange.url}   # the test's\nassets:\n{assets}",
        encoding="utf-8",
    )
    return path


ASSETS = """\
  - name: "Wohnung „Süd“"   # ground floor
    uuid: null                # fill in: slotfeed assets sync
    type: load
  # the roof's inverter
  - {name: 'Roof "1"', uuid: old, type: pv}
  - &cellar
    name: Cellar
    uuid: cf3b262c-26af-4cad-aa8a-02d1d4aef5c1
    live: false
    type: load
"""
SYNCED = f"""\
  - name: "Wohnung „Süd“"   # ground floor
    uuid: {FLAT}
    type: load
  # the roof's inverter
  - {{name: 'Roof "1"', uuid: {ROOF}, live: false, type: pv}}
  - &cellar
    name: Cellar
    uuid: cf3b262c-26af-4cad-aa8a-02d1d4aef5c1
    live: true
    type: load
"""


def test_a_sync_fills_in_what_the_exchange_has_and_leaves_the_rest(exchange: Exchange, slotfeed: Command) -> None:
    path = write(exchange, ASSETS)
    old = path.read_text(encoding="utf-8")
    status, told = slotfeed("assets", "sync")
    assert status == 0, told
    assert path.read_text(encoding="utf-8") == old.replace(ASSETS, SYNCED)
    for row in (
        ["Wohnung „Süd“", "uuid", "none", FLAT],
        ["Roof", "uuid", "old", ROOF],
        ["Cellar", "live", "false", "true"],
    ):
        assert any(all(word in line for word in row) for line in told.splitlines()), (row, told)
    assert "Battery: b1 (Storage in Grid / House 2)" in told

    status, told = slotfeed("assets", "sync")
    assert (status, "Nothing to change" in told) == (0, True), told


def test_a_dry_run_tells_the_same_and_writes_nothing(exchange: Exchange, slotfeed: Command) -> None:
    path = write(exchange, ASSETS)
    old = path.read_bytes()
    status, told = slotfeed("assets", "sync", "--dry-run")
    assert status == 0, told
    assert "Would be changed" in told
    assert FLAT in told
    assert path.read_bytes() == old


def test_a_file_in_which_nothing_changes_is_not_touched(exchange: Exchange, slotfeed: Command) -> None:
    path = write(exchange, SYNCED)
    before = path.stat()
    assert slotfeed("assets", "sync")[0] == 0
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_ambiguous_name_is_told_and_the_others_are_synced(exchange: Exchange, slotfeed: Command) -> None:
    exchange.tree["children"].append(house("House 3", leaf("Wohnung „Süd“", "Load", "47a8e7a6")))
    path = write(exchange, ASSETS)
    status, told = slotfeed("assets", "sync")
    assert status == 1
    assert f"{FLAT} (Load in Grid / House 1); 47a8e7a6 (Load in Grid / House 3)" in told
    text = path.read_text(encoding="utf-8")
    assert "uuid: null                # fill in" in text
    assert ROOF in text


def test_an_asset_that_the_exchange_lacks_is_told_with_the_nearest(exchange: Exchange, slotfeed: Command) -> None:
    write(exchange, ASSETS + "  - {name: Cellars, uuid: gone, type: load}\n")
    status, told = slotfeed("assets", "sync")
    assert status == 1
    assert "The file has, and the exchange hasn't (1):\n  Cellars" in told
    assert "Did you mean 'Cellar'?" in told


def test_switches_that_cannot_be_read_stay(exchange: Exchange, slotfeed: Command) -> None:
    exchange.live = None
    path = write(exchange, ASSETS)
    status, told = slotfeed("assets", "sync")
    assert status == 0, told
    assert "live switches can't be read" in told
    text = path.read_text(encoding="utf-8")
    assert text.count("live:") == 1
    assert "live: false" in text
    assert FLAT in text


def test_what_somebody_writes_while_the_exchange_is_asked_is_kept(exchange: Exchange, slotfeed: Command) -> None:
    path = write(exchange, ASSETS)
    exchange.before_answer = lambda: path.write_text("mine", encoding="utf-8") and None
    status, told = slotfeed("assets", "sync")
    assert status == 1
    assert "changed it meanwhile" in told
    assert path.read_text(encoding="utf-8") == "mine"


def test_every_fault_that_hinders_a_sync_is_told_at_once(exchange: Exchange, slotfeed: Command) -> None:
    Path("community.yaml").write_text(
        "community: {}\nexchange: {base_url: nowhere}\nassets:\n- {uuid: a}\n- name: 5x\n"
    )
    status, told = slotfeed("assets", "sync")
    assert status == 1
    for place in ("community, simulation_uuid", "exchange, base_url", "asset no. 1, name"):
        assert place in told
    assert "sources" not in told


def test_a_wrong_password_and_a_wrong_simulation_are_told(
    exchange: Exchange, slotfeed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(exchange, ASSETS)
    path.write_text(path.read_text(encoding="utf-8").replace(SIMULATION, "other"), encoding="utf-8")
    status, told = slotfeed("assets", "list")
    assert (status, "registry of simulation other" in told) == (1, True), told
    monkeypatch.setenv("SLOTFEED_EXCHANGE_PASSWORD", "wrong-one")
    status, told = slotfeed("assets", "list")
    assert (status, "SLOTFEED_EXCHANGE_PASSWORD" in told, "wrong-one" in told) == (1, True, False), told


def test_the_list_shows_each_asset_and_which_the_file_has(exchange: Exchange, slotfeed: Command) -> None:
    exchange.tree["children"][0]["children"][0]["aggregator_name"] = "Sunny"
    write(exchange, SYNCED)
    status, told = slotfeed("assets", "list")
    assert status == 0, told
    lines = {uuid: next(line for line in told.splitlines() if uuid in line) for uuid in (FLAT, ROOF, "b1")}
    assert all(word in lines[FLAT] for word in ("Grid / House 1", "Load", "on", "Sunny"))
    assert lines[FLAT].count("Wohnung „Süd“") == 2
    assert "off" in lines[ROOF]
    assert lines["b1"].count("Battery") == 1


SOUND = """\
community: {{name: X, simulation_uuid: {simulation}}}
exchange: {{base_url: "{url}"}}
sources:
  meters:
    type: meter_database
    url: sqlite:///meters.sqlite
    table: t
    columns: {{meter: id, time: at, value: v}}
    time_type: epoch_s
assets:
  - {{name: Flat, uuid: {flat}, type: load, rated_power_kw: 9, streams: [{{device: a, {stream}}}]}}
  - {{name: Roof, uuid: {roof}, type: pv, rated_power_kw: 9, streams: [{{device: b, {stream}}}]}}
  - {{name: Cellar, uuid: {cellar}, type: load, live: false, rated_power_kw: 9, streams: [{{device: c, {stream}}}]}}
"""
STREAM = "source: meters, kind: register, unit: Wh"


def connect(exchange: Exchange, slotfeed: Command, *, flat: str = FLAT, roof: str = ROOF, cellar: str = CELLAR) -> str:
    """What `check --connect` says of the assets; the meter database isn't there and is told too."""
    uuids = {"simulation": SIMULATION, "flat": flat, "roof": roof, "cellar": cellar}
    Path("community.yaml").write_text(SOUND.format(url=exchange.url, stream=STREAM, **uuids))
    return slotfeed("check", "--connect")[1]


def test_check_connect_finds_assets_that_the_exchange_would_not_take(exchange: Exchange, slotfeed: Command) -> None:
    told = connect(exchange, slotfeed, flat="00000000-0000-4000-8000-000000000000", roof=CELLAR, cellar="b1")
    assert "fault asset 'Flat', uuid" in told
    assert "slotfeed assets sync" in told
    assert f"fault asset 'Roof', type\n  the exchange's asset is {CELLAR} (Load in Grid / House 2)" in told
    assert "fault asset 'Cellar', type\n  the exchange's asset is b1 (Storage" in told


def test_check_connect_tells_of_switches_that_stand_the_other_way(exchange: Exchange, slotfeed: Command) -> None:
    told = connect(exchange, slotfeed)
    assert "notice asset 'Roof', live\n  its live switch is off" in told
    assert "notice asset 'Cellar', live\n  its live switch is on" in told
    assert "asset 'Flat'" not in told


def test_check_connect_says_where_it_cannot_look(exchange: Exchange, slotfeed: Command) -> None:
    exchange.live = None
    told = connect(exchange, slotfeed)
    assert "asset 'Roof'" not in told
    assert "no permission" in told
    exchange.tree = {"detail": "?"}
    assert "the exchange's tree can't be read" in connect(exchange, slotfeed)


def data_sheet(path: Path) -> None:
    book = Workbook()
    book.remove(book.worksheets[0])
    start = datetime(2026, 3, 2)  # noqa: DTZ001 - Excel's cells know no zone
    asset = ["Member name", "Datastream ID"]
    for title, rows in {
        "General settings": [["Start date", "", start], ["End date", "", start], ["Slot length", "", "0:15"]],
        "Community Members": [
            ["Member name", "Email", "ZIP code", "Utility price", "Feed-in Tariff", "Coefficient"],
            ["Anna", "a@example.org", "1010", 30, 7, 1],
        ],
        "Load": [[*asset, "Load name"], ["Anna", "m1", "Wohnung „Süd“"]],
        "PV": [[*asset, "PV name", "Capacity [kW]", "Tilt [°]", "Azimuth [°]"], ["Anna", "m2", 'Roof "1"', 5, 30, 0]],
        "Profiles": [["Datetime", "Wohnung „Süd“"], ["legend", None], [start, 0.1]],
    }.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)


def test_from_a_data_sheet_to_synced_uuids(exchange: Exchange, slotfeed: Command) -> None:
    data_sheet(Path("sheet.xlsx"))
    status, told = slotfeed("init", "--from-datasheet", "sheet.xlsx")
    assert status == 0, told
    path = Path("community.yaml")
    text = path.read_text(encoding="utf-8")
    text = text.replace("simulation_uuid: null", f"simulation_uuid: {SIMULATION}")
    path.write_text(text.replace("https://gsyweb.gridsingularity.com", exchange.url), encoding="utf-8")
    status, told = slotfeed("assets", "sync")
    assert status == 0, told
    new = path.read_text(encoding="utf-8")
    assert [asset["uuid"] for asset in yaml.safe_load(new)["assets"]] == [FLAT, ROOF]
    assert "fill in: slotfeed assets sync" not in new


@pytest.mark.parametrize("option", ["--from-datasheet", "--from-registry"])
def test_init_tells_what_is_wrong_with_the_file_it_starts_from(
    slotfeed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("nonsense")
    for arguments in ((option, "file"), (option, "gone"), ("--from-registry", "file", "--from-datasheet", "file")):
        status, told = slotfeed("init", *arguments)
        assert status == 1, told
        assert "fault" in told
    assert not Path("community.yaml").exists()


def test_the_demo_s_file_gets_its_lost_uuids_back_from_the_sandbox(place: Any, slotfeed: Command) -> None:
    good = place.file.read_text(encoding="utf-8")
    status, told = slotfeed("assets", "sync")
    assert (status, "Nothing to change" in told) == (0, True), told
    assets = place.community.assets
    lost = good.replace(assets[0].uuid, "null").replace(assets[5].uuid, "00000000-0000-4000-8000-000000000000")
    place.file.write_text(lost, encoding="utf-8")
    status, told = slotfeed("assets", "sync")
    assert status == 0, told
    assert place.file.read_text(encoding="utf-8") == good
    assert slotfeed("check", "--connect")[0] == 0
    status, told = slotfeed("assets", "list")
    assert status == 0, told
    assert all(asset.uuid in told for asset in assets)
