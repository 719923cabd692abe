import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.check import read_community

File = dict[str, Any]


@pytest.fixture
def file(sound: File) -> File:
    """A sound file, for a test to spoil."""
    return sound


def load(file: File) -> File:
    found: File = file["assets"][0]["streams"][0]
    return found


def pv(file: File) -> File:
    found: File = file["assets"][1]["streams"][0]
    return found


def source(file: File) -> File:
    found: File = file["sources"]["meters"]
    return found


def fees(*spans: File) -> File:
    return {
        "market": "Street",
        "uuid": "0c6b3f63-7a3c-4a79-8d0a-1f7a0f2e9f11",
        "cents_per_kwh": 4,
        "schedule": [*spans],
    }


Change = Callable[[File], object]

NAIVE = {"time_type": "naive", "time_zone": "Europe/Berlin"}

ONE_FAULT: list[tuple[str, Change, str]] = [
    (
        "http in the house",
        lambda f: f["exchange"].update(base_url="http://192.168.1.5"),
        "exchange, base_url: http to 192.168.1.5: the password would travel in clear. "
        "Write https; or, where the way there is your own, allow it by name: allow_http: [192.168.1.5]",
    ),
    (
        "websocket in clear",
        lambda f: f["exchange"].update(websocket_url="ws://192.168.1.5/external-ws"),
        "exchange, websocket_url: ws to 192.168.1.5: the login's token would travel in clear. "
        "Write wss; or, where the way there is your own, allow it by name: allow_http: [192.168.1.5]",
    ),
    (
        "a host with its scheme",
        lambda f: f.update(allow_http=["http://grid.lan"]),
        "allow_http, [0]: this value can't be used. "
        "List hosts by name or address alone, without http:// and port, such as [grid.lan]",
    ),
    (
        "margin as long as the slot",
        lambda f: (f["community"].update(slot_length=5), f["exchange"].update(margin_s=290)),
        "exchange, margin_s: 290 s before the slot leave no time to send in slots of 5 minutes. Write less than 290",
    ),
    (
        "user in the address",
        lambda f: f["exchange"].update(base_url="https://me:hush@exchange.example"),
        "exchange, base_url: a user name stands in this address. Take it out and set "
        "SLOTFEED_EXCHANGE_USERNAME and SLOTFEED_EXCHANGE_PASSWORD in the environment or in .env",
    ),
    (
        "address without scheme",
        lambda f: f["exchange"].update(base_url="exchange.example"),
        "exchange, base_url: 'exchange.example' is no address. "
        "Write the exchange's address, such as https://gsyweb.gridsingularity.com",
    ),
    (
        "websocket's address with the wrong scheme",
        lambda f: f["exchange"].update(websocket_url="https://exchange.example"),
        "exchange, websocket_url: this value is no address. "
        "Write one like wss://gsyweb.gridsingularity.com/external-ws, or leave it out",
    ),
    (
        "aggregator without a name",
        lambda f: f["exchange"].update(aggregator=""),
        "exchange, aggregator: is empty. Write the aggregator's name or uuid",
    ),
    (
        "grid fee without a market's uuid",
        lambda f: f.update(grid_fees=[{"market": "Street", "cents_per_kwh": 4}]),
        "market 'Street', uuid: is missing. Write the uuid that the exchange gave this market",
    ),
    (
        "grid fee's time of day",
        lambda f: f.update(grid_fees=[fees({"from": "24:00", "to": "06:00", "cents_per_kwh": 1})]),
        "market 'Street', schedule[0].from: '24:00' is no time of day. "
        "Write the time at which it begins, in quotes, such as '22:00'",
    ),
    (
        "grid fee's key misspelt",
        lambda f: f.update(grid_fees=[fees({"from": "22:00", "too": "06:00", "to": "06:00", "cents_per_kwh": 1})]),
        "market 'Street', schedule[0].too: this key is unknown. Did you mean 'to'?",
    ),
    (
        "grid fee below nothing",
        lambda f: f.update(grid_fees=[{**fees(), "cents_per_kwh": -1}]),
        "market 'Street', cents_per_kwh: '-1' is out of range. Write a number greater than or equal to 0",
    ),
    (
        "own database without driver",
        lambda f: f.update(database="postgresql+nodriver://me@h/d"),
        "database: no driver for postgresql+nodriver is installed. Write postgresql+psycopg",
    ),
    (
        "own database is no URL",
        lambda f: f.update(database="slotfeed.sqlite"),
        "database: this is no database URL. "
        "Write sqlite:///slotfeed.sqlite or postgresql+psycopg://slotfeed@db.example/slotfeed",
    ),
    (
        "password as an option",
        lambda f: source(f).update(url="postgresql+psycopg://u@h/d?password=hush&sslmode=require"),
        "source 'meters', url: a password stands in this URL. "
        "Take it out and set SLOTFEED_SOURCE_METERS_PASSWORD in the environment or in .env",
    ),
    (
        "port is no number",
        lambda f: source(f).update(url="postgresql+psycopg://u@h:hush/d"),
        "source 'meters', url: this is no database URL. "
        "Write one like postgresql+psycopg://reader@db.example/meters or sqlite:///meters.sqlite",
    ),
    (
        "unknown section",
        lambda f: f.update(asets=[]),
        "{path}, asets: this key is unknown. Did you mean 'assets'?",
    ),
    (
        "missing section",
        lambda f: f.pop("exchange"),
        "exchange: is missing. Add the section with base_url",
    ),
    (
        "source's name",
        lambda f: (
            (f["sources"].update({"my meters": f["sources"].pop("meters")}), load(f), pv(f))
            and [s.update(source="my meters") for s in (load(f), pv(f))]
        ),
        "source 'my meters': 'my meters' can't be a source's name. Use letters, digits and underscores, a letter first",
    ),
    (
        "sources that share a password's name",
        lambda f: (f["sources"].update(METERS=source(f)), pv(f).update(source="METERS")),
        "source 'METERS': shares SLOTFEED_SOURCE_METERS_PASSWORD with the source 'meters'. Rename one of the two",
    ),
    (
        "column's name",
        lambda f: source(f)["columns"].update(meter="id; DROP TABLE readings"),
        "source 'meters', columns.meter: 'id; DROP TABLE readings' can't be the name of a table or column. "
        "Write name or schema.name, without quotes",
    ),
    (
        "neither table nor sql",
        lambda f: source(f).pop("table"),
        "source 'meters', table: neither table nor sql is given. Write the table's name, or a SELECT as sql",
    ),
    (
        "narrow without value",
        lambda f: source(f)["columns"].pop("value"),
        "source 'meters', columns.value: is missing. Write the name of the column with the value",
    ),
    (
        "tie breaker that can't be one",
        lambda f: (source(f).update(NAIVE), source(f)["columns"].update(tie_breaker="row id")),
        "source 'meters', columns.tie_breaker: 'row id' can't be the name of a table or column. "
        "Write name or schema.name, without quotes",
    ),
    (
        "columns as a text",
        lambda f: source(f).update(columns="meter, time, value"),
        "source 'meters', columns: 'meter, time, value' stands where key: value lines belong. "
        "Say which column holds what: meter, time and value at least",
    ),
    (
        "wide with a register column",
        lambda f: (source(f).update(wide={"a": "1-0:1.8.0", "b": "1-0:2.8.0"}), source(f)["columns"].pop("value")),
        "source 'meters', columns.register: wide rows have no register column. Take out either register or wide",
    ),
    (
        "two columns for one register",
        lambda f: source(f).update(
            wide={"a": "1-0:1.8.0", "b": "1-0:2.8.0", "c": "1-0:2.8.0"}, columns={"meter": "m", "time": "t"}
        ),
        "source 'meters', wide: several columns stand for 1-0:2.8.0. Give each column its own register",
    ),
    (
        "URL in another place",
        lambda f: source(f).update(table="postgresql://u:hush@h/d"),
        "source 'meters', table: this value can't be the name of a table or column. "
        "Write name or schema.name, without quotes",
    ),
    (
        "URL as a time zone",
        lambda f: f["community"].update(time_zone="postgresql://u:hush@h/d"),
        "community, time_zone: this value can't be used. Write one like Europe/Vienna",
    ),
    (
        "unknown quality",
        lambda f: (source(f).update(quality_map={"220": "GOOD"}), source(f)["columns"].update(quality="q")),
        "source 'meters', quality_map.220: 'GOOD' is none of the allowed values. "
        "Write MEASURED, SUBSTITUTED, ESTIMATED, PROVISIONAL, MISSING or UNUSABLE",
    ),
    (
        "endless scale",
        lambda f: source(f).update(scale=float("inf")),
        "source 'meters', scale: 'inf' is no number. Write a number with a decimal point, such as 5.5",
    ),
    (
        "name twice",
        lambda f: f["assets"][1].update(name="Flat"),
        "asset 'Flat' (no. 2), name: asset no. 1 has the same name. Give each asset its own name",
    ),
    (
        "smart meter as an asset",
        lambda f: f["assets"][0].update(type="smart_meter"),
        "asset 'Flat', type: the exchange ignores live data for a smart meter. "
        "Split it at the exchange and here: import feeds a load, export a pv",
    ),
    (
        "channel in two assets",
        lambda f: (f["assets"][0].update(type="pv"), load(f).update(register="1-0:2.8.0")),
        "asset 'Roof', streams[0]: asset 'Flat' reads the same channel, meters/m1/1-0:2.8.0. "
        "Feed one asset from it; of a two-way meter, set two_way: true in both and sign: -1 in the pv",
    ),
    (
        "two-way halves with one sign",
        lambda f: [s.update(register="1-0:16.7.0", kind="power", unit="W", two_way=True) for s in (load(f), pv(f))],
        "asset 'Roof', streams[0]: asset 'Flat' reads the same channel, meters/m1/1-0:16.7.0. "
        "Feed one asset from it; of a two-way meter, set two_way: true in both and sign: -1 in the pv",
    ),
    (
        "export into a load",
        lambda f: load(f).update(device="m2", register="1-0:2.29.0"),
        "asset 'Flat', streams[0].register: 1-0:2.29.0 counts export, and feeds a load. "
        "Feed a pv from it, and this asset from the import register (1.8.0 or 1.29.0)",
    ),
    (
        "import into a pv",
        lambda f: pv(f).update(device="m2", register="1.8.1*255"),
        "asset 'Roof', streams[0].register: 1.8.1*255 counts import, and feeds a pv. "
        "Feed a load from it, and this asset from the export register (2.8.0 or 2.29.0)",
    ),
    (
        "power unit on an interval",
        lambda f: load(f).update(kind="interval", unit="kW"),
        "asset 'Flat', streams[0].unit: kW is a unit of power and doesn't fit kind interval. Write Wh, kWh or MWh",
    ),
    (
        "unknown unit beside a unit column",
        lambda f: (source(f)["columns"].update(unit="u"), load(f).update(unit="joule")),
        "asset 'Flat', streams[0].unit: the unit 'joule' is unknown. Write Wh, kWh or MWh",
    ),
    (
        "instant interval",
        lambda f: load(f).update(kind="interval", label="instant"),
        "asset 'Flat', streams[0].label: 'instant' doesn't fit kind interval. Write start or end, or take it out",
    ),
    (
        "register left out",
        lambda f: load(f).pop("register"),
        "asset 'Flat', streams[0].register: is missing: the source tells registers apart by its column obis. "
        "Write which one, such as 1-0:1.8.0",
    ),
    (
        "register under its raw name",
        lambda f: (source(f).update(register_map={"1": "import"}), load(f).update(register="1")),
        "asset 'Flat', streams[0].register: the source's register_map renames '1'. Write 'import'",
    ),
    (
        "stream that is no mapping",
        lambda f: f["assets"][1]["streams"].append("m2"),
        "asset 'Roof', streams[1]: 'm2' stands where key: value lines belong. "
        "List at least one stream: source, device, kind and unit",
    ),
    (
        "sign of another size",
        lambda f: load(f).update(sign=2),
        "asset 'Flat', streams[0].sign: '2' is none of the allowed values. Write 1 or -1",
    ),
    (
        "half a minute",
        lambda f: load(f).update(interval=7.5),
        "asset 'Flat', streams[0].interval: '7.5' is no whole number. Write a whole number, such as 15",
    ),
    (
        "neither true nor false",
        lambda f: load(f).update(two_way="perhaps"),
        "asset 'Flat', streams[0].two_way: 'perhaps' is neither true nor false. Write true or false",
    ),
    (
        "assets as a mapping",
        lambda f: f.update(assets={"Flat": {}}),
        "assets: a mapping stands where a list belongs. "
        "List at least one asset, each with name, uuid, type, rated_power_kw and streams",
    ),
]


