"""Tables of a page that are held against what a run has found."""

from pathlib import Path

import pytest

from tests.reliability.tables import WRITING, hold_table

MARKED = "# Page\n\n<!-- table: ways -->\n<!-- end of table: ways -->\n\nThe rest.\n"
HEADS = ("way", "what happened")
FOUND = [("one|two", "held"), ("three", "held\ntoo")]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(MARKED)
    return path


def test_a_table_that_was_written_is_held(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WRITING, "1")
    hold_table("ways", HEADS, FOUND, page=page)
    written = page.read_text()
    assert "| one\\|two | held |\n| three | held too |\n\n<!-- end of table: ways -->\n\nThe rest.\n" in written
    hold_table("ways", HEADS, FOUND, page=page)
    assert page.read_text() == written
    monkeypatch.delenv(WRITING)
    hold_table("ways", HEADS, FOUND, page=page)


def test_a_page_that_says_otherwise_is_refused_line_by_line(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WRITING, "1")
    hold_table("ways", HEADS, FOUND, page=page)
    monkeypatch.delenv(WRITING)
    with pytest.raises(AssertionError) as caught:
        hold_table("ways", HEADS, [FOUND[0], ("three", "lost")], page=page)
    assert "- | three | held too |" in str(caught.value)
    assert "+ | three | lost |" in str(caught.value)
    assert "one" not in str(caught.value)


def test_a_page_without_the_marks_is_refused(page: Path) -> None:
    with pytest.raises(AssertionError, match="no place for the table"):
        hold_table("other ways", HEADS, FOUND, page=page)
