"""The web page in a real browser, at a real server."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route

from pipelines.sandbox.exchange.process import exchange_process

pytestmark = pytest.mark.browser

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
ADMIN = ("feeder@example.org", "correct horse battery")
RESIDENT = ("resident", "a password of theirs")
LONG = "Wohnung_im_Hinterhaus_des_Sonnenhofs_dritter_Stock_links_<b>&"
"""A name that breaks nowhere, and would break a page that didn't escape it."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An exchange at 18:05 of a day in which two assets were posted for, with a resident who owns one of them."""

    def leaf(name: str, kind: str, uuid: str) -> dict[str, object]:
        return {"name": name, "type": kind, "uuid": uuid, "registered": False, "children": None}

    leaves = [leaf("Roof", "PV", "pv"), leaf(LONG, "Load", "load"), leaf("Meter", "SmartMeter", "meter")]
    config = {
        "username": ADMIN[0],
        "name": "Sonnenhof",
        "uuid": SIMULATION,
        "domain_name": "https://exchange.example",
        "web_socket_domain_name": "wss://exchange.example",
        "global_settings": {"slot_length": "15m"},
        "registry": {"name": "Grid", "type": "Area", "uuid": "grid", "children": leaves},
    }
    source = tmp_path_factory.mktemp("exchange") / "simulation.json"
    source.write_text(json.dumps(config), encoding="utf-8")
    start = datetime(2026, 3, 2, 6, 5, tzinfo=UTC)
    with (
        exchange_process(source, username=ADMIN[0], password=ADMIN[1], clock_start=start) as address,
        httpx.Client(base_url=address) as api,
    ):
        live_a_day(api)
        yield address


def live_a_day(api: httpx.Client) -> None:
    token = api.post("/api-token-auth/", json=dict(zip(("username", "password"), ADMIN, strict=True))).json()["access"]
    api.headers["Authorization"] = f"JWT {token}"
    # 48 slots from 06:15 on: 0.1 to 4.8 kWh; their sum is 0.1 * 48 * 49 / 2.
    load = {f"2026-03-02T{6 + (n + 1) // 4:02}:{(n + 1) % 4 * 15:02}": (n + 1) / 10 for n in range(48)}
    path = f"/external-connection/api/{SIMULATION}"
    assert api.post(f"{path}/load/set-energy-forecast/", json={"energy_forecast": load}).json()["status"] == "ready"
    assert api.post(f"{path}/pv/set_energy_forecast/", json={"energy_Wh": 250}).json()["status"] == "ready"
    invite = {"username": RESIDENT[0], "role": "user", "subjects": ["pv"]}
    code = api.post("/manage/invitations", json=invite).json()["code"]
    accepted = api.post("/manage/invitations/accept", json={"code": code, "password": RESIDENT[1]})
    assert accepted.status_code == 201
    api.put("/sandbox/clock", json={"now": "2026-03-02T06:15:10Z"})
    measured = {"energy_measurement": {"2026-03-02T06:15": 0.125}}
    assert api.post(f"{path}/load/set-energy-measurement/", json=measured).json()["status"] == "ready"
    api.put("/sandbox/clock", json={"now": "2026-03-02T18:05:00Z"})


@dataclass
class Visit:
    """A browser window at the exchange."""

    url: str
    page: Page
    console: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def log_in(self, username: str, password: str) -> None:
        self.page.goto(self.url)
        # The page sets it there by itself, and the browser complains where somebody was quicker.
        self.page.wait_for_function("document.activeElement.id === 'username'")
        self.page.get_by_label("User name").fill(username)
        self.page.get_by_label("Password").fill(password)
        self.follow(self.page.get_by_role("button", name="Log in").click)

    def follow(self, action: Callable[[], None]) -> None:
        """Do what leads to another page, and wait until it is there."""
        with self.page.expect_navigation():
            action()

    def press_enter(self) -> None:
        self.follow(lambda: self.page.keyboard.press("Enter"))

    def names(self) -> list[str]:
        return self.page.locator("#assets tbody th").all_inner_texts()


@pytest.fixture
def open_window(browser: Browser, url: str) -> Iterator[Callable[..., Visit]]:
    """Opens windows; in the end nothing was complained of, and nobody else was asked for anything."""
    opened = []

    def new(**options: object) -> Visit:
        context = browser.new_context(timezone_id="America/New_York", locale="de-DE", **options)
        visit = Visit(url, context.new_page())

        def only_the_exchange(route: Route) -> None:
            if route.request.url.startswith(url + "/"):
                route.continue_()
            else:
                visit.elsewhere.append(route.request.url)
                route.abort()

        visit.page.route("**/*", only_the_exchange)
        visit.page.on("console", lambda message: visit.console.append(message.text))
        visit.page.on("pageerror", lambda error: visit.console.append(str(error)))
        opened.append(visit)
        return visit

    yield new
    for visit in opened:
        assert visit.console == []
        assert visit.elsewhere == []
        visit.page.context.close()


@pytest.fixture
def admin(open_window: Callable[..., Visit]) -> Visit:
    visit = open_window()
    visit.log_in(*ADMIN)
    return visit


def test_logging_in_and_out(admin: Visit) -> None:
    assert admin.page.url == f"{admin.url}/"
    assert admin.page.get_by_role("heading", level=1).inner_text() == "Sonnenhof"
    cookie = admin.page.context.cookies()[0]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    admin.follow(admin.page.get_by_role("button", name="Log out").click)
    assert admin.page.url == f"{admin.url}/login"
    admin.page.goto(f"{admin.url}/assets/load")
    assert admin.page.url == f"{admin.url}/login"
    assert admin.page.context.cookies() == []


