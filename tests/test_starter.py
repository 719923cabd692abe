import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.check import check_community, read_community
from pipelines.collect.catalogue import vendor_names
from pipelines.community import AssetType
from pipelines.errors import ConfigurationError, Severity
from pipelines.frames import Kind
from pipelines.starter import example_yaml, write_starter, yaml_from_registry

LOAD = "5f9c3e13-f75d-42af-92e4-55244faec4b4"
PV = "26090dea-a100-4c9b-9d2c-fcd582be8b2d"
BATTERY = "cf3b262c-26af-4cad-aa8a-02d1d4aef5c1"


def leaf(name: str, kind: str, uuid: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "uuid": uuid,
        "attributes": None,
        "registered": True,
        "aggregator_name": None,
    }


def area(name: str, *children: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "type": "Area", "uuid": f"area-{name}", "children": list(children)}


def config() -> dict[str, Any]:
    """A simulation config of the form that GSy's client reads."""
    return {
        "username": "someone@example.com",
        "name": "Sunny Street",
        "uuid": "84d221fa-46e1-49e0-823b-26cfb3425a5a",
        "domain_name": "https://exchange.example",
        "web_socket_domain_name": "wss://exchange.example/external-ws",
        "global_settings": {"start_date": "2021-02-25", "spot_market_type": "1", "slot_length": "0:15:00"},
        "registry": area(
            "Grid",
            leaf("Market Maker", "InfiniteBus", "mm"),
            area("House 1", leaf("Load 1", "Load", LOAD), leaf("PV 1", "PV", PV), leaf("Battery", "Storage", BATTERY)),
            area("Empty house"),
        ),
    }


def faults(path: Path) -> list[str]:
    return [f"{issue.where}, {issue.field}" for issue in check_community(path)[1] if issue.severity is Severity.FAULT]


def test_the_example_is_right_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "community.yaml"
    write_starter(path, example_yaml())
    assert check_community(path)[1] == []
    assert [asset.type for asset in read_community(path).assets] == [AssetType.LOAD, AssetType.PV]


def test_the_example_numbers_its_ten_essential_lines() -> None:
    assert re.findall(r"# \((\d+)\)", example_yaml()) == [str(number) for number in range(1, 11)]


def test_the_example_s_commented_choices_are_right_too(tmp_path: Path) -> None:
    path = tmp_path / "community.yaml"
    lines = example_yaml().splitlines()
    chosen = ("slot_length", "time_zone", "protocol", "margin_s", "concurrency", "database", "quality_map")
    opened = [re.sub(rf"^( *)# (?=({'|'.join(chosen)}):)", r"\1", line) for line in lines]
    assert sum(line not in lines for line in opened) == len(chosen) + 1  # time_zone stands twice
    path.write_text("\n".join(opened), encoding="utf-8")
    assert faults(path) == []


def test_the_example_s_clouds_are_right_too(tmp_path: Path) -> None:
    path = tmp_path / "community.yaml"
    example = example_yaml()
    clouds = re.findall(r"^  # ((?:roof|flats|cellar): {.*})$", example, re.MULTILINE)
    (stream,) = re.findall(r"^  #   - ({source: roof.*})$", example, re.MULTILINE)
    opened = re.sub(r"^  # (?=(?:roof|flats|cellar): {)", "  ", example, flags=re.MULTILINE)
    own = '{source: meters, device: "1EMH0012345678", register: "1-0:2.8.0", kind: register, unit: kWh}'
    assert own in opened
    path.write_text(opened.replace(own, stream), encoding="utf-8")
    assert faults(path) == []
    kinds = set(re.findall(r"type: (\w+)", " ".join(clouds)))
    further = set(re.findall(r"\w+", example.partition("# Further types: ")[2].partition("\n")[0]))
    assert kinds | further >= set(vendor_names()), "every vendor is named"
    assert read_community(path).assets[1].streams[0].kind is Kind.INTERVAL


