import json
from pathlib import Path

import pytest

from pipelines.errors import ConfigurationError
from pipelines.gsy_files.scenario import read_scenario


def write(folder: Path, content: object) -> Path:
    path = folder / "twin.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_twin_without_uuids_is_read_with_its_live_switches(tmp_path: Path) -> None:
    house = {
        "name": "House",
        "children": [
            {"name": "Flat", "type": "Load", "forecast_stream_enabled": True},
            {"name": "Roof", "type": "PV", "forecast_stream_enabled": False},
            {"name": "Pump", "type": "HeatPump"},
        ],
    }
    root = read_scenario(write(tmp_path, {"name": "Grid", "type": "null", "const_fee_rate": 3, "children": [house]}))
    assert [(leaf.name, leaf.live, leaf.uuid) for leaf in root.leaves()] == [
        ("Flat", True, None),
        ("Roof", False, None),
        ("Pump", None, None),
    ]
    assert root.fee_const == 3


def test_unknown_types_and_assets_that_hold_others_are_named(tmp_path: Path) -> None:
    flat = {"name": "Flat", "type": "Load", "children": [{"name": "Lamp", "type": "Bulb"}]}
    with pytest.raises(ConfigurationError) as caught:
        read_scenario(write(tmp_path, {"name": "Grid", "children": [flat]}))
    assert [issue.problem for issue in caught.value.issues] == [
        "a Load can't hold other nodes",
        "'Bulb' is no type of the exchange",
    ]


def test_a_twin_without_assets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"scenario twin\.json: it holds no asset"):
        read_scenario(write(tmp_path, {"name": "Grid", "children": [{"name": "House", "type": "Area"}]}))
