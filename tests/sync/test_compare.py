"""Which of the exchange's assets is which of the file's."""

from typing import Any

import pytest

from pipelines.errors import Severity
from pipelines.exchange.registry import asset_places
from pipelines.gsy_files.tree import parse_tree
from pipelines.sync import Comparison, FileAsset, compare

Leaf = tuple[str, str, str]


def places(*houses: tuple[str, list[Leaf]]) -> Any:
    children = [
        {
            "name": house,
            "type": "Area",
            "uuid": house,
            "children": [{"name": name, "type": kind, "uuid": uuid} for name, kind, uuid in leaves],
        }
        for house, leaves in houses
    ]
    return asset_places(parse_tree({"name": "Grid", "type": "Area", "uuid": "g", "children": children}, where="t"))


def assets(*entries: tuple[str, str | None], kind: str | None = "Load", live: bool = True) -> list[FileAsset]:
    return [FileAsset(number=i, name=name, uuid=uuid, kind=kind, live=live) for i, (name, uuid) in enumerate(entries)]


def changes(found: Comparison) -> list[tuple[str, str, object, object]]:
    return [(one.asset.name, one.field, one.old, one.new) for one in found.changes]


def faults(found: Comparison) -> list[str]:
    return [str(issue) for issue in found.issues if issue.severity is Severity.FAULT]


def test_missing_and_changed_uuids_are_filled_in_by_name() -> None:
    there = places(("H", [("A", "Load", "a1"), (" B ", "Load", "b1"), ("C", "Load", "c1")]))
    found = compare(assets(("A", None), ("B", "gone"), ("C", "c1")), there, None)
    assert changes(found) == [("A", "uuid", None, "a1"), ("B", "uuid", "gone", "b1")]
    assert (found.issues, found.only_here, found.only_there) == ([], [], [])


def test_what_only_one_side_has_is_told_with_the_nearest_name() -> None:
    there = places(("H", [("Flat 1", "Load", "a1"), ("Flat 22", "Load", "b1")]))
    found = compare(assets(("Flat 1", None), ("flat 2", None)), there, None)
    assert [one.name for one in found.only_here] == ["flat 2"]
    assert [place.area.name for place in found.only_there] == ["Flat 22"]
    assert "Did you mean 'Flat 22'?" in faults(found)[0]


def test_an_ambiguous_name_lists_each_uuid_and_where_it_lies() -> None:
    there = places(("H 1", [("Load", "Load", "u1")]), ("H 2", [("Load", "Load", "u2")]))
    found = compare(assets(("Load", None)), there, None)
    assert changes(found) == []
    (told,) = faults(found)
    assert "u1 (Load in Grid / H 1); u2 (Load in Grid / H 2)" in told


def test_the_type_decides_between_a_load_and_a_pv_of_one_name() -> None:
    there = places(("H", [("Flat", "Load", "u1"), ("Flat", "PV", "u2")]))
    assert changes(compare(assets(("Flat", None), kind="PV"), there, None)) == [("Flat", "uuid", None, "u2")]
    assert len(faults(compare(assets(("Flat", None), kind=None), there, None))) == 1


def test_a_uuid_that_the_exchange_knows_decides_between_equal_names() -> None:
    there = places(("H 1", [("Load", "Load", "u1")]), ("H 2", [("Load", "Load", "u2")]))
    found = compare(assets(("Load", "u2")), there, frozenset({"u2"}))
    assert (changes(found), found.issues) == ([], [])


def test_a_name_and_a_uuid_of_two_different_assets_are_left_to_a_person() -> None:
    there = places(("H", [("A", "Load", "a1"), ("B", "Load", "b1")]))
    found = compare(assets(("A", "b1")), there, frozenset())
    assert changes(found) == []
    assert "calls the asset of this uuid 'B'" in faults(found)[0]


def test_an_asset_renamed_at_the_exchange_keeps_its_uuid_and_its_switch_is_synced() -> None:
    found = compare(assets(("A", "a1")), places(("H", [("A new", "Load", "a1")])), frozenset())
    assert changes(found) == [("A", "live", True, False)]
    assert faults(found) == []
    assert "calls the asset of this uuid 'A new'" in str(found.issues[0])


def test_two_of_the_file_that_would_be_the_same_are_both_left() -> None:
    there = places(("H", [("A", "Load", "a1")]))
    found = compare(assets(("A", None), ("A", None)), there, frozenset())
    assert changes(found) == []
    assert len(faults(found)) == 2


@pytest.mark.parametrize("kind", ["Storage", "PV"])
def test_an_asset_of_another_type_is_not_taken(kind: str) -> None:
    found = compare(assets(("A", None)), places(("H", [("A", kind, "a1")])), frozenset())
    assert changes(found) == []
    assert f"it is a {kind}" in faults(found)[0]


@pytest.mark.parametrize(("on", "in_file", "new"), [(True, True, None), (False, True, False), (True, False, True)])
def test_the_switch_is_changed_where_it_differs_only(on: bool, in_file: bool, new: bool | None) -> None:
    live = frozenset({"a1"} if on else ())
    found = compare(assets(("A", "a1"), live=in_file), places(("H", [("A", "Load", "a1")])), live)
    assert changes(found) == ([] if new is None else [("A", "live", in_file, new)])


def test_ten_thousand_assets_and_as_many_unknown_ones_are_compared() -> None:
    there = places(("H", [(f"Flat {i}", "Load", f"u{i}") for i in range(10_000)]))
    known = [(f"Flat {i}", None) for i in range(5_000)]
    found = compare(assets(*known, *((f"House {i}", None) for i in range(5_000))), there, frozenset())
    assert len(found.changes) == 2 * 5_000
    assert (len(found.only_here), len(found.only_there)) == (5_000, 5_000)
