"""What the README tells people to type is what works."""

import re
from pathlib import Path

import typer.main

from flows.cli import app
from pipelines.check import check_community
from pipelines.errors import Severity

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_ten_line_community_is_sound(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert len(block.splitlines()) <= 10
    path = tmp_path / "community.yaml"
    path.write_text(block)
    found, issues = check_community(path)
    assert [str(issue) for issue in issues if issue.severity is Severity.FAULT] == []
    assert found is not None


def test_every_command_it_names_exists_and_every_command_is_named() -> None:
    group = typer.main.get_command(app)
    known = set(group.commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"`?slotfeed ([a-z][a-z-]*)", README)) <= known | {"carries"}
    assert {name for name in known if f"slotfeed {name}" in README} | {"demo"} == known
