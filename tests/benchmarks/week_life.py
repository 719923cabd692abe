"""Lives the week of `week.py`: moves the clock, commits the faults, kills and starts the feed, and checks each day."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select
from sqlmodel import col

from pipelines.sandbox.exchange.faults import Rule
from pipelines.sandbox.exchange.process import exchange_process
from pipelines.store import Store, SubmissionRow, open_store
from tests.benchmarks.week_check import check_day
from tests.benchmarks.week_place import (
    HISTORY,
    PASSWORD,
    SLOT,
    START,
    USERNAME,
    Likeness,
    Meters,
    community_of,
    energies,
    likenesses,
    registry,
)
from tests.benchmarks.week_process import Feed
from tests.benchmarks.week_records import Day, Slot
from tests.reliability.posts import Post, posts_in
from tests.reliability.world import AtSource

INTO_THE_SLOT = timedelta(minutes=2)
AFTER_A_KILL = timedelta(minutes=6)
"""Longer than a lease."""

DAY = 96
KILLED_EVERY, AWAY_FROM, AWAY = 48, 40, 4
"""Slots: between two kills; of the day when the exchange goes away; how many it is away."""

SETTLING = 2
"""Slots after which nothing of a slot is open."""

POSTS = "set"
"""Part of the path of what carries energy."""

MIX: tuple[dict[str, Any], ...] = (
    {"do": "lose_reply"},
    {"do": "truncate"},
    {"do": "status", "status": 503},
    {"do": "status", "status": 429, "retry_after": "1"},
    {"do": "reset"},
    {"do": "html"},
    {"do": "delay", "seconds": 2.0},
)
SHARE = 0.05
TOKENS_END = {"do": "expire_tokens", "times": 1}
"""Once a slot, after half of the posts: a 401 for all that are on their way."""


@dataclass(kw_only=True)
class Week:
    """So many assets, and their exchange."""

    folder: Path
    assets: int
    protocol: str
    seed: int
    _posts: list[Post] = field(default_factory=list)
    _faults: Counter[str] = field(default_factory=Counter)
    _read: int = 0

    def live(self, *, days: float, tell: Callable[[str], None]) -> Iterator[Day]:
        """Live so many days, one after the other."""
        self._dice = random.Random(self.seed)  # noqa: S311 - no secret
        self._count = count = round(days * DAY)
        wanted = likenesses(self.assets)
        tell(f"{self.assets:,} assets, {count} slots, protocol {self.protocol} …")
        self._truth = energies(wanted, START - HISTORY, START + (count + 3) * SLOT)
        self._meters = Meters(self.folder / "meters.sqlite", self._truth)
        with self._exchange(wanted) as url, httpx.Client(base_url=url, timeout=120) as self._http:
            self._community = community_of(wanted, url, self.protocol)
            (self.folder / "community.json").write_text(self._community.model_dump_json(by_alias=True))
            self._feed, self._store = Feed(self.folder), open_store(self._url)
            try:
                for first in range(0, count, DAY):
                    last = first + DAY
                    yield self._day(first, last if last < count else count + SETTLING, tell)
            finally:
                self._feed.close()
                self._store.close()

    @property
    def _url(self) -> str:
        return f"sqlite:///{self.folder / 'slotfeed.sqlite'}"

    @contextmanager
    def _exchange(self, wanted: list[Likeness]) -> Iterator[str]:
        outside = self.folder / "exchange"
        outside.mkdir()
        (outside / "registry.json").write_text(registry(wanted))
        self._ledger = outside / "ledger.sqlite"
        with exchange_process(
            outside / "registry.json",
            username=USERNAME,
            password=PASSWORD,
            clock_start=START,
            database=self._ledger,
        ) as url:
            yield url

    def _day(self, first: int, last: int, tell: Callable[[str], None]) -> Day:
        began = time.perf_counter()
        ran: list[Slot] = []
        away_before = False
        for number in range(first, last):
            of_day = number % DAY
            away = number < self._count and AWAY_FROM <= of_day < AWAY_FROM + AWAY
            self._commit_faults(number, away=away, usual=number < self._count)
            slot = self._slot(START + number * SLOT, kill=of_day % KILLED_EVERY == KILLED_EVERY // 2)
            slot.away, slot.after_outage, away_before = away, away_before and not away, away
            ran.append(slot)
        # What is sent in a slot is for the next, and applied when that begins.
        span = (START + max(0, first - SETTLING) * SLOT, START + (last - SETTLING) * SLOT)
        day = self._checked(span, ran, sum(slot.killed_at_s is not None for slot in ran))
        seconds = time.perf_counter() - began
        tell(f"until {span[1]:%A %H:%M}: {seconds:.0f} s, {len(day.violations)} violations")
        return day

    def _slot(self, start: datetime, *, kill: bool) -> Slot:
        at = start + INTO_THE_SLOT
        self._move(at)
        slot = Slot(start=start)
        if kill:
            # At whatever it does: reading, judging, converting, sending.
            slot.killed_at_s = self._dice.uniform(0.05, 0.8) * max(2.0, self.assets / 400)
            if self._feed.ask("feed", at, kill_after_s=slot.killed_at_s) is None:
                self._feed = Feed(self.folder)
                at += AFTER_A_KILL
                self._move(at)
            else:
                slot.killed_at_s = None
        answer = self._feed.ask("feed", at)
        assert answer is not None
        slot.seconds, slot.steps, slot.error = answer["seconds"], answer["steps"], answer["error"]
        slot.accepted_s = self._accepted(at, slot)
        self._listen()
        return slot

    def _accepted(self, at: datetime, slot: Slot) -> list[float]:
        """The exchange's clock stood at `at` when the run logged in, and has run on since in the feed."""
        before_s = sum(seconds for step, seconds in slot.steps.items() if step != "deliver")
        row = SubmissionRow
        wanted = select(col(row.accepted_at)).where(col(row.accepted_at) >= at, col(row.accepted_at) < at + SLOT)
        with self._store.reading() as connection:
            return [
                before_s + (accepted.replace(tzinfo=at.tzinfo) - at).total_seconds()
                for (accepted,) in connection.execute(wanted)
            ]

    def _checked(self, span: tuple[datetime, datetime], ran: list[Slot], kills: int) -> Day:
        """Reconcile, and look at the slots of [span), of which all is decided."""
        start, end = span
        self._commit_faults(0, away=False, usual=False)
        compared = self._feed.ask("reconcile", ran[-1].start + INTO_THE_SLOT)
        assert compared is not None
        if compared["error"]:
            raise RuntimeError(f"reconciliation failed: {compared['error']}")
        posts = [post for post in self._posts if post.slot_start is not None and start <= post.slot_start < end]
        violations = check_day(
            self._community,
            self._store,
            self._ledger,
            start=start,
            end=end,
            posts=posts,
            at_source=self._at_source(start, end),
            truth=self._truth_of(start, end),
            kills=kills,
        )
        # Of a slot whose body can't be read nothing is forgotten: it is a violation of every day.
        self._posts = [post for post in self._posts if post.slot_start is None or post.slot_start >= end]
        faults, self._faults = self._faults, Counter()
        return Day(
            slots=ran,
            posts=posts,
            faults=faults,
            kills=kills,
            violations=violations,
            states=_states(self._store, start, end),
            diagnoses=compared["summary"]["reconcile"]["by_diagnosis"],
        )

    def _at_source(self, start: datetime, end: datetime) -> list[AtSource]:
        registers = self._meters.read_between(start, end)
        return [AtSource(stream_id=f"meters/{uuid}/-", ts=ts, value=value_wh) for uuid, ts, value_wh in registers]

    def _truth_of(self, start: datetime, end: datetime) -> dict[tuple[str, datetime], float]:
        within = self._truth.filter(self._truth["slot_start"].is_between(start, end, closed="left"))
        return {(uuid, slot): energy_wh for uuid, slot, energy_wh in within.iter_rows()}

    def _move(self, at: datetime) -> None:
        self._meters.advance(at)
        self._http.put("/sandbox/clock", json={"now": at.isoformat()}).raise_for_status()

    def _commit_faults(self, number: int, *, away: bool, usual: bool) -> None:
        each = SHARE / len(MIX)
        # The first rule that strikes meets the request, so each is asked for the share that those before leave.
        rules: list[dict[str, Any]] = [
            {
                **one,
                "path": POSTS,
                "probability": each / (1 - turn * each),
                "seed": self.seed * 1000 + 10 * number + turn,
            }
            for turn, one in enumerate(MIX)
        ]
        rules.append({**TOKENS_END, "path": POSTS, "after": self.assets // 2})
        if away:
            rules = [{"do": "reset"}]
        elif not usual:
            rules = []
        for rule in rules:
            Rule.model_validate(rule)
        self._http.put("/sandbox/faults", json=rules).raise_for_status()

    def _listen(self) -> None:
        entries = self._http.get("/sandbox/journal", params={"after": self._read}).raise_for_status().json()
        if entries and entries[0]["seq"] != self._read + 1:
            raise RuntimeError("the exchange's journal has forgotten entries that weren't read yet")
        self._read = entries[-1]["seq"] if entries else self._read
        self._faults.update(entry["fault"] or "none" for entry in entries if POSTS in entry["path"])
        self._posts += posts_in(entries, slot_length=SLOT, lead=timedelta(0))


def _states(store: Store, start: datetime, end: datetime) -> Counter[str]:
    row = SubmissionRow
    wanted = (
        select(col(row.asset_id), col(row.slot_start), col(row.quantity), col(row.state))
        .where(col(row.slot_start) >= start, col(row.slot_start) < end)
        .order_by(col(row.version))
    )
    with store.reading() as connection:
        newest = {(a, s, q): f"{q}s {state}" for a, s, q, state in connection.execute(wanted)}
    return Counter(newest.values())