@pytest.mark.parametrize(("change", "expected"), [case[1:] for case in ONE_FAULT], ids=[case[0] for case in ONE_FAULT])
def test_one_fault_alone_is_told_once(
    path: Path, check: Callable[..., list[str]], change: Change, expected: str, file: File
) -> None:
    change(file)
    assert check(file) == [expected.replace("{path}", str(path))]


IN_CLEAR_TO = "the URL doesn't demand encryption, so passwords and readings may travel to"
DEMAND = (
    "Add sslmode=verify-full and sslrootcert=system to it, as in ?sslmode=verify-full&sslrootcert=system; "
    "sslmode=require where the server's certificate is its own"
)

ONE_NOTICE: list[tuple[str, Change, str]] = [
    (
        "autumn night",
        lambda f: source(f).update(NAIVE),
        "source 'meters', time_type: the two hours of the autumn night that carry the same naive stamps can't be told "
        "apart: rows of that night will be refused. Name a column that grows with true time as columns.tie_breaker, "
        "or set row_order: true if rows come in their true order",
    ),
    (
        "zone of stamps that have one",
        lambda f: source(f).update(time_zone="Europe/Berlin"),
        "source 'meters', time_zone: isn't used: timestamptz stamps carry their zone. "
        "Take it out, or set time_type: naive",
    ),
    (
        "stream's zone of stamps that have one",
        lambda f: load(f).update(time_zone="Europe/Berlin"),
        "asset 'Flat', streams[0].time_zone: isn't used: timestamptz stamps carry their zone. "
        "Take it out, or set the source's time_type: naive",
    ),
    (
        "source without streams",
        lambda f: f["sources"].update(spare=source(f)),
        "source 'spare': no stream reads from it. Take it out, or name it in a stream",
    ),
    (
        "quality_map without column",
        lambda f: source(f).update(quality_map={"220": "MEASURED"}),
        "source 'meters', quality_map: isn't used: there is no quality column. Name it as columns.quality",
    ),
    (
        "heat pump",
        lambda f: f["assets"][0].update(type="heat_pump"),
        "asset 'Flat', type: energy of type heat_pump is sent as load. "
        "See that the exchange's asset has the type Load: live data for another type is ignored there",
    ),
    (
        "power above the asset's",
        lambda f: load(f).update(rated_power_kw=12.5),
        "asset 'Flat', streams[0].rated_power_kw: 12.5 kW is above the asset's 10 kW. "
        "Raise the asset's, or lower this one",
    ),
    (
        "half of a two-way meter",
        lambda f: load(f).update(device="m2", register="1-0:16.7.0", kind="power", unit="W", two_way=True),
        "asset 'Flat', streams[0].two_way: energy on the exchange is never negative, and no other asset takes the "
        "negative half of this channel: it is dropped. "
        "A two-way meter feeds two assets: let a second one read it too, with two_way: true and sign: -1",
    ),
    (
        "export that nobody takes",
        lambda f: (source(f).update(register_map={"1": "1-0:1.8.0", "2": "1-0:2.8.0"}), load(f).update(device="m2")),
        "source 'meters': no asset takes the export register 1-0:2.8.0 of the meters of 'Flat'. "
        "If one of them feeds in, add a pv that reads it; if none does, all is well",
    ),
    (
        "http in the house, allowed",
        lambda f: (f["exchange"].update(base_url="http://192.168.1.5"), f.update(allow_http=["192.168.1.5"])),
        "exchange, base_url: http to 192.168.1.5: the password travels in clear, as allow_http says it may. "
        "Make sure that nobody else is on the way there",
    ),
    (
        "websocket in clear, allowed",
        lambda f: (f["exchange"].update(websocket_url="ws://Grid.lan:81/x"), f.update(allow_http=["GRID.lan"])),
        "exchange, websocket_url: ws to grid.lan: the login's token travels in clear, as allow_http says it may. "
        "Make sure that nobody else is on the way there",
    ),
    (
        "allowed without need",
        lambda f: f.update(allow_http=["192.168.1.5"]),
        "allow_http, [0]: no address here is http or ws to '192.168.1.5'. Take it out",
    ),
    (
        "allowed for an address that has https",
        lambda f: (f["exchange"].update(base_url="https://grid.lan"), f.update(allow_http=["grid.lan"])),
        "allow_http, [0]: no address here is http or ws to 'grid.lan'. Take it out",
    ),
    (
        "database of its own that may be spoken to in clear",
        lambda f: f.update(database="postgresql+psycopg://u@db.example/d"),
        f"database: {IN_CLEAR_TO} db.example in clear. {DEMAND}",
    ),
    (
        "meter database that only prefers encryption",
        lambda f: source(f).update(url="postgresql+psycopg://u@10.0.0.9:5433/d?sslmode=prefer"),
        f"source 'meters', url: {IN_CLEAR_TO} 10.0.0.9 in clear. {DEMAND}",
    ),
    (
        "a second host elsewhere",
        lambda f: source(f).update(url="postgresql+psycopg://u@/d?host=127.0.0.1:5432&host=db.example:5432"),
        f"source 'meters', url: {IN_CLEAR_TO} db.example:5432 in clear. {DEMAND}",
    ),
    (
        "batch stops the exchange's own trading",
        lambda f: f["exchange"].update(protocol="batch", aggregator="Street"),
        "exchange, protocol: selecting an aggregator stops the exchange's template trading for that asset: "
        "it trades only what the aggregator bids. "
        "If nobody bids through the aggregator, use protocol sdk, and unselect what it has selected",
    ),
    (
        "live switch off",
        lambda f: f["assets"][1].update(live=False),
        "asset 'Roof', live: its live switch is off: nothing is sent, and the exchange follows the uploaded profile. "
        "Write the profile to upload with slotfeed profiles export, or take this out once the switch is on",
    ),
    (
        "uuid of another form",
        lambda f: f["assets"][1].update(uuid="roof"),
        "asset 'Roof', uuid: 'roof' hasn't the form of a UUID. "
        "Compare it with the exchange's; GSy's look like 84d221fa-46e1-49e0-823b-26cfb3425a5a",
    ),
]


