import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import ConfigurationError
from pipelines.sandbox.exchange.registry import Asset, read_registry


def test_leaves_are_assets_and_areas_are_not(registry_file: Path) -> None:
    assert read_registry(registry_file).assets == {
        "load": Asset(name="Flat", type="Load"),
        "pv": Asset(name="Roof", type="PV"),
        "meter": Asset(name="Meter", type="SmartMeter"),
    }


def test_every_fault_is_listed(config: dict[str, Any], tmp_path: Path) -> None:
    del config["uuid"]
    house = config["registry"]["children"][0]
    house["children"] = [
        {"name": "Flat", "type": "Load", "uuid": "same"},
        {"name": "Roof", "type": "PV", "uuid": "same"},
        {"name": "", "type": 7, "uuid": ["x"]},
        {"name": "Cellar", "type": "Area", "uuid": "cellar", "children": {"not": "a list"}},
        "no node",
    ]
    path = tmp_path / "simulation.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_registry(path)
    place = "registry.children[0]"
    assert sorted(issue.field for issue in caught.value.issues) == [
        f"{place}.children[1].uuid",
        f"{place}.children[2].name",
        f"{place}.children[2].type",
        f"{place}.children[2].uuid",
        f"{place}.children[3].children",
        f"{place}.children[4]",
        "uuid",
    ]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"uuid": "s", "registry": null}', '{"uuid": "s", "registry": 1}']
)
def test_file_that_is_no_simulation_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "simulation.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"simulation\.json"):
        read_registry(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.json"):
        read_registry(tmp_path / "nowhere.json")