def test_a_registry_s_file_lacks_exactly_what_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "community.yaml"
    text = yaml_from_registry(config(), origin="summary.json")
    write_starter(path, text)
    stream = ["rated_power_kw", "streams[0].device", "streams[0].kind", "streams[0].unit"]
    assert sorted(faults(path)) == sorted(
        [f"source 'meters', {key}" for key in ("url", "table", "columns.meter", "columns.time", "columns.value")]
        + ["source 'meters', time_type"]
        + [f"asset '{name}', {key}" for name in ("Load 1", "PV 1") for key in stream]
    )
    assert text.count("# fill in") == len(faults(path))


def test_a_registry_s_file_is_right_once_filled_in(tmp_path: Path) -> None:
    path = tmp_path / "community.yaml"
    filled = {
        "url": "sqlite:///meters.sqlite",
        "table": "readings",
        "meter": "meter_id",
        "time": "ts",
        "value": "kwh",
        "time_type": "timestamptz",
        "rated_power_kw": "10",
        "kind": "register",
        "unit": "kWh",
    }
    text = yaml_from_registry(config(), origin="summary.json")
    for key, value in filled.items():
        text = text.replace(f"{key}: null", f"{key}: {value}")
    text = text.replace("device: null", "device: m1", 1).replace("device: null", "device: m2", 1)
    path.write_text(text, encoding="utf-8")
    community = read_community(path)
    assert community.community.name == "Sunny Street"
    assert community.community.simulation_uuid == "84d221fa-46e1-49e0-823b-26cfb3425a5a"
    assert community.community.slot_length == 15
    assert community.exchange.base_url == "https://exchange.example"
    assert [(asset.name, asset.uuid, asset.type) for asset in community.assets] == [
        ("Load 1", LOAD, AssetType.LOAD),
        ("PV 1", PV, AssetType.PV),
    ]


def test_assets_without_live_data_stand_as_comments_with_the_reason() -> None:
    text = yaml_from_registry(config(), origin="summary.json")
    assert f'#   "Battery" ("Storage", "{BATTERY}"): the exchange ignores live data for it' in text
    assert '#   "Market Maker" ("InfiniteBus", "mm"): no asset of a member' in text


def test_a_name_taken_twice_is_marked_and_found(tmp_path: Path) -> None:
    given = config()
    given["registry"]["children"].append(
        area("House 2", leaf("Load 1", "Load", "47a8e7a6-3a3b-4d1c-8d6e-000000000001"))
    )
    path = tmp_path / "community.yaml"
    text = yaml_from_registry(given, origin="summary.json")
    write_starter(path, text)
    assert "asset 'Load 1' (no. 3), name" in faults(path)
    assert text.count("# fill in") == len(faults(path))


@pytest.mark.parametrize("name", ['a "b" # c', "x\nassets: []", "0123", "yes", " : ", "Süd \U0001f31e", "back\\slash"])
def test_names_come_through_whatever_they_hold(name: str) -> None:
    given = config()
    given["name"] = name
    given["registry"]["children"][1]["children"][0]["name"] = name
    given["registry"]["children"][1]["children"][2]["name"] = name
    value = yaml.safe_load(yaml_from_registry(given, origin=name))
    assert value["community"]["name"] == name
    assert [asset["name"] for asset in value["assets"]] == [name, "PV 1"]


@pytest.mark.parametrize(
    ("written", "minutes"),
    [
        ("0:15:00", 15),
        ("00:30:00", 30),
        ("1:00:00", 60),
        ("0:05", 5),
        ("15", 15),
        (15, 15),
        (60, 60),
        (900, 15),
        (900.0, 15),
        ("3600", 60),
        ("PT15M", 15),
        ("P0DT00H15M00S", 15),
    ],
)
def test_slot_lengths_are_read_in_each_form_gsy_writes(written: object, minutes: int) -> None:
    given = config()
    given["global_settings"]["slot_length"] = written
    assert yaml.safe_load(yaml_from_registry(given, origin="s.json"))["community"]["slot_length"] == minutes


@pytest.mark.parametrize(
    "written", [None, True, "", "0:00:15", "0:15:30", "2:00:00", 90, 1, "a while", "P1", [15], "-15"]
)
def test_what_can_be_no_slot_length_is_refused(written: object) -> None:
    given = config()
    given["global_settings"]["slot_length"] = written
    with pytest.raises(ConfigurationError) as caught:
        yaml_from_registry(given, origin="s.json")
    assert [issue.field for issue in caught.value.issues] == ["global_settings.slot_length"]


