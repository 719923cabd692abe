import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from expectations.names import Check
from pipelines.check import read_community
from pipelines.check.reading import NUMBER_FIELDS, TRUTH_FIELDS
from pipelines.community import (
    Asset,
    CheckSection,
    Cloud,
    Columns,
    CommunitySection,
    EstimationSection,
    ExchangeSection,
    FeeSpan,
    MarketFees,
    MeterDatabase,
    QualitySection,
    ReconcileSection,
    Stream,
    WatchSection,
)


@pytest.fixture
def text(sound: dict[str, Any]) -> str:
    """A sound file as YAML."""
    return yaml.safe_dump(sound, sort_keys=False)


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ("", "it is empty"),
        ("# only a comment\n", "it is empty"),
        ("- community\n", "it isn't a mapping"),
        ("community: [\n", "it isn't YAML: line 2, column 1"),
        ("community:\n\tname: x\n", "Indent with spaces"),
        ("community: {}\n---\nexchange: {}\n", "a second document begins"),
        ("community: !secret x\n", "it isn't YAML: line 1, column 12"),
        ("exchange: !!int word\n", "doesn't fit its YAML tag"),
        ("community: {name: \x07}\n", "line 1 holds a character"),
        ("a:\n  b: 1\n c: 2\n", "it isn't YAML: line 3"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_place(
    path: Path, check: Callable[..., list[str]], broken: str, expected: str
) -> None:
    found = check(broken)
    assert len(found) == 1
    assert found[0].startswith(f"{path}: ")
    assert expected in found[0]


def test_broken_yaml_is_told_without_quoting_the_line(check: Callable[..., list[str]]) -> None:
    assert "hush" not in check("exchange:\n  url: postgresql://u:hush@h/d: x\n")[0]


def test_missing_file_and_folder_are_told(tmp_path: Path, findings: Callable[[Path], list[str]]) -> None:
    assert "there is no such file" in findings(tmp_path / "nowhere.yaml")[0]
    assert "it can't be read (Is a directory)" in findings(tmp_path)[0]


def test_encodings(path: Path, text: str, findings: Callable[[Path], list[str]]) -> None:
    text = text.replace("Sunny Street", "Sonnenstraße")
    path.write_bytes(text.encode("utf-8-sig"))
    assert read_community(path).community.name == "Sonnenstraße"
    path.write_bytes(text.encode("latin-1"))
    assert "is not UTF-8" in findings(path)[0]


def with_device(text: str, written: str) -> str:
    return text.replace("device: m1", f"device: {written}")


@pytest.mark.parametrize(
    ("written", "read_as"),
    [("0123", "83"), ("1:30", "90"), ("12:34:56", "45296"), ("1.10", "1.1"), ("yes", "true"), ("1_000", "1000")],
)
def test_an_identifier_that_yaml_would_alter_is_refused_until_quoted(
    check: Callable[..., list[str]], text: str, written: str, read_as: str
) -> None:
    found = check(with_device(text, written))
    assert len(found) == 2
    assert f"YAML reads {written} as {read_as} (line " in found[0]
    assert f"Put it in quotes to keep it as written: '{written}'" in found[0]
    assert check(with_device(text, f"'{written}'")) == []


@pytest.mark.parametrize("written", ["4711", "1.8", "2026-01-31", "1-0:1.8.0*255", "0x", "08"])
def test_an_identifier_that_yaml_keeps_needs_no_quotes(
    path: Path, text: str, check: Callable[..., list[str]], written: str
) -> None:
    assert check(with_device(text, written)) == []
    assert read_community(path).assets[0].streams[0].device == written


@pytest.mark.parametrize("written", ["1:00", "015", "yes"])
def test_a_number_that_yaml_would_alter_is_refused(check: Callable[..., list[str]], written: str, text: str) -> None:
    text = text.replace("name: Sunny", f"slot_length: {written}\n  name: Sunny")
    found = check(text)
    assert len(found) == 1
    assert f"community, slot_length: YAML reads {written} as " in found[0]


def test_keys_are_taken_as_written(check: Callable[..., list[str]], path: Path, text: str) -> None:
    mapped = text.replace("time_type:", "register_map: {01: 1-0:1.8.0, on: 1-0:2.8.0}\n    time_type:")
    assert check(mapped) == []
    assert read_community(path).sources["meters"].register_map == {"01": "1-0:1.8.0", "on": "1-0:2.8.0"}


def test_a_number_in_a_secret_s_place_is_not_quoted(check: Callable[..., list[str]], text: str) -> None:
    text = text.replace("exchange:\n", "exchange:\n  password: 0123\n")
    found = check(text)
    assert len(found) == 1
    assert "no secret stands in this file" in found[0]
    assert "0123" not in found[0]


def test_aliases_and_merges_are_read(check: Callable[..., list[str]], path: Path, text: str) -> None:
    once = text.replace("  - source: meters\n", "  - &meter\n    source: meters\n", 1)
    merged = once.replace("  - source: meters\n    device: m1\n", "  - <<: *meter\n")
    assert merged.count("meter\n") == 2
    assert check(merged) == []
    assert read_community(path).assets[1].streams[0].device == "m1"


def test_kinds_of_keys_are_those_of_the_models() -> None:
    models: tuple[type[BaseModel], ...] = (CommunitySection, ExchangeSection, MeterDatabase, Cloud, Columns, Asset)
    models += (Stream, MarketFees, FeeSpan, CheckSection, EstimationSection, QualitySection)
    models += (ReconcileSection, WatchSection)
    fields = [(name, str(info.annotation)) for model in models for name, info in model.model_fields.items()]
    numbers = {name for name, kind in fields if re.search(r"\b(int|float)\b|Literal\[1, -1\]", kind)}
    # Of `limits` the values are numbers, each under a name of the vendor's.
    assert numbers - {"limits"} == NUMBER_FIELDS
    assert {name for name, kind in fields if "bool" in kind} == TRUTH_FIELDS


def test_off_and_on_are_what_they_say_where_they_may_stand(
    check: Callable[..., list[str]], path: Path, text: str
) -> None:
    assert check(text + "\nchecks: {all: {stale_run: off}}\nestimation: {on: off}\n") == []
    community = read_community(path)
    assert community.limits(community.assets[0])[Check.STALE_RUN].bounds.high is None
    assert community.estimation.on is False
