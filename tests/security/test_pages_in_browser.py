"""The sandbox's pages in a real browser, of an exchange whose names are made to do harm."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from pipelines.sandbox.exchange.process import exchange_process
from tests.conftest import small_registry

pytestmark = pytest.mark.browser

EVIL = [
    "<script>document.title = 'stolen'; alert(1)</script>",
    '"><img src=http://evil.example/seen.png onerror="document.title=\'stolen\'">',
    "'; document.title = 'stolen'; //",
    "{{ 7*7 }}{% include 'x' %}",
    "</title><svg onload=alert(1)>",
    "<a href='javascript:alert(1)'>Flat</a>",
]


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    registry = small_registry()
    leaves = [{"name": name, "type": "Load", "uuid": f"load/{n}?x", "children": None} for n, name in enumerate(EVIL)]
    registry["name"] = EVIL[0]
    registry["registry"] = {"name": EVIL[1], "type": "Area", "uuid": "grid", "children": leaves}
    path = tmp_path_factory.mktemp("exchange") / "registry.json"
    path.write_text(json.dumps(registry))
    with exchange_process(path, username=EVIL[2], password="hush-hush") as url:
        yield url


def visit(page: Page, base_url: str) -> list[str]:
    """Log in and open every page that a link leads to; returns their texts."""
    page.goto(f"{base_url}/login")
    page.locator("input[name=username]").fill(EVIL[2])
    page.locator("input[name=password]").fill("hush-hush")
    page.locator("form:has(input[name=password]) button").click()
    page.wait_for_load_state()
    found = page.locator("a[href^='/']").evaluate_all("(links) => links.map((link) => link.getAttribute('href'))")
    texts = [page.locator("body").inner_text()]
    for address in dict.fromkeys(found):
        page.goto(base_url + address)
        texts.append(page.locator("body").inner_text())
    return texts


def test_no_name_runs_fetches_or_leads_elsewhere(browser: Browser, base_url: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    requests: list[str] = []
    harm: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("dialog", lambda dialog: (harm.append(dialog.message), dialog.dismiss()))
    page.on("pageerror", lambda error: harm.append(str(error)))
    texts = visit(page, base_url)
    assert len(texts) > len(EVIL), "each asset has a page of its own"
    for name in EVIL:
        assert any(name in text for text in texts), name
    assert harm == []
    assert {request.startswith(base_url) for request in requests} == {True}
    assert page.title() != "stolen"
    addresses = page.locator("a").evaluate_all("(links) => links.map((link) => link.href)")
    assert not any(address.startswith("javascript:") for address in addresses)
    context.close()
