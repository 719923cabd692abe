"""The page for readers without a mouse, without sight, without JavaScript, on a phone, in the dark and on paper."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.report.browsing import Opened, opened_in

pytestmark = pytest.mark.browser

CONTRASTS = """() => {
  const channel = (value) => { const c = value / 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = (color) => (color.match(/[\\d.]+/g) || []).map(Number);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const told = Array.from(element.childNodes).some((node) => node.nodeType === 3 && node.textContent.trim());
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (!told || !box.width || style.visibility === "hidden") continue;
    if (element.closest("script, style, .hidden, .skip")) continue;
    const drawn = element instanceof SVGElement;
    const [a, b] = [light(parse(drawn ? style.fill : style.color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const which = element.tagName + "." + element.getAttribute("class");
    found.push([ratio, which + ": " + element.textContent.slice(0, 40)]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def opened(browser: Browser, weeks_page: Path) -> Iterator[Opened]:
    """The page of two days with all that goes wrong, and eight weeks before."""
    with opened_in(browser, weeks_page, viewport={"width": 1280, "height": 900}) as found:
        yield found


@pytest.fixture
def page(browser: Browser, weeks_page: Path) -> Iterator[Page]:
    """The same, opened anew, for tests that move about in it."""
    with opened_in(browser, weeks_page, drawn="data-drawn") as found:
        yield found.page


def test_headings_go_down_one_by_one_and_start_with_the_name(opened: Opened) -> None:
    levels = opened.page.eval_on_selector_all(
        "h1, h2, h3, h4, h5, h6", "all => all.map((one) => Number(one.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_landmarks_regions_and_charts_have_names(opened: Opened) -> None:
    page = opened.page
    assert page.get_by_role("main").count() == page.get_by_role("banner").count() == 1
    assert page.get_by_role("contentinfo").count() == 1
    assert page.get_by_role("navigation", name="On this page").count() == 1
    assert page.get_by_role("region", name="What is wrong").count() == 1
    charts = page.locator("[data-chart]")
    assert charts.count() == 4 + 2 + 1 + 36
    names = charts.evaluate_all("all => all.map((one) => [one.getAttribute('role'), one.getAttribute('aria-label')])")
    assert all(role == "img" and name.startswith("Chart: ") for role, name in names)
    assert len({name for _, name in names}) == len(names)
    described = page.eval_on_selector_all(
        "[aria-describedby]",
        "all => all.map((one) => document.getElementById(one.getAttribute('aria-describedby')).textContent.trim())",
    )
    assert len(described) == 4 + 36
    assert all(described)
    unnamed = page.eval_on_selector_all(
        ".scroll", "all => all.filter((one) => !one.hasAttribute('tabindex') || one.getAttribute('role') !== 'region'"
        " || !(one.getAttribute('aria-label') || one.getAttribute('aria-labelledby'))).length",
    )  # fmt: skip
    assert unnamed == 0
    assert page.locator("html").get_attribute("lang") == "en"


def test_every_table_has_a_caption_and_every_heading_a_scope(opened: Opened) -> None:
    faults = opened.page.eval_on_selector_all(
        "table",
        "all => all.filter((one) => !one.caption || !one.caption.textContent.trim()"
        " || one.querySelector('th:not([scope])') || !one.querySelector('tbody th')).length",
    )
    assert opened.page.locator("table").count() > 8
    assert faults == 0


def test_colour_is_never_alone(opened: Opened) -> None:
    states = opened.page.locator("#assets-table .state").all_inner_texts()
    assert set(states) == {"✕ Silent", "✕ Differs", "✕ Held back", "! Gaps", "! Odd", "✓ Fine"}
    assert opened.page.locator("#verdict strong").inner_text() == "✕ No."
    # Grades differ by pattern too: of the six only the best is plain.
    plain = opened.page.eval_on_selector_all(
        "pattern[id^=grade]", "all => all.filter((one) => one.children.length === 1).map((one) => one.id)"
    )
    assert plain == ["grade-0"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_told_from_its_ground(opened: Opened, scheme: str) -> None:
    opened.page.emulate_media(color_scheme=scheme)
    opened.page.eval_on_selector_all("details", "all => all.forEach((one) => { one.open = true; })")
    ratios = opened.page.evaluate(CONTRASTS)
    opened.page.emulate_media(color_scheme="light")
    assert len(ratios) > 500
    assert [text for ratio, text in ratios if ratio < 4.5] == []


def test_a_dark_screen_gets_its_own_colours_and_paper_the_light_ones(opened: Opened) -> None:
    def ink() -> list[str]:
        return opened.page.evaluate(
            """["body", "[data-chart=map] .role-axis-label text"].map(
                (place) => { const style = getComputedStyle(document.querySelector(place));
                             return place === "body" ? style.backgroundColor : style.fill; })"""
        )

    opened.page.emulate_media(color_scheme="light")
    light = ink()
    opened.page.emulate_media(color_scheme="dark")
    dark = ink()
    opened.page.emulate_media(color_scheme="dark", media="print")
    on_paper = ink()
    opened.page.emulate_media(color_scheme="light", media="screen")
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    assert on_paper == ["rgb(255, 255, 255)", light[1]]


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_nothing_sticks_out_sideways_and_charts_keep_their_scale(opened: Opened, width: int) -> None:
    page = opened.page
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_function(
        """() => Array.from(document.querySelectorAll("[data-chart]")).every((place) => {
             const svg = place.querySelector("svg");
             const off = svg.getBoundingClientRect().width - Number(svg.getAttribute("width"));
             return place.closest("details:not([open])") || Math.abs(off) < 1;
           })"""
    )
    assert page.evaluate("document.documentElement.scrollWidth") == width
    smallest = page.evaluate(
        """() => Math.min(...Array.from(document.querySelectorAll("main *"), (one) => one.childElementCount ? 99
             : parseFloat(getComputedStyle(one).fontSize)))"""
    )
    assert smallest >= 11
    page.set_viewport_size({"width": 1280, "height": 900})


def test_the_keyboard_reaches_everything(page: Page) -> None:
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    assert focused.inner_text() == "Skip to the report"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    seen = set()
    for _ in range(400):
        page.keyboard.press("Tab")
        tag = page.evaluate(
            """() => { const one = document.activeElement;
                       const style = getComputedStyle(one);
                       const seen = parseFloat(style.outlineWidth) > 1 && style.outlineStyle !== "none";
                       return [one.tagName, seen, one.className]; }"""
        )
        if tag[0] == "BODY":
            break
        seen.add((tag[0], tag[2].split(" ")[0]))
        assert tag[1], tag
    assert {("SUMMARY", ""), ("BUTTON", ""), ("DIV", "scroll")} <= seen
    assert any(tag == "A" for tag, _ in seen)


def test_details_open_by_keyboard_and_their_chart_fits(page: Page) -> None:
    closed = page.locator("details.asset:not([open])").first
    name = closed.locator("h3").inner_text()
    closed.locator("summary").focus()
    page.keyboard.press("Enter")
    opened = page.locator("details.asset", has=page.get_by_role("heading", name=name, exact=True))
    assert opened.get_attribute("open") is not None
    chart = opened.locator("[data-chart] svg")
    assert chart.is_visible()
    box, place = chart.bounding_box(), opened.bounding_box()
    assert box is not None
    assert place is not None
    assert box["width"] > 0.9 * place["width"]


def test_a_link_in_the_table_opens_the_asset(page: Page) -> None:
    link = page.locator("#assets-table tbody a").last
    name = link.inner_text()
    link.focus()
    page.keyboard.press("Enter")
    page.locator("summary:focus").wait_for()
    assert name in page.locator(":focus").inner_text()
    assert page.locator("details:focus-within").get_attribute("open") is not None


def test_the_table_sorts_by_keyboard_and_says_so(page: Page) -> None:
    button = page.get_by_role("button", name="Here, kWh")
    button.focus()
    page.keyboard.press("Enter")
    head = page.locator("th[aria-sort]")
    assert head.get_attribute("aria-sort") == "ascending"
    energies = [float(text) for text in page.locator("#assets-table tbody td:nth-child(7)").all_inner_texts()]
    assert energies == sorted(energies)
    assert len(set(energies)) > 20
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    energies = [float(text) for text in page.locator("#assets-table tbody td:nth-child(7)").all_inner_texts()]
    assert energies == sorted(energies, reverse=True)
    assert page.get_by_role("status").inner_text() == "Sorted by Here, kWh, descending"
    page.get_by_role("button", name="State").click()
    assert page.locator("#assets-table tbody .state").first.inner_text() == "✕ Silent"


def test_without_javascript_every_word_is_there(browser: Browser, weeks_page: Path) -> None:
    with opened_in(browser, weeks_page, java_script_enabled=False) as found:
        page = found.page
        assert "✕ No. 4 problems need somebody" in page.inner_text("#verdict")
        assert page.locator("ol.problems > li").count() == 10
        assert page.locator("#assets-table tbody tr").count() == 36
        # Details open without it too, and hold the chart's facts as sentence and tables.
        gaps = page.locator("details.asset", has=page.get_by_role("heading", name="Flat 35", include_hidden=True))
        gaps.locator("summary").click()
        assert gaps.locator("p").first.is_visible()
        assert "152 measured" in gaps.inner_text()
        assert page.locator("[data-chart]:visible").count() == 0


def test_paper_gets_everything_and_the_screen_is_left_as_it_was(opened: Opened) -> None:
    page = opened.page
    page.eval_on_selector_all("details", "all => all.forEach((one, at) => { one.open = at < 2; })")
    page.evaluate(
        "window.addEventListener('beforeprint', () => {"
        " window.openOnPaper = document.querySelectorAll('details:not([open])').length; })"
    )
    paper = page.pdf(format="A4", prefer_css_page_size=True)
    assert paper.startswith(b"%PDF")
    assert len(paper) < 10e6
    assert 10 < paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page ") < 60
    assert page.evaluate("window.openOnPaper") == 0
    assert page.locator("details[open]").count() == 2
    page.emulate_media(media="print")
    assert not page.get_by_role("navigation").is_visible()
    page.emulate_media(media="screen")


def test_who_dislikes_motion_gets_none(opened: Opened) -> None:
    def scrolling() -> str:
        return opened.page.evaluate("getComputedStyle(document.documentElement).scrollBehavior")

    assert scrolling() == "smooth"
    opened.page.emulate_media(reduced_motion="reduce")
    assert scrolling() == "auto"
    opened.page.emulate_media(reduced_motion="no-preference")
