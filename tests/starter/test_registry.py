from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.check import check_community, read_community
from pipelines.community import AssetType
from pipelines.errors import ConfigurationError, Severity
from pipelines.gsy_files.config import parse_config
from pipelines.starter import write_starter, yaml_from_registry

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


def made(given: dict[str, Any], *, origin: str) -> str:
    return yaml_from_registry(parse_config(given, where=origin), origin=origin)


def faults(path: Path) -> list[str]:
    return [f"{issue.where}, {issue.field}" for issue in check_community(path)[1] if issue.severity is Severity.FAULT]


def test_a_registry_s_file_lacks_exactly_what_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "community.yaml"
    text = made(config(), origin="summary.json")
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
    text = made(config(), origin="summary.json")
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
    text = made(config(), origin="summary.json")
    assert f'#   "Battery" ("Storage", "{BATTERY}"): the exchange ignores live data for it' in text
    assert '#   "Market Maker" ("InfiniteBus", "mm"): no asset of a member' in text


def test_a_name_taken_twice_is_marked_and_found(tmp_path: Path) -> None:
    given = config()
    given["registry"]["children"].append(
        area("House 2", leaf("Load 1", "Load", "47a8e7a6-3a3b-4d1c-8d6e-000000000001"))
    )
    path = tmp_path / "community.yaml"
    text = made(given, origin="summary.json")
    write_starter(path, text)
    assert "asset 'Load 1' (no. 3), name" in faults(path)
    assert text.count("# fill in") == len(faults(path))


@pytest.mark.parametrize("name", ['a "b" # c', "x\nassets: []", "0123", "yes", " : ", "Süd \U0001f31e", "back\\slash"])
def test_names_come_through_whatever_they_hold(name: str) -> None:
    given = config()
    given["name"] = name
    given["registry"]["children"][1]["children"][0]["name"] = name
    given["registry"]["children"][1]["children"][2]["name"] = name
    value = yaml.safe_load(made(given, origin=name))
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
    assert yaml.safe_load(made(given, origin="s.json"))["community"]["slot_length"] == minutes


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
    assert yaml.safe_load(made(given, origin="s.json"))["exchange"]["base_url"] == address


def test_a_community_by_coefficients_is_warned_about() -> None:
    given = config()
    assert "coefficients" not in made(given, origin="s.json")
    given["global_settings"]["spot_market_type"] = 3
    assert "shares by coefficients" in made(given, origin="s.json")


def test_a_registry_with_nothing_to_feed_is_refused() -> None:
    given = config()
    given["registry"]["children"].pop(1)
    with pytest.raises(ConfigurationError, match=r"s\.json, registry: there is no Load and no PV in it"):
        made(given, origin="s.json")
