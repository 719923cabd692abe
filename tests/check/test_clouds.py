"""What the check says of vendor accounts: each fault by itself, and nothing beside it."""

import re
from collections.abc import Callable
from typing import Any

import pytest

File = dict[str, Any]
Check = Callable[..., list[str]]
Change = Callable[[File], object]


@pytest.fixture
def file(sound: File) -> File:
    """A file without a fault: a flat's meter at inexogy, and a roof's site at SolarEdge."""
    sound["sources"] = {
        "grid": {"type": "inexogy", "username": "member@example.org"},
        "sun": {"type": "solaredge"},
    }
    flat, roof = sound["assets"]
    flat["streams"] = [{"source": "grid", "device": "m1", "register": "import"}]
    roof["streams"] = [{"source": "sun", "device": "2051001", "register": "production"}]
    return sound


def grid(file: File) -> File:
    found: File = file["sources"]["grid"]
    return found


def sun(file: File) -> File:
    found: File = file["sources"]["sun"]
    return found


def load(file: File) -> File:
    found: File = file["assets"][0]["streams"][0]
    return found


def pv(file: File) -> File:
    found: File = file["assets"][1]["streams"][0]
    return found


def twin(file: File, **changes: object) -> None:
    """A second source with the same settings, read for the flat's other meter."""
    file["sources"]["again"] = {**grid(file), **changes}
    file["assets"][0]["streams"].append({**load(file), "source": "again", "device": "m2"})


ONE_FINDING: list[tuple[str, Change, str]] = [
    (
        "unknown type",
        lambda f: sun(f).update(type="solar_edge"),
        "source 'sun', type: there is no kind of source 'solar_edge'. Did you mean 'solaredge'?",
    ),
    (
        "type that resembles none",
        lambda f: sun(f).update(type="tesla"),
        "source 'sun', type: there is no kind of source 'tesla'. "
        "Known: fusionsolar, home_assistant, inexogy, meter_database, solaredge, victron_vrm",
    ),
    (
        "type that can be no vendor's",
        lambda f: sun(f).update(type="Solar Edge"),
        "source 'sun', type: 'Solar Edge' can't be used. Write another",
    ),
    (
        "username is missing",
        lambda f: grid(f).pop("username"),
        "source 'grid', username: is missing: inexogy (Discovergy) needs it. Write the account's username",
    ),
    (
        "url is missing",
        lambda f: (f["sources"].update(sun={"type": "home_assistant"}), pv(f).update(register="energy")),
        "source 'sun', url: is missing: Home Assistant needs it. Write the account's url",
    ),
    (
        "setting that isn't used",
        lambda f: sun(f).update(username="me"),
        "NOTICE source 'sun', username: isn't used: SolarEdge has no such thing. Take it out",
    ),
    (
        "client id that isn't used",
        lambda f: grid(f).update(client_id="app-1"),
        "NOTICE source 'grid', client_id: isn't used: inexogy (Discovergy) has no such thing. Take it out",
    ),
    (
        "unknown limit",
        lambda f: sun(f).update(limits={"minute": 20, "monthly": 5000}),
        "source 'sun', limits: there is no limit 'monthly'. Did you mean 'month'?",
    ),
    (
        "limit of nothing",
        lambda f: sun(f).update(limits={"month": 0}),
        "source 'sun', limits.month: '0' is out of range. Write a number greater than or equal to 1",
    ),
    (
        "unknown register",
        lambda f: pv(f).update(register="productoin"),
        "asset 'Roof', streams[0].register: SolarEdge has no register 'productoin'. Did you mean 'production'?",
    ),
    (
        "register is missing",
        lambda f: load(f).pop("register"),
        "asset 'Flat', streams[0].register: is missing. Write import or export",
    ),
    (
        "kind that isn't the vendor's",
        lambda f: load(f).update(kind="interval"),
        "asset 'Flat', streams[0].kind: interval in Wh is not what inexogy (Discovergy) sends for import: "
        "register in Wh. Take kind and unit out: the vendor says them",
    ),
    (
        "unit that isn't the vendor's",
        lambda f: load(f).update(unit="kWh"),
        "asset 'Flat', streams[0].kind: register in kWh is not what inexogy (Discovergy) sends for import: "
        "register in Wh. Take kind and unit out: the vendor says them",
    ),
    (
        "kind of another measure",
        lambda f: load(f).update(kind="power"),
        "asset 'Flat', streams[0].kind: power in W is not what inexogy (Discovergy) sends for import: "
        "register in Wh. Take kind and unit out: the vendor says them",
    ),
    (
        "unit of another measure",
        lambda f: load(f).update(unit="kW"),
        "asset 'Flat', streams[0].kind: power in kW is not what inexogy (Discovergy) sends for import: "
        "register in Wh. Take kind and unit out: the vendor says them",
    ),
    (
        "plain http",
        lambda f: grid(f).update(url="http://meters.example/public/v1"),
        "source 'grid', url: http to meters.example: the password would travel in clear. "
        "Write https; or, where the way there is your own, allow it by name: allow_http: [meters.example]",
    ),
    (
        "the same account twice",
        twin,
        "NOTICE source 'again': is the same account as source 'grid', and its requests are counted apart. "
        "Read both from one source, or share the account's limits out with `limits`",
    ),
    (
        "export register that feeds a load",
        lambda f: load(f).update(register="export"),
        "asset 'Flat', streams[0].register: export counts export, and feeds a load. "
        "Feed a pv from it, and this asset from the import register (1.8.0 or 1.29.0)",
    ),
    (
        "consumption that feeds a pv",
        lambda f: pv(f).update(register="consumption"),
        "asset 'Roof', streams[0].register: consumption counts import, and feeds a pv. "
        "Feed a load from it, and this asset from the export register (2.8.0 or 2.29.0)",
    ),
    (
        "unknown key",
        lambda f: sun(f).update(overlpa=60),
        "source 'sun', overlpa: this key is unknown. Did you mean 'overlap'?",
    ),
    (
        "account that no stream reads",
        lambda f: f["sources"].update(idle={"type": "victron_vrm"}),
        "NOTICE source 'idle': no stream reads from it. Take it out, or name it in a stream",
    ),
]


