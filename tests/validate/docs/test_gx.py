"""What is known of Great Expectations' insides: where a test here fails, a new version does something another way."""

import re
from pathlib import Path

import great_expectations
import pytest

from pipelines.validate.docs import gx
from pipelines.validate.docs.session import open_session
from pipelines.validate.docs.view import ASSETS

TEMPLATES = Path(great_expectations.__file__).parent / "render" / "view" / "templates"
EXTERNAL = re.compile(r"""(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}/[^"'\s)]*""")

KNOWN_ADDRESSES = {
    "cloud-footer.j2": 1,
    "ge_info.j2": 0,
    "index_page.j2": 5,
    "js_script_imports.j2": 10,
    "page.j2": 5,
    "page_minimal.j2": 5,
    "top_navbar.j2": 1,
    "markdown_validation_results_page.j2": 1,
}
"""Great Expectations' templates that fetch or link from elsewhere, with how many addresses; none is used here."""


def test_what_their_pages_fetch_is_known() -> None:
    found = {path.name: len(EXTERNAL.findall(path.read_text())) for path in TEMPLATES.glob("*.j2")}
    assert {name: count for name, count in found.items() if count} == {n: c for n, c in KNOWN_ADDRESSES.items() if c}


def test_their_templates_that_we_replace_are_theirs() -> None:
    assert set(gx.OURS_INSTEAD) <= {path.name for path in TEMPLATES.glob("*.j2")}
    assert {path.name for path in ASSETS.iterdir()} == {"layout.html", "table.j2", "docs.css"}


@pytest.mark.parametrize("name", sorted(gx.ASSEMBLED_FROM))
def test_their_templates_that_we_use_are_plain_markup(name: str) -> None:
    text = (TEMPLATES / name).read_text()
    assert not re.search(r"script|src=|onclick|https?:|style=", text)
    included = re.findall(r"""include ['"]([^'"]+)""", text)
    assert set(included) <= gx.ASSEMBLED_FROM


def test_the_context_that_others_use_stays_theirs() -> None:
    config = gx.DataContextConfig(store_backend_defaults=gx.InMemoryStoreBackendDefaults())
    other = gx.EphemeralDataContext(project_config=config)
    gx.project_manager.set_project(other)
    with open_session(run_name="x"):
        assert gx.project_manager.get_current_project() is not other
    assert gx.project_manager.get_current_project() is other
    with pytest.raises(RuntimeError), open_session(run_name="x"):
        raise RuntimeError
    assert gx.project_manager.get_current_project() is other
    newest = gx.EphemeralDataContext(project_config=config)
    with open_session(run_name="x"):
        gx.project_manager.set_project(newest)
    assert gx.project_manager.get_current_project() is newest
