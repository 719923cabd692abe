"""The tables of `week.py`."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

from tests.benchmarks.week_records import Day
from tests.reliability.posts import Post
from tests.reliability.tables import WRITING, hold_table
from tests.reliability.violations import Violation

WITHIN_S = 60.0
SHOWN = 20
Key = tuple[str, datetime | None, str, float | None]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What the week showed, in words."""

    rows: list[tuple[str, str]]
    violations: list[Violation]
    cores: int

    @classmethod
    def of(cls, days: Iterable[Day]) -> "Figures":
        """Live the days, and count."""
        lived = list(days)
        rows = [*_what(lived), *_arrival(lived), *_recovery(lived), *_repeats(lived), *_end(lived)]
        return cls(rows=rows, violations=[one for day in lived for one in day.violations], cores=os.cpu_count() or 0)


def show(console: Console, figures: Figures) -> None:
    """Print them, and the first violations."""
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, show_header=False)
    for row in figures.rows:
        table.add_row(*row)
    console.print(table)
    for one in figures.violations[:SHOWN]:
        console.print(str(one))
    console.print(f"{figures.cores} cores, the exchange on one of them as a rule.")


def write(figures: Figures) -> None:
    """Put them into docs/reliability.md."""
    os.environ[WRITING] = "1"
    hold_table("week", ("", ""), figures.rows)


def _what(days: list[Day]) -> list[tuple[str, str]]:
    slots = [slot for day in days for slot in day.slots]
    faults = sum((day.faults for day in days), Counter[str]())
    requests, met = faults.total(), faults.total() - faults["none"]
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in faults.most_common() if kind != "none")
    kills = sum(day.kills for day in days)
    failed = Counter(slot.error for slot in slots if slot.error and not slot.away)
    return [
        (
            "runs of the feed",
            f"{len(slots):,} slots, {kills} kills, {sum(s.away for s in slots)} with the exchange away",
        ),
        ("runs that failed besides", "; ".join(f"{words} ({n})" for words, n in failed.items()) or "none"),
        ("requests with energy", f"{requests:,}; {met:,} met a fault ({met / max(requests, 1):.1%}): {kinds}"),
        ("run, seconds", _spread([slot.seconds for slot in slots])),
    ]


def _arrival(days: list[Day]) -> list[tuple[str, str]]:
    slots = [slot for day in days for slot in day.slots]
    accepted = [seconds for slot in slots for seconds in slot.accepted_s]
    in_time = sum(seconds <= WITHIN_S for seconds in accepted)
    share = f"{in_time:,} of {len(accepted):,} accepted ({in_time / max(len(accepted), 1):.3%})"
    return [
        ("accepted within 60 s of the run's start", share),
        ("from the run's start to acceptance, seconds", _spread(accepted)),
    ]


def _recovery(days: list[Day]) -> list[tuple[str, str]]:
    after = [slot for day in days for slot in day.slots if slot.after_outage]
    until = [f"{max(slot.accepted_s):.1f} s, {len(slot.accepted_s):,} values" for slot in after if slot.accepted_s]
    killed = [f"{slot.seconds:.1f}" for day in days for slot in day.slots if slot.killed_at_s is not None]
    return [
        ("first run after an outage: all that was due accepted after", "; ".join(until) or "no outage"),
        ("run after a kill, seconds (libraries loaded anew)", ", ".join(killed) or "no kill"),
    ]


def _repeats(days: list[Day]) -> list[tuple[str, str]]:
    after_lost = after_kill = 0
    for day in days:
        told: dict[Key, list[Post]] = defaultdict(list)
        for post in day.posts:
            if post.taken:
                told[post.asset, post.slot_start, post.quantity, post.energy_wh].append(post)
        killed_in = {slot.start for slot in day.slots if slot.killed_at_s is not None}
        for posts in told.values():
            lost = sum(post.reply_lost for post in posts)
            again = len(posts) - 1
            after_lost += min(again, lost)
            after_kill += max(0, again - lost) if any(_in(post.at, killed_in) for post in posts) else 0
    return [("posts that were taken again", f"{after_lost:,} after a lost reply, {after_kill:,} after a kill")]


def _in(at: datetime, slots: set[datetime]) -> bool:
    return any(start <= at < start + timedelta(minutes=15) for start in slots)


def _end(days: list[Day]) -> list[tuple[str, str]]:
    states = sum((day.states for day in days), Counter[str]())
    diagnoses = sum((Counter(day.diagnoses) for day in days), Counter[str]())
    broken = Counter(int(one.invariant) for day in days for one in day.violations)
    return [
        ("what became of them", ", ".join(f"{state} {count:,}" for state, count in sorted(states.items()))),
        ("listed by reconciliation", ", ".join(f"{name} {n:,}" for name, n in diagnoses.most_common()) or "nothing"),
        ("breaches of invariants", ", ".join(f"({n}) {count:,}" for n, count in sorted(broken.items())) or "none"),
    ]


def _spread(values: list[float]) -> str:
    if not values:
        return "none"
    ordered = sorted(values)
    late = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return f"median {median(ordered):.2f}, 99 % {late:.2f}, longest {ordered[-1]:.2f}"
