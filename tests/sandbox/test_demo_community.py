import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
import yaml

from pipelines.community import Community
from pipelines.sandbox.demo_community import DATA, community_yaml, demo_assets, power_kw, registry_json
from pipelines.sandbox.exchange.ways_in import read_origin

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def community() -> Community:
    text = community_yaml(
        base_url="http://127.0.0.1:8000", meter_url="sqlite:///meters.sqlite", database="sqlite:///slotfeed.sqlite"
    )
    return Community.model_validate(yaml.safe_load(text))


def nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield tree
    for child in tree.get("children", []):
        yield from nodes(child)


def test_the_cut_holds_36_assets_and_no_battery() -> None:
    kinds = Counter(pl.read_csv(DATA / "assets.csv")["kind"].to_list())
    assert kinds == {"load": 13, "heat_pump": 8, "ev_charger": 7, "pv": 8}
    columns = pl.read_parquet(DATA / "power_kw.parquet").columns
    assert columns == ["time_local", "row", *pl.read_csv(DATA / "assets.csv")["asset_id"].to_list()]


def test_saturday_has_96_and_the_clock_change_sunday_100_quarter_hours() -> None:
    stamps = pl.read_parquet(DATA / "power_kw.parquet")["time_local"]
    assert Counter(stamps.dt.date()) == {date(2016, 10, 28): 8, date(2016, 10, 29): 96, date(2016, 10, 30): 100}
    repeated = {stamp for stamp, count in Counter(stamps).items() if count == 2}
    assert repeated == {datetime(2016, 10, 30, 2, minute) for minute in (0, 15, 30, 45)}  # noqa: DTZ001 - naive on purpose


def test_instants_are_consecutive_and_show_the_local_time_of_the_data() -> None:
    starts = power_kw()["slot_start"].to_list()
    assert starts[0] == datetime(2016, 10, 28, 20, tzinfo=UTC)
    assert {later - earlier for earlier, later in pairwise(starts)} == {timedelta(minutes=15)}
    local = [start.astimezone(BERLIN).replace(tzinfo=None, fold=0) for start in starts]
    assert local == pl.read_parquet(DATA / "power_kw.parquet").sort("row")["time_local"].to_list()


def test_power_is_never_negative_nor_above_the_rated_power_of_the_file(community: Community) -> None:
    power = pl.read_parquet(DATA / "power_kw.parquet")
    for asset, simbench_id in zip(community.assets, (a.simbench_id for a in demo_assets()), strict=True):
        assert power[simbench_id].min() >= 0, asset.name  # type: ignore[operator]
        assert power[simbench_id].max() <= asset.rated_power_kw, asset.name  # type: ignore[operator]


def test_data_travel_with_their_licence_and_weigh_little() -> None:
    licence = (DATA / "LICENSE").read_text()
    assert "opendatacommons.org/licenses/odbl/1.0" in licence
    assert "opendatacommons.org/licenses/dbcl/1.0" in licence
    origin = (DATA / "README.md").read_text()
    assert "`simbench` 1.6.3" in origin
    assert "ODbL" in origin
    assert sum(path.stat().st_size for path in DATA.iterdir()) <= 1_000_000


def test_community_file_describes_every_asset_by_its_kind_of_meter(community: Community) -> None:
    kinds = Counter(
        (a.type.value, s.source, s.kind.value, s.unit, s.stamp.value) for a in community.assets for s in a.streams
    )
    assert kinds == {
        ("load", "smart_meters", "register", "kWh", "instant"): 13,
        ("heat_pump", "gateway", "power", "kW", "end"): 8,
        ("ev_charger", "gateway", "power", "kW", "end"): 7,
        ("pv", "inverters", "interval", "Wh", "start"): 8,
    }
    assert len(community.streams()) == 36
    inverters = community.sources["inverters"]
    assert (inverters.time_type, inverters.time_zone, inverters.columns.tie_breaker) == ("naive", "Europe/Berlin", "id")
    pump = community.asset("Heat pump 14")
    assert pump is not None
    assert pump.rated_power_kw == 2.0


def test_community_file_takes_over_addresses_as_they_are() -> None:
    odd = 'sqlite:////home/o\'hara/my "meters": #1.sqlite'
    text = community_yaml(base_url="https://gsy.example/api", meter_url=odd, database=odd, protocol="sdk")
    community = Community.model_validate(yaml.safe_load(text))
    assert {source.url for source in community.sources.values()} == {odd}
    assert community.database == odd
    assert community.exchange.base_url == "https://gsy.example/api"
    assert community.exchange.protocol == "sdk"


def test_registry_and_community_file_name_the_same_assets(community: Community) -> None:
    config = registry_json()
    leaves = {node["uuid"]: node for node in nodes(config["registry"]) if node["type"] != "Area"}
    assert {uuid: (leaf["name"], leaf["type"]) for uuid, leaf in leaves.items()} == {
        asset.uuid: (asset.name, "PV" if asset.type.sent_as == "pv" else "Load") for asset in community.assets
    }
    assert Counter(leaf["type"] for leaf in leaves.values()) == {"Load": 28, "PV": 8}
    assert config["uuid"] == community.community.simulation_uuid


def test_registry_is_a_grid_of_homes_with_unique_uuids_the_same_on_every_machine() -> None:
    config = registry_json()
    every = list(nodes(config["registry"]))
    assert len({node["uuid"] for node in every}) == len(every) == 1 + 1 + 13 + 36
    (community,) = config["registry"]["children"]
    assert [home["name"] for home in community["children"]] == [f"Home {number}" for number in range(1, 14)]
    second = {leaf["name"] for leaf in community["children"][1]["children"]}
    # Node "LV1.111 Bus 8" of SimBench.
    assert second == {"Load 2", "Heat pump 14", "EV charger 16", "EV charger 21", "PV 4"}
    assert next(node["uuid"] for node in every if node["name"] == "PV 1") == "cf1a86e1-542c-5a59-b664-69ba02c2cf0c"


def test_config_has_the_keys_of_the_exchanges_download_and_leads_to_the_address_given() -> None:
    config = registry_json(base_url="https://gsy.example")
    assert set(config) == {
        "username", "name", "uuid", "domain_name", "web_socket_domain_name", "global_settings", "registry",
    }  # fmt: skip
    assert config["domain_name"] == "https://gsy.example"
    assert config["web_socket_domain_name"] == "wss://gsy.example/external-ws"
    assert registry_json(base_url="http://127.0.0.1:1")["web_socket_domain_name"] == "ws://127.0.0.1:1/external-ws"


def test_the_local_exchange_takes_the_config(tmp_path: Path, community: Community) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(registry_json()))
    twin = read_origin(file).twin
    assert set(twin.assets) == {asset.uuid for asset in community.assets}
    assert twin.simulation == community.community.simulation_uuid


def test_data_are_found_beside_the_module_wherever_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    demo_assets.cache_clear()
    power_kw.cache_clear()
    assert len(demo_assets()) == 36
    assert power_kw().height == 204
