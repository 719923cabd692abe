"""A page in a real browser, as somebody far from the community would open it: another zone, no network."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page, Route


@dataclass
class Opened:
    """An open page, what its browser complained of, and what it asked for."""

    page: Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def count(self, chart: str, marks: str, fill: str = "") -> int:
        """Shapes that a chart drew in the mark group of this name, with this fill."""
        painted = f"[fill='url(#{fill})']" if fill else ""
        return self.page.locator(f"[data-chart={chart}] [class*='{marks}_marks'] > *{painted}").count()


@contextlib.contextmanager
def opened_in(browser: Browser, path: Path, drawn: str = "data-drawn-all", **options) -> Iterator[Opened]:
    """Open a page in a context of its own; at the end nothing but the page was asked for, and nothing complained of.

    Args:
        browser: to open it in.
        path: of the page.
        drawn: attribute that the page gets when what is waited for is drawn: what is open, or all of it.
        options: of the context.
    """
    scripted = options.get("java_script_enabled", True)
    context = browser.new_context(timezone_id="America/New_York", locale="de-DE", **options)
    opened = Opened(context.new_page())

    def only_the_page(route: Route) -> None:
        opened.requests.append(route.request.url)
        if route.request.url == path.as_uri():
            route.continue_()
        else:
            route.abort()

    opened.page.route("**/*", only_the_page)
    opened.page.on("console", lambda message: opened.console.append(message.text))
    opened.page.on("pageerror", lambda error: opened.console.append(str(error)))
    opened.page.goto(path.as_uri())
    if scripted:
        opened.page.wait_for_selector(f"html[{drawn}]", state="attached", timeout=90_000)
    yield opened
    assert opened.console == []
    assert opened.requests == [path.as_uri()]
    context.close()
