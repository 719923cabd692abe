"""Measures posting and prints the tables of `posting.py`."""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from posting_bare import bodies, message, send_all
from posting_deliver import AGGREGATOR, Posted, community_of, post_slot
from posting_exchange import SIMULATION, SLOT, Exchange, open_exchange_of
from posting_peer import post_in_turn
from posting_sandbox import ASSETS, CONNECTIONS, POSTS, Taken, measure
from rich import box
from rich.console import Console
from rich.table import Table

SIZES = (200, 10_000)
DELAYS_S = (0.0, 0.1)
PROTOCOLS = ("batch", "sdk", "rest")

CONCURRENCY = {0.0: 20, 0.1: 200}
"""Posts at a time, by delay: 200 is the most that a community file may ask for; an exchange next door needs fewer."""

PEER_FIRST = {0.0: 200, 0.1: 100}
"""Assets that the sequential peer posts for, by delay."""

GOALS = {("batch", 0.0): 100, ("batch", 0.1): 100}
GOALS |= {(protocol, delay): goal for protocol in ("sdk", "rest") for delay, goal in ((0.0, 10), (0.1, 100))}
"""Times the sequential peer, by the asset. Ours."""

SANDBOX_GOAL = 3000
"""Posts a second and core. Ours."""

WIDTH = 118
STYLE: dict[str, Any] = {"box": box.SIMPLE, "padding": (0, 1, 0, 0), "pad_edge": False}
PEER, FLOOR = "in turn", "bare sockets"

TICK_S = 1.0
"""Of an engine that answers by ticks; GSy's has 15 s, which would make the peer's row take minutes."""

BY_TICKS, PEER_BY_TICKS = 200, 10
"""Assets, and those that the sequential peer posts for."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One way of posting, measured."""

    way: str
    size: int
    delay_s: float
    tick_s: float = 0.0
    posted: Posted
    requests: int
    logins: int
    read_back: int = 0

    @property
    def ms(self) -> float:
        """Per asset."""
        return 1000 * self.posted.seconds / self.posted.assets


def measure_size(exchange: Exchange, folder: Path, tell: Callable[[str], None]) -> Iterator[Run]:
    """Every way, once."""
    size = len(exchange.assets)
    _select(exchange)
    exchange.noted()
    values = ([50 + 10 * case + number / 1000 for number in range(size)] for case in range(1000))

    def run(way: str, delay_s: float, post: Callable[[datetime, Sequence[float]], Posted]) -> Run:
        tell(f"{size:,} assets, {1000 * delay_s:.0f} ms, {way} …")
        slot, energy_wh = exchange.next_slot(), next(values)
        posted = post(slot, energy_wh)
        requests, logins = exchange.noted()
        exchange.begin(slot)
        read = exchange.check(slot, energy_wh, first=posted.assets)
        return Run(way=way, size=size, delay_s=delay_s, posted=posted, requests=requests, logins=logins, read_back=read)

    for delay_s in DELAYS_S:
        exchange.delay(delay_s)
        first, many = min(PEER_FIRST[delay_s], size), CONCURRENCY[delay_s]
        yield run(PEER, delay_s, lambda slot, wh, first=first: post_in_turn(exchange, slot, wh, first=first))  # type: ignore[misc]
        for protocol in PROTOCOLS:
            community = community_of(exchange.url, exchange.assets, protocol, many)
            yield run(
                protocol,
                delay_s,
                lambda slot, wh, community=community: asyncio.run(post_slot(community, slot, wh, folder)),  # type: ignore[misc]
            )
        if not delay_s:
            yield run(FLOOR, delay_s, lambda slot, wh, many=many: _bare(exchange, slot, wh, many))  # type: ignore[misc]


def measure_by_ticks(exchange: Exchange, folder: Path, tell: Callable[[str], None]) -> Iterator[Run]:
    """The ways that name the slot, before an engine that answers at its next tick, by this machine's clock.

    The slot lies two ahead, so that none of it is over before it was posted; it isn't waited for, nor read back.
    """
    _select(exchange)
    exchange.noted()
    size, energy_wh = len(exchange.assets), [100.0] * len(exchange.assets)

    def run(way: str, post: Callable[[datetime], Posted]) -> Run:
        tell(f"{size:,} assets, by ticks of {TICK_S:g} s, {way} …")
        posted = post(exchange.next_slot() + SLOT)
        requests, logins = exchange.noted()
        return Run(way=way, size=size, delay_s=0.0, tick_s=TICK_S, posted=posted, requests=requests, logins=logins)

    yield run(PEER, lambda slot: post_in_turn(exchange, slot, energy_wh, first=PEER_BY_TICKS))
    for protocol in ("batch", "sdk"):
        community = community_of(exchange.url, exchange.assets, protocol, CONCURRENCY[0.0])
        yield run(protocol, lambda slot, found=community: asyncio.run(post_slot(found, slot, energy_wh, folder)))  # type: ignore[misc]


def _bare(exchange: Exchange, slot: datetime, energy_wh: Sequence[float], connections: int) -> Posted:
    return asyncio.run(send_all(exchange.url, bodies(exchange, "sdk", slot, energy_wh), connections=connections))