def test_a_wrong_password_is_told_and_the_name_kept(open_window: Callable[..., Visit]) -> None:
    visit = open_window()
    visit.log_in(ADMIN[0], "wrong")
    assert visit.page.get_by_role("alert").inner_text() == "No active account found with the given credentials"
    assert visit.page.get_by_label("User name").input_value() == ADMIN[0]
    assert visit.page.get_by_label("Password").input_value() == ""
    # The browser itself writes down that the answer was 401.
    assert [text for text in visit.console if "401" not in text] == []
    visit.console.clear()
    visit.page.get_by_label("Password").fill(ADMIN[1])
    visit.press_enter()
    assert visit.page.url == f"{visit.url}/"


def test_the_table_tells_what_was_posted(admin: Visit) -> None:
    assert admin.names() == ["Meter", "Roof", LONG]
    load = admin.page.locator("#assets tbody tr").nth(2).locator("td").all_inner_texts()
    assert load[:5] == ["Load", "Grid", "on", "by template", "no"]
    assert [text.strip() for text in load[5:7]] == ["4.800", "117.600"], "18:00 is the 48th slot"
    assert load[7].split("\n")[0] == ADMIN[0]
    assert load[8] == "2"
    roof = admin.page.locator("#assets tbody tr").nth(1).locator("td").all_inner_texts()
    assert [text.strip() for text in roof[5:7]] == ["0.250", "12.000"], "repeated in each of 48 slots"
    line = admin.page.get_by_role("img", name="Energy over the last day: at most 4.800 kWh in a slot")
    assert line.is_visible()
    admin.page.get_by_label("Filter").fill("pv")
    admin.press_enter()
    assert admin.names() == ["Roof"]
    admin.follow(admin.page.get_by_role("link", name="Show all").click)
    assert len(admin.names()) == 3


def test_an_asset_is_told_slot_by_slot(admin: Visit) -> None:
    admin.follow(admin.page.get_by_role("link", name=LONG).click)
    assert admin.page.get_by_role("heading", level=1).inner_text() == LONG
    assert admin.page.locator("main b").count() == 0
    assert admin.page.locator("svg.bars rect").count() == 48
    rows = admin.page.locator("#slots tbody tr")
    assert rows.count() == 96
    assert rows.nth(0).locator("td").all_inner_texts()[:3] == ["2026-03-02 18:00", "4.800", "forecast"]
    first = rows.nth(47).locator("td").all_inner_texts()
    assert first[:4] == ["2026-03-02 06:15", "0.100", "forecast", ADMIN[0]]
    assert first[5:] == ["0.125", ADMIN[0], "2026-03-02 06:15:10"]
    assert rows.nth(49).locator("td").all_inner_texts()[1:3] == ["0.000", "not running"]
    admin.follow(admin.page.get_by_role("link", name="All assets").click)
    assert admin.page.url == f"{admin.url}/"


def test_a_resident_sees_what_is_theirs(open_window: Callable[..., Visit]) -> None:
    visit = open_window()
    visit.log_in(*RESIDENT)
    assert visit.names() == ["Roof"]
    assert visit.page.get_by_role("navigation", name="Pages").get_by_role("link").all_inner_texts() == ["Assets", "API"]
    visit.page.goto(f"{visit.url}/assets/load")
    assert visit.page.get_by_role("heading", level=1).inner_text() == "This isn't yours to see."
    assert LONG not in visit.page.content()
    visit.page.goto(f"{visit.url}/assets/nobody")
    assert visit.page.get_by_role("heading", level=1).inner_text() == "There is no such page."
    # The browser itself writes down that these were 403 and 404.
    assert len(visit.console) == 2
    visit.console.clear()


@pytest.mark.parametrize("path", ["/", "/assets/load", "/markets", "/audit", "/docs", "/login"])
def test_a_phone_needs_no_scrolling_sideways(admin: Visit, path: str) -> None:
    admin.page.set_viewport_size({"width": 360, "height": 740})
    admin.page.goto(admin.url + path)
    assert admin.page.evaluate("document.documentElement.scrollWidth") == 360


def test_a_dark_screen_gets_its_own_colours(admin: Visit) -> None:
    def colours() -> list[str]:
        return admin.page.evaluate(
            """["backgroundColor", "color"].map((name) => getComputedStyle(document.body)[name])"""
        )

    admin.page.emulate_media(color_scheme="light")
    assert colours() == ["rgb(245, 247, 248)", "rgb(28, 39, 48)"]
    admin.page.emulate_media(color_scheme="dark")
    assert colours() == ["rgb(18, 24, 29)", "rgb(227, 233, 237)"]


def test_the_keyboard_reaches_everything(admin: Visit) -> None:
    def focused() -> str:
        return admin.page.evaluate(
            "(document.activeElement.getAttribute('aria-label') || document.activeElement.innerText"
            " || document.activeElement.id)"
        )

    reached = []
    for _ in range(12):
        admin.page.keyboard.press("Tab")
        reached.append(focused())
    assert reached == [
        *("Skip to the content", "Assets", "Markets", "Audit log", "API", "Log out", "filter", "Show"),
        *("Assets", "Meter", "Roof", LONG),
    ]