@pytest.mark.parametrize(
    ("change", "expected"), [case[1:] for case in ONE_NOTICE], ids=[case[0] for case in ONE_NOTICE]
)
def test_a_notice_is_told_once_and_stops_nothing(
    path: Path, check: Callable[..., list[str]], change: Change, expected: str, file: File
) -> None:
    change(file)
    assert check(file) == [f"NOTICE {expected}"]
    assert read_community(path).community.name == "Sunny Street"


RIGHT: list[tuple[str, Change]] = [
    ("http on this machine's second address", lambda f: f["exchange"].update(base_url="http://[::1]:8001")),
    ("database here", lambda f: source(f).update(url="postgresql+psycopg://u@localhost/d")),
    ("database behind a socket", lambda f: source(f).update(url="postgresql+psycopg://u@/d?host=/run/postgresql")),
    ("database encrypted", lambda f: source(f).update(url="postgresql+psycopg://u@db.example/d?sslmode=verify-full")),
    ("http on this machine", lambda f: f["exchange"].update(base_url="http://127.0.0.1:8001")),
    ("http on localhost", lambda f: f["exchange"].update(base_url="http://localhost:8001/ctn")),
    ("naive with a tie breaker", lambda f: (source(f).update(NAIVE), source(f)["columns"].update(tie_breaker="id"))),
    ("naive in true order", lambda f: source(f).update(NAIVE, row_order=True)),
    ("naive UTC", lambda f: source(f).update(time_type="naive", time_zone="UTC")),
    (
        "naive with the streams' zones",
        lambda f: (
            source(f).update(time_type="naive", row_order=True),
            [stream.update(time_zone="Europe/Berlin") for stream in (load(f), pv(f))],
        ),
    ),
    ("power beside a unit column", lambda f: (source(f)["columns"].update(unit="u"), load(f).update(unit="W"))),
    (
        "both halves of a two-way meter",
        lambda f: [
            stream.update(register="1-0:16.7.0", kind="power", unit="W", two_way=True, sign=sign)
            for stream, sign in ((load(f), 1), (pv(f), -1))
        ],
    ),
    (
        "wide rows",
        lambda f: source(f).update(
            wide={"imported": "1-0:1.8.0", "exported": "1-0:2.8.0"}, columns={"meter": "m", "time": "t"}
        ),
    ),
    (
        "a SELECT",
        lambda f: (
            source(f).pop("table"),
            source(f).update(
                sql="WITH r AS (SELECT * FROM readings) -- delete nothing; really\n"
                "SELECT *, 'insert' AS a FROM r WHERE ts >= :start AND ts < :end AND meter_id IN :meters;"
            ),
        ),
    ),
    ("Austrian codes", lambda f: (load(f).update(register="1-1:1.9.0 G.01"), pv(f).update(register="1-1:2.9.0 G.01"))),
    ("power equal to the asset's", lambda f: load(f).update(rated_power_kw=10)),
    ("device as a number", lambda f: load(f).update(device=4711)),
]