def _select(exchange: Exchange) -> None:
    """Let every asset select one aggregator."""
    api, token = f"/external-connection/aggregator-api/{SIMULATION}", exchange.token()
    asyncio.run(
        send_all(
            exchange.url,
            [message(token, f"{api}/create-aggregator/", json.dumps({"name": AGGREGATOR}).encode())],
            connections=1,
        )
    )
    aggregator = exchange.aggregators()[AGGREGATOR]
    asked = [
        {"aggregator_uuid": aggregator, "device_uuid": asset, "transaction_id": str(uuid4())}
        for asset in exchange.assets
    ]
    messages = [message(token, f"{api}/select-aggregator/", json.dumps(one).encode()) for one in asked]
    asyncio.run(send_all(exchange.url, messages, connections=20))


def _posting_table(runs: Sequence[Run]) -> Table:
    table = Table(title="Posting one slot, from the outbox until every outcome is written", **STYLE)
    for head in ("assets", "delay"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for head in ("at a\ntime", "requests", "logins", "before", "posting"):
        table.add_column(head, justify="right", no_wrap=True)
    for head in ("ms an\nasset", "CPU\nms", "times\npeer"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("goal", no_wrap=True)
    for run in runs:
        if run.way == PEER:
            table.add_section()
        posted, ratio = run.posted, _ratio(run, runs)
        goal = None if run.tick_s else GOALS.get((run.way, run.delay_s))
        before = "" if posted.before_s is None else f"{posted.before_s:.2f} s"
        only = f", first {posted.assets}" if posted.assets < run.size else ""
        table.add_row(
            f"{run.size:,}",
            f"tick {run.tick_s:g} s" if run.tick_s else f"{1000 * run.delay_s:.0f} ms",
            run.way + only,
            "1" if run.way == PEER else str(CONCURRENCY[run.delay_s]),
            f"{run.requests:,}",
            str(run.logins),
            before,
            f"{posted.seconds:.2f} s",
            f"{run.ms:.3f}",
            f"{1000 * posted.cpu_s / posted.assets:.3f}",
            f"{ratio:.0f}",
            "" if goal is None else f"{goal}: {_verdict(ratio >= goal)}",
        )
    return table


def _ratio(run: Run, runs: Sequence[Run]) -> float:
    before = (PEER, run.size, run.delay_s, run.tick_s)
    peer = next(one for one in runs if (one.way, one.size, one.delay_s, one.tick_s) == before)
    return peer.ms / run.ms


def _verdict(met: object) -> str:
    return "met" if met else "NOT met"


def _sandbox_table(taken: Sequence[Taken], *, apart: bool) -> Table:
    where = (
        "on one core, the client on another" if apart else "on whatever core was free: cores can't be told apart here"
    )
    title = f"The sandbox's exchange {where}: {POSTS:,} posts, {CONNECTIONS} connections, {ASSETS} assets"
    table = Table(title=title, min_width=len(title), **STYLE)
    table.add_column("", no_wrap=True)
    table.add_column("posts/s", justify="right", no_wrap=True)
    table.add_column("goal", no_wrap=True)
    for one in taken:
        verdict = _verdict(one.per_second >= SANDBOX_GOAL)
        table.add_row(one.protocol, f"{one.per_second:,.0f}", f"{SANDBOX_GOAL:,}: {verdict}")
    return table


def main() -> None:
    """Measure and print."""
    began, console = time.perf_counter(), Console()
    console.width = max(console.width, WIDTH)
    runs: list[Run] = []

    def tell(step: str) -> None:
        console.print(step, style="dim")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in SIZES:
            (folder / str(size)).mkdir()
            with open_exchange_of(size, folder) as exchange:
                runs += measure_size(exchange, folder / str(size), tell)
        (folder / "ticks").mkdir()
        with open_exchange_of(BY_TICKS, folder, tick_s=TICK_S) as exchange:
            runs += measure_by_ticks(exchange, folder / "ticks", tell)
        tell("The sandbox by itself …")
        taken, apart = measure(folder)
    console.print(_posting_table(runs))
    ours = [run for run in runs if run.way in PROTOCOLS]
    console.print(f"Read back right, of all assets or evenly spread: {sum(run.read_back for run in runs):,} energies.")
    looks = ", ".join(f"{run.posted.at_once} of {run.posted.assets}" for run in runs if run.way == PEER)
    console.print(f"Answers that the peer found at its first look, without a wait of 10 ms: {looks}.")
    console.print(f"One login a run: {_verdict(all(run.logins == 1 for run in ours))}.")
    console.print(
        "The peer's websockets were opened before its clock started. Ratios are by the asset; where the peer posted "
        "for the first assets only, its row says so. At 0 and 100 ms the engine answers at once, which GSy's never "
        "does: its answers come at the next tick, as in the last rows."
    )
    console.print(_sandbox_table(taken, apart=apart))
    console.print(f"{os.cpu_count()} cores, {time.perf_counter() - began:.0f} s in all.")