@pytest.mark.parametrize(("change", "expected"), [case[1:] for case in ONE_FINDING], ids=[c[0] for c in ONE_FINDING])
def test_a_file_with_one_fault_has_one_finding(check: Check, file: File, change: Change, expected: str) -> None:
    change(file)
    assert check(file) == [expected]


def test_a_sound_file_has_no_finding_and_takes_kind_and_unit_from_the_vendor(check: Check, file: File) -> None:
    assert check(file) == []
    load(file).update(kind="register", unit="Wh")
    pv(file).update(kind="interval", unit="Wh")
    assert check(file) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda f: grid(f).update(url="http://127.0.0.1:8800/inexogy/public/v1"),
        lambda f: grid(f).update(url="http://localhost:8800/inexogy/public/v1"),
        lambda f: grid(f).update(url="https://meters.example/public/v1"),
        lambda f: grid(f).update(overlap=60, settle=5, limits={"requests": 100}),
        lambda f: sun(f).update(client_id="app-1", limits={"month": 100_000}),
        lambda f: twin(f, username="other@example.org"),
        lambda f: twin(f, url="https://meters.example"),
    ],
    ids=["loopback", "localhost", "https", "common settings", "own plan", "other user", "other address"],
)
def test_what_is_allowed_is_not_told_of(check: Check, file: File, change: Change) -> None:
    change(file)
    assert check(file) == []


@pytest.mark.parametrize("key", ["password", "api_key", "token", "client_secret", "system_code_secret"])
def test_a_secret_in_the_file_is_refused_and_not_shown(check: Check, file: File, key: str) -> None:
    sun(file)[key] = "hush-hush-4711"
    assert check(file) == [
        f"source 'sun', {key}: no secret stands in this file. "
        "Take it out and set SLOTFEED_SOURCE_SUN_PASSWORD in the environment or in .env"
    ]


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hush-4711@cloud.example/v2",
        "https://cloud.example/v2?api_key=hush-4711",
        "https://hush-4711@c.example",
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_shown(check: Check, file: File, url: str) -> None:
    sun(file)["url"] = url
    found = check(file)
    assert [line.partition(":")[0] for line in found] == ["source 'sun', url"]
    assert "hush" not in found[0]


def test_every_fault_is_told_at_once(check: Check, file: File) -> None:
    del grid(file)["username"]
    sun(file).update(limits={"monthly": 1})
    load(file).update(register="improt")
    pv(file).update(kind="power", unit="kW")
    assert [line.partition(":")[0] for line in check(file)] == [
        "source 'grid', username",
        "source 'sun', limits",
        "asset 'Flat', streams[0].register",
        "asset 'Roof', streams[0].kind",
    ]


def test_faults_of_a_broken_account_do_not_hide_those_of_its_streams(check: Check, file: File) -> None:
    sun(file).update(overlap="long")
    pv(file).update(register="sun")
    told = check(file)
    assert [line.partition(":")[0] for line in told] == ["source 'sun', overlap", "asset 'Roof', streams[0].register"]
    assert re.search("no register 'sun'", told[1])