@pytest.mark.parametrize(
    ("domain", "address"),
    [
        ("localhost", "http://localhost"),
        ("localhost:8000/", "http://localhost:8000"),
        ("exchange.example", "https://exchange.example"),
        ("https://exchange.example/", "https://exchange.example"),
    ],
)
def test_the_address_gets_its_scheme(domain: str, address: str) -> None:
    given = {**config(), "domain_name": domain}
    assert yaml.safe_load(yaml_from_registry(given, origin="s.json"))["exchange"]["base_url"] == address


def test_a_community_by_coefficients_is_warned_about() -> None:
    given = config()
    assert "coefficients" not in yaml_from_registry(given, origin="s.json")
    given["global_settings"]["spot_market_type"] = 3
    assert "shares by coefficients" in yaml_from_registry(given, origin="s.json")


MALFORMED: list[tuple[str, Callable[[dict[str, Any]], object], list[str]]] = [
    (
        "keys missing",
        lambda c: [c.pop(key) for key in ("username", "uuid", "registry")],
        ["s.json, username: is missing", "s.json, uuid: is missing", "s.json, registry: is missing"],
    ),
    ("uuid is a number", lambda c: c.update(uuid=5), ["s.json, uuid: is no text"]),
    ("settings are a text", lambda c: c.update(global_settings="15"), ["s.json, global_settings: isn't an object"]),
    ("user in the domain", lambda c: c.update(domain_name="https://a:hush@h"), ["s.json, domain_name: a user name"]),
    (
        "leaves without uuid, type and name",
        lambda c: (
            c["registry"]["children"][1]["children"][0].update(uuid=None),
            c["registry"]["children"][1]["children"][1].pop("type"),
            c["registry"]["children"][1]["children"][2].update(name=""),
        ),
        [
            "s.json, registry.children[1].children[0].uuid: is missing",
            "s.json, registry.children[1].children[1].type: is missing",
            "s.json, registry.children[1].children[2].name: is no text",
        ],
    ),
    (
        "children are no list",
        lambda c: c["registry"]["children"][1].update(children={"a": 1}),
        ["s.json, registry.children[1].children: isn't a list"],
    ),
    (
        "child is a text",
        lambda c: c["registry"]["children"].append("Load"),
        ["s.json, registry.children[3]: isn't an object"],
    ),
    (
        "uuid twice",
        lambda c: c["registry"]["children"][1]["children"][1].update(uuid=LOAD),
        [f"s.json, registry: 'Load 1', 'PV 1' have the same uuid {LOAD}"],
    ),
    (
        "nothing to feed",
        lambda c: c["registry"]["children"].pop(1),
        ["s.json, registry: there is no Load and no PV in it"],
    ),
    (
        "faults of different kinds",
        lambda c: (c.pop("domain_name"), c["registry"]["children"].append(5), c["global_settings"].clear()),
        [
            "s.json, domain_name: is missing",
            "s.json, global_settings.slot_length: is no length of a slot",
            "s.json, registry.children[3]: isn't an object",
        ],
    ),
]


@pytest.mark.parametrize(("change", "expected"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
def test_a_malformed_config_is_refused_with_every_fault(
    change: Callable[[dict[str, Any]], object], expected: list[str]
) -> None:
    given = config()
    change(given)
    with pytest.raises(ConfigurationError) as caught:
        yaml_from_registry(given, origin="s.json")
    told = str(caught.value).splitlines()
    assert len(told) == len(expected)
    for line, start in zip(told, expected, strict=True):
        assert line.startswith(start)
    assert "hush" not in str(caught.value)


def test_a_config_that_is_no_object_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"s\.json: it isn't a JSON object"):
        yaml_from_registry([], origin="s.json")  # type: ignore[arg-type]


def test_an_existing_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "community.yaml"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="it is there already"):
        write_starter(path, example_yaml())
    assert path.read_text(encoding="utf-8") == "mine"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere.*can't be written"):
        write_starter(tmp_path / "nowhere" / "community.yaml", example_yaml())
