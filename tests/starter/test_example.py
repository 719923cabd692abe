import re
from pathlib import Path

from pipelines.check import check_community, read_community
from pipelines.collect.catalogue import vendor_names
from pipelines.community import AssetType
from pipelines.errors import Severity
from pipelines.frames import Kind
from pipelines.starter import example_yaml, write_starter


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
    chosen = ("slot_length", "time_zone", "protocol", "margin_s", "concurrency", "database", "allow_http")
    chosen += ("quality_map",)
    opened = [re.sub(rf"^( *)# (?=({'|'.join(chosen)}):)", r"\1", line) for line in lines]
    assert sum(line not in lines for line in opened) == len(chosen) + 1  # time_zone stands twice
    path.write_text("\n".join(opened), encoding="utf-8")
    assert faults(path) == []


def _indent(commented: re.Match[str]) -> str:
    return "  " if commented[0].startswith(" ") else ""


def test_the_example_s_clouds_are_right_too(tmp_path: Path) -> None:
    path = tmp_path / "community.yaml"
    example = example_yaml()
    clouds = re.findall(r"^  # ((?:roof|flats|cellar): {.*})$", example, re.MULTILINE)
    (stream,) = re.findall(r"^  #   - ({source: roof.*})$", example, re.MULTILINE)
    opened = re.sub(r"^  # (?=(?:roof|flats|cellar): {)|^# (?=allow_http)", _indent, example, flags=re.MULTILINE)
    own = '{source: meters, device: "1EMH0012345678", register: "1-0:2.8.0", kind: register, unit: kWh}'
    assert own in opened
    path.write_text(opened.replace(own, stream), encoding="utf-8")
    assert faults(path) == []
    kinds = set(re.findall(r"type: (\w+)", " ".join(clouds)))
    further = set(re.findall(r"\w+", example.partition("# Further types: ")[2].partition("\n")[0]))
    assert kinds | further >= set(vendor_names()), "every vendor is named"
    assert read_community(path).assets[1].streams[0].kind is Kind.INTERVAL
