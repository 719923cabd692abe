import fcntl
from pathlib import Path

import pytest

from pipelines.errors import TerminalError
from pipelines.validate.docs.folder import replaced_whole


def build(folder: Path, text: str) -> None:
    with replaced_whole(folder) as fresh:
        (fresh / "a.html").write_text(text)


def build_half(folder: Path) -> None:
    with replaced_whole(folder) as fresh:
        (fresh / "a.html").write_text("half")
        assert (folder / "a.html").read_text() == "one"
        raise ZeroDivisionError


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir() if path.name != f".{folder.name}.lock")


def test_the_new_site_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "quality" / "docs"
    build(folder, "one")
    (folder / "old.html").write_text("")
    build(folder, "two")
    assert [path.name for path in folder.iterdir()] == ["a.html"]
    assert (folder / "a.html").read_text() == "two"
    assert visible(folder) == ["docs"]


def test_the_old_site_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    build(folder, "one")
    with pytest.raises(ZeroDivisionError):
        build_half(folder)
    assert (folder / "a.html").read_text() == "one"
    assert visible(folder) == ["docs"]


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    for leftover in (".docs.new", ".docs.old"):
        (tmp_path / leftover / "validations").mkdir(parents=True)
    build(folder, "one")
    assert visible(folder) == ["docs"]
    assert [path.name for path in folder.iterdir()] == ["a.html"]


def test_two_runs_do_not_build_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    with (tmp_path / ".docs.lock").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TerminalError, match=r"another run builds the folder .*docs now"):
            build(folder, "two")
    assert not folder.exists()
    build(folder, "three")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TerminalError, match=r"the folder .*file/docs can't be written"):
        build(tmp_path / "file" / "docs", "one")
