"""Measures every vendor and prints the tables of `clouds.py`."""

import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

from accounts import CLOCK_START, REFILL, SECRET, USERNAME, Account, Meter
from parsing import REPEATS, Parsed, parse_all
from processes import in_own_process
from reading import Fetched, Stored, fetch, fill_store
from rich import box
from rich.console import Console
from rich.table import Table
from waits import Sandbox

from pipelines.sandbox.clouds.app import vendors
from pipelines.sandbox.clouds.demo import grown_fleet
from pipelines.sandbox.clouds.process import clouds_process

DEVICES = 1000
GOAL = 300_000
"""Points per second and core. Ours."""

WIDTH = 118
STYLE: dict[str, Any] = {"box": box.SIMPLE, "padding": (0, 1, 0, 0), "pad_edge": False}

REGISTERS = {"inexogy": "import", "solaredge": "production", "victron_vrm": "consumption", "home_assistant": "energy"}
"""What is read of each device; of FusionSolar's, the first that the device has."""

ORDER = ("home_assistant", "inexogy", "solaredge", "victron_vrm", "fusionsolar")
"""Home Assistant comes first: it forgets five minutes after ten days, and the others' limits take months to refill."""


def read(account: Account, folder: Path) -> tuple[Fetched, Stored]:
    """A vendor's day, twice."""
    sandbox = Sandbox(account.url)
    folder.mkdir()
    _refill(sandbox, account)
    fetched = fetch(account, folder)
    _refill(sandbox, account)
    stored = in_own_process(fill_store, account)
    if stored.readings != fetched.readings:
        raise RuntimeError(
            f"{account.vendor}: {fetched.readings} readings without the store, {stored.readings} with it"
        )
    return fetched, stored


def _refill(sandbox: Sandbox, account: Account) -> None:
    if account.vendor != "home_assistant":
        sandbox.move(sandbox.now() + REFILL)


def _reading_table(found: dict[Account, tuple[Fetched, Stored]]) -> Table:
    heads = ("devices,\nwindows", "readings", "requests", "fewest\npossible", "ratio", "waited\n(simul.)")
    times = ("fetch +\nnormalise", "with\nstore", "devices\nper s", "peak\nMiB")
    table = Table(
        title="Reading 2016-10-29, a day in Berlin, by the quarter hour or finer",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    for head in (*heads, *times):
        table.add_column(head, justify="right", no_wrap=True)
    for account, (fetched, stored) in found.items():
        fewest = account.fewest_requests()
        table.add_row(
            account.api.title,
            f"{account.devices:,}, {fetched.windows}",
            f"{stored.readings:,}",
            f"{stored.requests:,}",
            f"{fewest:,}",
            f"{stored.requests / fewest:.2f}",
            f"{stored.waited.total_seconds() / 60:.0f} min",
            f"{fetched.seconds:.1f} s",
            f"{stored.seconds:.1f} s",
            f"{account.devices / stored.seconds:.0f}",
            f"{stored.peak_mib:.0f}",
        )
    return table


def _parsing_table(found: dict[Account, Parsed]) -> Table:
    table = Table(
        title=f"Parsing: CPU time, one core, one polars thread, {REPEATS} times",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    for head in ("JSON", "points", "median", "minimum", "points/s\nmedian", "points/s\nbest", "plain loop\nmedian"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("times the\nloop's", justify="right", no_wrap=True)
    table.add_column("goal", no_wrap=True)
    for account, parsed in found.items():
        table.add_row(
            account.api.title,
            f"{parsed.size / 1e6:.1f} MB",
            f"{parsed.points:,}",
            f"{median(parsed.seconds):.3f} s",
            f"{min(parsed.seconds):.3f} s",
            f"{parsed.rate:,.0f}",
            f"{parsed.best_rate:,.0f}",
            f"{median(parsed.peer_seconds):.3f} s",
            f"{parsed.ratio:.1f}",
            "met" if parsed.rate >= GOAL else "NOT met",
        )
    return table


def accounts(url: str, devices: int) -> list[Account]:
    """One at each vendor of the sandbox, with so many devices."""
    fleet, served = grown_fleet(devices), vendors()
    return [
        Account(
            vendor=vendor,
            url=url,
            prefix=served[vendor].PREFIX,
            meters=tuple(
                Meter(
                    device=unit.device,
                    name=unit.name,
                    kind=unit.kind,
                    site=unit.site,
                    rated_power_kw=unit.rated_power_kw,
                    register=REGISTERS.get(vendor, next(iter(unit.energy_wh))),
                )
                for unit in fleet.of(vendor)
            ),
        )
        for vendor in ORDER
    ]


def main() -> None:
    """Measure and print."""
    began, console = time.perf_counter(), Console()
    console.width = max(console.width, WIDTH)
    days = {}
    with (
        tempfile.TemporaryDirectory() as name,
        clouds_process(
            username=USERNAME, secret=SECRET, clock_start=CLOCK_START, fleet="grown", devices=DEVICES
        ) as url,
    ):
        for account in accounts(url, DEVICES):
            console.print(f"{account.api.title} …", style="dim")
            days[account] = read(account, Path(name) / account.vendor)
        console.print("Parsing …", style="dim")
        with mock.patch.dict(os.environ, POLARS_MAX_THREADS="1"):
            tapes = {account: fetched.tape for account, (fetched, _) in days.items()}
            parsed = in_own_process(parse_all, tapes)
    console.print(_reading_table(days))
    raised = [f"{account.api.title} {limits}" for account in days if (limits := account.limits())]
    console.print(f"Limits raised above the free plans: {', '.join(raised) or 'none'}.")
    console.print(_parsing_table(parsed))
    console.print(f"{os.cpu_count()} cores, {time.perf_counter() - began:.0f} s in all.")


if __name__ == "__main__":
    main()
