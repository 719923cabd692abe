"""The dashboard and the alerts ask for what the program tells, and the dashboard for all of it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pipelines.metrics.families import COMMUNITY, FAMILIES, Family, Kind
from pipelines.metrics.overview import CAN_WAIT
from pipelines.watch import Kind as Alarm

FOLDER = Path(__file__).parents[2] / "docs" / "grafana"
NAME = re.compile(r"\bslotfeed_[a-z_]+")
SELECTED = re.compile(r"\b(slotfeed_[a-z_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'\s*([a-z_]+)\s*(?:=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*')
GROUPED = re.compile(r"\b(?:by|on|group_left|without)\s*\(([^)]*)\)")
SCRAPED = {"instance", "job"}
"""Labels that Prometheus adds."""


def exported() -> dict[str, Family]:
    """Every series' name -> its metric."""
    found = {}
    for family in FAMILIES.values():
        ends = ("_bucket", "_sum", "_count") if family.kind is Kind.HISTOGRAM else ("",)
        found |= {family.full_name + end: family for end in ends}
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads((FOLDER / "slotfeed.json").read_text())["panels"] if panel["type"] != "row"]


def asked_by_dashboard() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def rules() -> list[dict[str, Any]]:
    found = yaml.safe_load((FOLDER / "slotfeed-alerts.yaml").read_text())
    return [rule for group in found["groups"] for rule in group["rules"]]


def labels_of(family: Family, name: str) -> set[str]:
    return {COMMUNITY, *family.labels, *SCRAPED} | ({"le"} if name.endswith("_bucket") else set())


def faults(query: str) -> Iterator[str]:
    """What in a query nothing answers to."""
    known, grouping = exported(), set[str]()
    for name, selectors in SELECTED.findall(query):
        if name not in known:
            yield f"{name} isn't exported"
            continue
        labels = labels_of(known[name], name)
        grouping |= labels
        named = {label for label, _ in MATCHER.findall(selectors)}
        yield from (f"{name} has no label {label}" for label in named - labels)
        rest = MATCHER.sub("", selectors).replace(",", "").strip()
        if rest:
            yield f"{name} is selected by {rest!r}"
    for listed in GROUPED.findall(query):
        named = {label.strip() for label in listed.split(",") if label.strip()}
        yield from (f"nothing in the query has the label {label}" for label in named - grouping)
    if query.count("(") != query.count(")"):
        yield "brackets"


def test_every_query_asks_for_what_is_exported() -> None:
    for query in [*asked_by_dashboard(), *(rule["expr"] for rule in rules())]:
        assert NAME.search(query), query
        assert list(faults(query)) == [], query


def test_a_query_for_what_is_not_there_would_be_told() -> None:
    assert list(faults('sum by (asset) (slotfeed_slots{colour="red"} + slotfeed_nothing)')) == [
        "slotfeed_slots has no label colour",
        "slotfeed_nothing isn't exported",
        "nothing in the query has the label asset",
    ]


def test_the_dashboard_shows_every_metric() -> None:
    known = exported()
    asked = {name for query in asked_by_dashboard() for name in NAME.findall(query)}
    assert {known[name].name for name in asked} == set(FAMILIES)


def test_counters_are_never_shown_bare() -> None:
    """A counter's height says since when it counts; its growth says what happens."""
    known = exported()
    for query in [*asked_by_dashboard(), *(rule["expr"] for rule in rules())]:
        for name in NAME.findall(query):
            if known[name].kind is not Kind.GAUGE:
                assert re.search(rf"\b(rate|increase)\({name}(\{{[^}}]*\}})?\[\d+h\]\)", query), query


def test_the_dashboard_can_be_imported_anywhere() -> None:
    board = json.loads((FOLDER / "slotfeed.json").read_text())
    assert (board["id"], board["uid"]) == (None, "slotfeed")
    every = board["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    assert {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}
    assert {variable["name"] for variable in board["templating"]["list"]} == {"datasource", "community"}
    assert all(panel["title"] and panel["description"] for panel in panels())
    taken = set()
    for panel in every:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_each_alarm_of_the_watch_has_one_alert_and_says_what_to_do() -> None:
    listed = [
        (name, rule["labels"]["severity"])
        for rule in rules()
        for found in re.findall(r'slotfeed_incidents_open\{alarm=~"([^"]*)"', rule["expr"])
        for name in found.split("|")
    ]
    # As the status has it.
    assert sorted(listed) == sorted((kind.value, "warning" if kind in CAN_WAIT else "critical") for kind in Alarm)
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "remedy"}


def test_the_page_lists_every_metric_as_it_is() -> None:
    page = (FOLDER.parent / "metrics.md").read_text()
    listed = [line for line in page.splitlines() if line.startswith("| `slotfeed_")]
    rows = [
        (family.full_name, family.kind, ", ".join(f"`{label}`" for label in family.labels), family.help)
        for family in FAMILIES.values()
    ]
    assert listed == [f"| `{name}` | {kind} | {labels} | {told} |" for name, kind, labels, told in rows]
