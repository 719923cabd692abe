from pathlib import Path

import pytest

from pipelines.errors import ConfigurationError
from pipelines.starter import example_yaml, write_starter


def test_an_existing_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "community.yaml"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="it is there already"):
        write_starter(path, example_yaml())
    assert path.read_text(encoding="utf-8") == "mine"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere.*can't be written"):
        write_starter(tmp_path / "nowhere" / "community.yaml", example_yaml())
