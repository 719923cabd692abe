"""The site in a real browser without a network, as its readers open it: from a folder."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.browser


@dataclass
class Reader:
    page: Page
    folder: Path
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextlib.contextmanager
def reading(browser: Browser, index: Path, **options: object) -> Iterator[Reader]:
    """A browser that remembers what a page complains of or asks for beside the site's own pages."""
    context = browser.new_context(timezone_id="America/New_York", **options)
    reader = Reader(context.new_page(), index.parent)

    def only_pages(route: Route) -> None:
        request = route.request
        beside = request.url.startswith(index.parent.parent.as_uri()) and request.is_navigation_request()
        if beside:
            route.continue_()
        else:
            reader.requests.append(request.url)
            route.abort()

    context.route("**/*", only_pages)
    reader.page.on("console", lambda message: reader.console.append(message.text))
    reader.page.on("pageerror", lambda error: reader.console.append(str(error)))
    reader.page.goto(index.as_uri())
    yield reader
    assert reader.console == []
    assert reader.requests == []
    context.close()


@pytest.fixture
def reader(browser: Browser, site: Path) -> Iterator[Reader]:
    with reading(browser, site) as opened:
        yield opened


def all_pages(site: Path) -> list[Path]:
    return sorted(site.parent.rglob("*.html"))


def test_every_page_asks_for_nothing_and_complains_of_nothing(reader: Reader, site: Path) -> None:
    for path in all_pages(site):
        reader.page.goto(path.as_uri())
        assert reader.page.title().endswith("· Sonnen<b>hof</b> & $name · slotfeed")
        assert reader.page.locator("script, img, iframe, b").count() == 0


def test_marks_are_drawn_in_the_colours_of_what_they_mean(reader: Reader) -> None:
    def drawn(mark: str) -> tuple[float, float, str, str]:
        found = reader.page.locator(f".{mark}").first
        box = found.bounding_box()
        assert box
        style = found.evaluate("(mark) => [getComputedStyle(mark).backgroundColor, getComputedStyle(mark).maskImage]")
        return box["width"], box["height"], style[0], style[1][:20]

    assert reader.page.locator(".fas").count() == 3
    assert drawn("fa-times") == (16, 16, "rgb(179, 38, 30)", 'url("data:image/svg+')
    assert drawn("fa-check-circle") == (16, 16, "rgb(31, 112, 89)", 'url("data:image/svg+')
    # That the mask is a picture which the browser can read shows only in what it paints: a tick leaves a gap.
    colours = reader.page.locator(".fa-check-circle").first.screenshot()
    plain = reader.page.evaluate("document.querySelector('.fa-check-circle').style.mask = 'none'")
    assert plain == "none"
    assert reader.page.locator(".fa-check-circle").first.screenshot() != colours


def test_the_index_leads_to_results_and_suites_and_back(reader: Reader) -> None:
    page = reader.page
    statuses = page.locator(".validations tbody tr")
    assert [row.split()[0] for row in statuses.all_inner_texts()] == ["Failed", "Failed", "Succeeded"]
    page.get_by_role("link", name="Readings", exact=True).click()
    assert page.locator("h1").inner_text() == "Readings: validation result"
    page.get_by_role("link", name="Failed (2)").click()
    assert page.locator("table.checks.failed > tbody > tr").count() == 2
    assert page.locator("table.checks.failed .table-bordered td", has_text="10:00 CET").is_visible()
    page.get_by_role("link", name="readings", exact=True).click()
    assert page.locator("h1").inner_text() == "Readings: expectation suite"
    assert page.locator("table.demands > tbody > tr").count() == 18
    page.get_by_role("link", name="of this period").click()
    assert page.locator("h1").inner_text() == "Readings: validation result"
    page.get_by_role("link", name="Data Docs").click()
    page.get_by_role("link", name="exchange_match").click()
    assert page.locator("h1").inner_text() == "Exchange: expectation suite"
    page.get_by_role("link", name="Data quality report").click()
    assert page.title() == "The report"


@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_sticks_out_sideways(reader: Reader, site: Path, width: int) -> None:
    reader.page.set_viewport_size({"width": width, "height": 800})
    for path in all_pages(site):
        reader.page.goto(path.as_uri())
        assert reader.page.evaluate("document.documentElement.scrollWidth") == width, path
        wide = reader.page.locator("main .scroll").evaluate_all(
            "(found) => found.filter((one) => one.scrollWidth > one.clientWidth).length"
        )
        assert width > 400 or wide == 0, "a telephone's reader sees every figure without pushing a table about"


def test_a_dark_screen_and_paper_get_their_own_colours(reader: Reader) -> None:
    def colours() -> tuple[str, str]:
        return reader.page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('.fas')).color]"
        )

    light = colours()
    reader.page.emulate_media(color_scheme="dark")
    dark = colours()
    reader.page.emulate_media(color_scheme="dark", media="print")
    paper = colours()
    assert light[0] == "rgb(245, 247, 248)"
    assert dark[0] == "rgb(18, 24, 29)"
    assert dark[1] != light[1]
    assert paper == ["rgb(255, 255, 255)", light[1]]


def test_a_script_that_slipped_in_would_not_run(browser: Browser, site: Path, tmp_path: Path) -> None:
    page = site.read_text().replace("</body>", "<script>document.title = 'run'</script></body>")
    (tmp_path / "index.html").write_text(page)
    context = browser.new_context()
    opened = context.new_page()
    opened.goto((tmp_path / "index.html").as_uri())
    assert opened.title().startswith("Data Docs")
    context.close()