@pytest.mark.parametrize("change", [case[1] for case in RIGHT], ids=[case[0] for case in RIGHT])
def test_what_is_right_is_not_complained_about(check: Callable[..., list[str]], change: Change, file: File) -> None:
    change(file)
    assert check(file) == []


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM r WHERE t >= :start AND t < :end", ":meters is not used"),
        (
            "SELECT * FROM r WHERE t >= :start AND t < :end AND m IN :meters AND x = :site",
            "nothing is known to fill in for :site",
        ),
        (
            "WITH d AS (DELETE FROM r RETURNING *) SELECT :start, :end, :meters FROM d",
            "it doesn't only read: DELETE stands in it",
        ),
        ("SELECT :start, :end, :meters; DROP TABLE r", "this isn't one SELECT"),
        ("-- nothing but :start, :end and :meters", "this isn't one SELECT"),
    ],
)
def test_sql_that_is_not_one_select_over_the_window_is_refused(
    check: Callable[..., list[str]], sql: str, expected: str, file: File
) -> None:
    del source(file)["table"]
    source(file)["sql"] = sql
    found = check(file)
    assert len(found) == 1
    assert expected in found[0]


def places(value: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in pairs:
        yield (*at, key)
        yield from places(child, (*at, key))


def everything(sound: File) -> File:
    """A file that uses what there is to use."""
    file = copy.deepcopy(sound)
    source(file).update(NAIVE, row_order=True, overlap=60, scale=2.0, register_map={"1": "1-0:1.8.0"})
    source(file).update(quality_map={"220": "MEASURED"})
    source(file)["columns"].update(quality="q", unit="u", end="e", tie_breaker="t", ingested_at="i")
    file["sources"]["wide"] = {**source(file), "wide": {"a": "1-0:2.8.0"}, "columns": {"meter": "m", "time": "t"}}
    pv(file).update(source="wide", interval=15, sign=1, two_way=False, rated_power_kw=5, time_zone="UTC")
    load(file).update(kind="interval", label="start")
    file["database"] = "sqlite:///slotfeed.sqlite"
    file["exchange"].update(protocol="sdk", margin_s=30, concurrency=4)
    file["community"].update(slot_length=15, time_zone="UTC")
    return file


@pytest.mark.parametrize("junk", [None, 17, "?", True, [], {}, [3], {"a": 1}], ids=repr)
def test_junk_in_any_one_place_hides_no_other_fault(
    monkeypatch: pytest.MonkeyPatch,
    path: Path,
    findings: Callable[[Path], list[str]],
    sound: File,
    junk: object,
) -> None:
    whole = everything(sound)
    whole["assets"].append({**copy.deepcopy(whole["assets"][0]), "name": "Shop", "type": "battery"})
    # PyYAML would take most of the time; what is under test comes after it.
    monkeypatch.setattr("pipelines.check.read_yaml", lambda _: (file, []))
    battery = ("assets", len(whole["assets"]) - 1)
    for place in places(whole):
        file = copy.deepcopy(whole)
        inner: Any = file
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = junk
        found = findings(path)
        if place not in {battery[:1], battery, (*battery, "type")}:
            assert any("the exchange ignores live data for a battery" in line for line in found), place


def test_naive_times_need_a_zone_where_one_stream_names_none(check: Callable[..., list[str]], file: File) -> None:
    source(file).update(time_type="naive", row_order=True)
    load(file)["time_zone"] = "Europe/Berlin"
    found = check(file)
    assert len(found) == 1
    assert found[0].startswith("source 'meters', time_zone: naive times without a time zone")


def test_registers_are_refused_where_the_source_has_no_column_for_them(
    check: Callable[..., list[str]], file: File
) -> None:
    del source(file)["columns"]["register"]
    assert [line.partition(":")[0] for line in check(file)] == [
        "asset 'Flat', streams[0].register",
        "asset 'Roof', streams[0].register",
    ]


def test_batch_needs_an_aggregator(check: Callable[..., list[str]], file: File) -> None:
    file["exchange"]["protocol"] = "batch"
    fault, notice = check(file)
    assert fault == (
        "exchange, aggregator: protocol batch sends through an aggregator, and none is named. "
        "Write its name or uuid; one that isn't there yet is made by slotfeed aggregators create NAME"
    )
    assert notice.startswith("NOTICE exchange, protocol: selecting an aggregator stops")


def test_the_export_half_is_asked_for_by_its_own_sign(check: Callable[..., list[str]], file: File) -> None:
    pv(file).update(device="m2", register="1-0:16.7.0", kind="power", unit="W", two_way=True, sign=-1)
    found = check(file)
    assert len(found) == 1
    assert "takes the positive half" in found[0]
    assert found[0].endswith("sign: 1")
