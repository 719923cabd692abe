"""Reference pages say what the program has now."""

from pathlib import Path

import pytest

from flows.reference import COMMANDS, COMMUNITY_FILE, commands_page, file_page

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("name", "page"), [(COMMANDS, commands_page), (COMMUNITY_FILE, file_page)])
def test_the_pages_are_current(name: str, page: object) -> None:
    assert callable(page)
    assert (DOCS / name).read_text(encoding="utf-8") == page(), "run: python -m flows.reference docs"


def test_a_key_has_its_kind_default_bounds_and_words() -> None:
    page = file_page()
    assert "| `margin_s` | whole number from 8 to 600 | `30` | A forecast must be there this long before its" in page
    assert (
        "| `sources` | mapping of text to [`MeterDatabase`](#meterdatabase) or [`Cloud`](#cloud) | required |" in page
    )
    assert "## `Cloud`" in page
    # By the name that stands in the file.
    assert "| `from` | text | required |" in page
    assert "| `register` | text |" in page


def test_a_command_has_its_parameters() -> None:
    page = commands_page()
    assert "## `slotfeed quarantine release`" in page
    assert "| `IDS` | required | Numbers from `slotfeed quarantine list`. |" in page
    assert "| `--port` | `8700` | 0 takes any free one. |" in page
