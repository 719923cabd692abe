"""A feed run as Prefect's: a server, a work pool, a worker that starts a process for each run.

    python -m tests.benchmarks.under_prefect                10, 1,000 and 10,000 assets
    python -m tests.benchmarks.under_prefect --write        and put what was measured into docs/performance.md

The third run is measured, as by `feed.py`: from the moment at which the worker has taken it to its end, as the server's
own record has them. Of so few assets as ten it is what a run costs before it does anything. Server and worker live on
the same cores.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import httpx

from flows.local_prefect import PrefectServer, prefect_server
from tests.benchmarks.feed_figures import prefect_table
from tests.benchmarks.feed_held import hold
from tests.benchmarks.feed_live import LAST, ROOT, live
from tests.benchmarks.feed_place import PASSWORD, USERNAME, Site, open_exchange
from tests.benchmarks.page import Sitting


def main() -> None:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description="A feed run under Prefect.")
    parser.add_argument("--assets", type=int, nargs="*", default=[10, 1_000, 10_000])
    parser.add_argument("--write", action="store_true", help="put it into docs/performance.md")
    asked = parser.parse_args()
    sitting = Sitting("under_prefect", "prefect", "Under a Prefect worker")
    with tempfile.TemporaryDirectory() as name, prefect_server(Path(name) / "prefect") as server:
        server.wait()
        _prefect(server, "work-pool", "create", "slotfeed", "--type", "process")
        _prefect(server, "deploy", "--name", "feed", "--no-prompt")
        found = [(assets, under_prefect(Path(name), server, assets)) for assets in asked.assets]
    sitting.tell(prefect_table(found), write=asked.write)


def under_prefect(folder: Path, server: PrefectServer, assets: int) -> float:
    """Seconds that the third run took."""
    place = folder / f"{assets}"
    place.mkdir()
    site = Site(folder=place / "community", first=0, assets=assets)
    with open_exchange(place, assets) as (url, exchange):
        site.make(url, protocol="sdk", database="sqlite:///slotfeed.sqlite")
        live([site], exchange, ["plain", str(site.file)], last=lambda: _by_worker(server, site))
    hold(place / "exchange.sqlite", site)
    return _lasted_s(server)


def _by_worker(server: PrefectServer, site: Site) -> None:
    told = [f"community={site.file}", f"at={LAST.isoformat()}"]
    _prefect(server, "deployment", "run", "feed/feed", *(part for one in told for part in ("--param", one)))
    _prefect(server, "worker", "start", "--pool", "slotfeed", "--run-once")


def _lasted_s(server: PrefectServer) -> float:
    """Of the newest run, from the state in which the worker has taken it to the last."""
    with httpx.Client(base_url=server.url, timeout=30) as api:
        runs = api.post("/flow_runs/filter", json={"sort": "EXPECTED_START_TIME_DESC"}).raise_for_status().json()
        newest = max(runs, key=lambda one: one["created"])
        states = api.get("/flow_run_states/", params={"flow_run_id": newest["id"]}).raise_for_status().json()
    at = {one["type"]: datetime.fromisoformat(one["timestamp"]) for one in states}
    if "COMPLETED" not in at:
        raise RuntimeError(f"the run ended otherwise: {sorted(at)}")
    return (at["COMPLETED"] - at["PENDING"]).total_seconds()


def _prefect(server: PrefectServer, *arguments: str) -> None:
    own = {"PREFECT_API_URL": server.url, "PREFECT_HOME": str(server.log.parent), "DO_NOT_TRACK": "1"}
    secrets = {"SLOTFEED_EXCHANGE_USERNAME": USERNAME, "SLOTFEED_EXCHANGE_PASSWORD": PASSWORD}
    command: Sequence[str] = [sys.executable, "-m", "prefect", *arguments]
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "NO_COLOR": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | own | secrets | quiet, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


if __name__ == "__main__":
    main()
