from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.community import (
    ENERGY_WH,
    POWER_W,
    Asset,
    AssetType,
    Community,
    Label,
    MeterDatabase,
    Stream,
    resolve_sqlite_path,
)
from pipelines.frames import Kind


def stream(**values: object) -> Stream:
    return Stream.model_validate({"source": "meters", "device": "m1", "kind": "register", "unit": "kWh", **values})


def asset(name: str, uuid: str, *streams: Stream) -> Asset:
    return Asset(name=name, uuid=uuid, type=AssetType.LOAD, rated_power_kw=10, streams=streams)


def community(*assets: Asset, **sections: object) -> Community:
    return Community.model_validate(
        {
            "community": {"name": "Sunny Street", "simulation_uuid": "s", "slot_length": 30},
            "exchange": {"base_url": "https://exchange.example", "margin_s": 45},
            "sources": {"meters": SOURCE},
            "assets": assets or (asset("Flat", "u1", stream()),),
            **sections,
        }
    )


SOURCE = {
    "type": "meter_database",
    "url": "sqlite:///meters.sqlite",
    "table": "readings",
    "columns": {"meter": "m", "time": "t", "value": "v"},
    "time_type": "epoch_s",
}


def test_only_loads_and_pv_carry_live_data_by_themselves() -> None:
    assert {kind.value: kind.sent_as.value if kind.sent_as else None for kind in AssetType} == {
        "load": "load",
        "pv": "pv",
        "heat_pump": "load",
        "ev_charger": "load",
        "battery": None,
        "smart_meter": None,
    }


def test_units_in_their_base() -> None:
    assert {unit: 2.5 * factor for unit, factor in ENERGY_WH.items()} == {"Wh": 2.5, "kWh": 2500, "MWh": 2_500_000}
    assert {unit: 2.5 * factor for unit, factor in POWER_W.items()} == {"W": 2.5, "kW": 2500, "MW": 2_500_000}


@pytest.mark.parametrize(
    ("kind", "label", "stamp"),
    [
        (Kind.REGISTER, None, Label.INSTANT),
        (Kind.POWER, None, Label.INSTANT),
        (Kind.INTERVAL, None, Label.START),
        (Kind.INTERVAL, Label.END, Label.END),
        (Kind.POWER, Label.START, Label.START),
    ],
)
def test_what_a_stamp_tells(kind: Kind, label: Label | None, stamp: Label) -> None:
    assert stream(kind=kind, label=label).stamp is stamp


def test_a_stream_is_known_by_its_channel_whatever_its_asset_is_called() -> None:
    assert stream(register="1-0:1.8.0").stream_id == "meters/m1/1-0:1.8.0"
    assert stream().stream_id == "meters/m1/-"
    assert stream(device=4711).stream_id == "meters/4711/-"


def test_a_channel_shared_by_two_assets_counts_once() -> None:
    halves = (stream(two_way=True), stream(two_way=True, sign=-1))
    both = community(asset("Import", "u1", halves[0], stream(device="m2")), asset("Export", "u2", halves[1]))
    assert {key: value.sign for key, value in both.streams().items()} == {"meters/m1/-": 1, "meters/m2/-": 1}


def test_assets_are_found_by_name_and_by_uuid() -> None:
    two = community(asset("Flat", "u1", stream()), asset("Shop", "u2", stream(device="m2")))
    assert [found.asset_id if (found := two.asset(key)) else None for key in ("Shop", "u1", "u3")] == ["u2", "u1", None]


def test_lengths_in_their_units() -> None:
    assert community().slot_length == timedelta(minutes=30)
    assert community().margin == timedelta(seconds=45)


@pytest.mark.parametrize(
    "values",
    [
        {"scale": 0},
        {"scale": float("inf")},
        {"scale": float("nan")},
        {"overlap": -1},
        {"overlap": 525_601},
        {"table": "readings; DROP TABLE readings"},
        {"table": "a.b.c"},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../etc/passwd"},
        {"wide": {"a b": "1.8.0"}},
        {"passwd": "x"},
    ],
)
def test_a_source_refuses(values: dict[str, object]) -> None:
    MeterDatabase.model_validate(SOURCE)
    with pytest.raises(ValidationError):
        MeterDatabase.model_validate({**SOURCE, **values})


@pytest.mark.parametrize("name", ["my meters", "meters.main", "1st", ""])
def test_a_source_s_name_makes_a_variable_s_name(name: str) -> None:
    community(sources={"Meters_2": SOURCE})
    with pytest.raises(ValidationError):
        community(sources={name: SOURCE})


@pytest.mark.parametrize("url", ["exchange.example", "ftp://h", "https://me:hush@h", "https://h /x", "https://"])
def test_an_exchange_s_address_is_http_without_user(url: str) -> None:
    with pytest.raises(ValidationError):
        community(exchange={"base_url": url})


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("sqlite:///slotfeed.sqlite", "sqlite:////srv/community/slotfeed.sqlite"),
        ("sqlite:///data/../x.sqlite", "sqlite:////srv/community/x.sqlite"),
        ("sqlite:////var/x.sqlite", "sqlite:////var/x.sqlite"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
    ],
)
def test_a_relative_database_lies_beside_the_file(url: str, resolved: str) -> None:
    assert resolve_sqlite_path(url, Path("/srv/community")) == resolved
