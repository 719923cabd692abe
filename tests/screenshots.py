"""The pictures of docs/operations.md, taken anew by `make screenshots`.

A community's feeds run as in production: deployed to a Prefect server of their own, run by a worker, against the local
exchange. In the last slot two things go wrong: an inverter tells nonsense, and the exchange refuses one asset.
Then Chromium looks at Prefect's pages. Nothing leaves this machine.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

from flows.local_prefect import PrefectServer, prefect_server
from tests.conftest import BROWSER_OPTIONS
from tests.flows.places import FIRST_RUN, SLOT, Place, living_in, open_place
from tests.flows.test_deployment import prefect, run

IMAGES = Path(__file__).parents[1] / "docs" / "images"
MOST_BYTES = 120_000
REFUSED = {"do": "status", "status": 400, "asset": "Load 5", "path": "set_energy_forecast"}
NOON = FIRST_RUN + 48 * SLOT


def main() -> None:
    """Play two slots and a look of the watch, then take the pictures."""
    with _place() as (place, folder), prefect_server(folder / "prefect") as server:
        server.wait()
        prefect(server, "work-pool", "create", "slotfeed", "--type", "process")
        prefect(server, "deploy", "--all", "--no-prompt")
        place.meters.spike("PV 3", NOON - SLOT, 1000.0)
        _run(server, place, "feed", NOON - SLOT)
        place.exchange.put("/sandbox/faults", json=[REFUSED]).raise_for_status()
        _run(server, place, "feed", NOON)
        # After that, nobody feeds.
        _run(server, place, "watch", NOON + 2 * SLOT + timedelta(minutes=9))
        with _page() as page:
            _take(page, server)


def _run(server: PrefectServer, place: Place, flow: str, at: datetime) -> None:
    place.live_until(at)
    run(server, f"{flow}/{flow}", place, at=at.isoformat())
    prefect(server, "worker", "start", "--pool", "slotfeed", "--run-once")


def _take(page: Page, server: PrefectServer) -> None:
    shown = {"sort": "CREATED_DESC"}
    found = httpx.post(f"{server.url}/artifacts/filter", json=shown, timeout=30).raise_for_status().json()
    newest = {one["key"]: one["id"] for one in reversed(found)}
    pages = {
        "feed-summary": (f"artifacts/artifact/{newest['feed-summary']}", 500),
        "feed-table": (f"artifacts/artifact/{newest['feed-table']}", 500),
        "watch-summary": (f"artifacts/artifact/{newest['watch-summary']}", 500),
        "deployments": ("deployments", 760),
    }
    for name, (path, height) in pages.items():
        page.set_viewport_size({"width": 1280, "height": height})
        page.goto(f"{server.url.removesuffix('/api')}/{path}", wait_until="networkidle")
        page.wait_for_timeout(1500)
        taken = page.screenshot(path=IMAGES / f"{name}.png")
        assert len(taken) <= MOST_BYTES, f"{name}: {len(taken):,} bytes"


@contextlib.contextmanager
def _place() -> Iterator[tuple[Place, Path]]:
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / "community", Path(name) / "exchange"]
        for folder in folders:
            folder.mkdir()
        with open_place(*folders) as place, living_in(place):
            yield place, Path(name)


@contextlib.contextmanager
def _page() -> Iterator[Page]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=BROWSER_OPTIONS)
        yield opened.new_page(color_scheme="light")
        opened.close()


if __name__ == "__main__":
    main()
