import pytest

from pipelines.errors import ConfigurationError
from pipelines.gsy_files.tree import parse_tree

LOAD = {"name": "Flat", "type": "Load", "uuid": "l", "registered": True, "aggregator_name": "Sunny", "children": None}


def test_a_node_says_what_it_is() -> None:
    house = {"name": "House", "type": "Area", "uuid": "h", "grid_fee_constant": 2, "children": [LOAD]}
    root = parse_tree({"name": "Grid", "uuid": "g", "const_fee_rate": 1.5, "children": [house]}, where="registry")
    assert [area.name for area in root.walk()] == ["Grid", "House", "Flat"]
    assert [area.is_market for area in root.walk()] == [True, True, False]
    assert [area.fee_const for area in root.walk()] == [1.5, 2.0, None]
    (flat,) = root.leaves()
    assert (flat.uuid, flat.registered, flat.aggregator, flat.live) == ("l", True, "Sunny", None)


def test_order_is_the_file_s_depth_first() -> None:
    def market(name: str, *names: str) -> dict[str, object]:
        return {"name": name, "type": "Area", "children": [{"name": one, "type": "Load"} for one in names]}

    root = parse_tree({"name": "0", "children": [market("1", "2", "3"), market("4", "5")]}, where="registry")
    assert [area.name for area in root.walk()] == ["0", "1", "2", "3", "4", "5"]
    assert [area.name for area in root.leaves()] == ["2", "3", "5"]


def test_an_empty_market_is_no_asset() -> None:
    root = parse_tree({"name": "Grid", "children": [{"name": "Empty", "type": "Area", "children": []}]}, where="r")
    assert list(root.leaves()) == []


def test_the_live_switch_and_what_else_stands_there() -> None:
    node = {"name": "Roof", "type": "PV", "forecast_stream_enabled": False, "capacity_kW": 5}
    roof = parse_tree(node | {"attributes": {"tilt": 30}}, where="scenario")
    assert roof.live is False
    assert roof.attributes == {"capacity_kW": 5, "tilt": 30}


@pytest.mark.parametrize(("written", "registered"), [(None, False), ("True", True), ("false", False), (True, True)])
def test_registered_may_be_a_text(written: object, registered: bool) -> None:
    assert parse_tree(LOAD | {"registered": written}, where="registry").registered is registered


def test_every_fault_is_listed_with_its_place() -> None:
    house = {
        "name": "House",
        "type": "Area",
        "children": [
            {"name": "Flat", "type": "Load", "uuid": "same"},
            {"name": "Roof", "type": "PV", "uuid": "same"},
            {"name": " ", "type": 7, "uuid": ["x"]},
            {"name": "Cellar", "type": "Area", "children": {"not": "a list"}, "const_fee_rate": "much"},
            "no node",
            {"type": "Load", "forecast_stream_enabled": "yes", "registered": "perhaps", "const_fee_rate": True},
        ],
    }
    with pytest.raises(ConfigurationError) as caught:
        parse_tree({"name": "Grid", "children": [house]}, where="registry")
    place = "registry.children[0].children"
    assert [issue.field for issue in caught.value.issues] == [
        f"{place}[1].uuid",
        f"{place}[2].name",
        f"{place}[2].type",
        f"{place}[2].uuid",
        f"{place}[3].children",
        f"{place}[3].const_fee_rate",
        f"{place}[4]",
        f"{place}[5].name",
        f"{place}[5].forecast_stream_enabled",
        f"{place}[5].registered",
        f"{place}[5].const_fee_rate",
    ]
    assert "'Roof' has the same uuid same as 'Flat'" in str(caught.value)


@pytest.mark.parametrize("root", [None, 1, [], "Grid", [LOAD]])
def test_what_is_no_object_is_refused(root: object) -> None:
    with pytest.raises(ConfigurationError, match="registry, registry: it isn't an object"):
        parse_tree(root, where="registry")


def test_deep_trees_are_read() -> None:
    node: dict[str, object] = dict(LOAD)
    for depth in range(20_000):
        node = {"name": f"Area {depth}", "children": [node]}
    root = parse_tree(node, where="registry")
    assert sum(1 for _ in root.walk()) == 20_001
    assert [leaf.uuid for leaf in root.leaves()] == ["l"]


def test_wide_trees_are_read() -> None:
    children = [{"name": f"Flat {number}", "type": "Load", "uuid": f"u{number}"} for number in range(20_000)]
    root = parse_tree({"name": "Grid", "children": children}, where="registry")
    assert [leaf.uuid for leaf in root.leaves()] == [f"u{number}" for number in range(20_000)]
