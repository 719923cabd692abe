"""The tables of `feed.py`: what was measured beside what is asked for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.benchmarks.feed_place import OVERLAP_MINUTES
from tests.benchmarks.page import table

GOALS_S = {1_000: 15.0, 10_000: 60.0}
"""Assets -> seconds that one run of two cores may take. Ours."""

GOAL_MIB = 1024.0
FEW = 10
"""Assets that cost hardly anything beside the run itself."""

GOAL_FIXED_S = 8.0
GOAL_FLEET_S = 120.0
GOAL_SHARES_S = 780.0
"""Of a slot's 15 minutes a feed has thirteen, for it runs two minutes into it."""

YEAR, GOAL_GROWTH = 350_000_000, 0.2
"""Slots of 10,000 assets in a year, and how much longer the live slot may last beside them."""

STAGES = ("collect", "validate", "convert", "deliver")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run of one community."""

    assets: int
    kind: str
    """Of its store."""

    protocol: str
    told: dict[str, Any]
    """What the run's process told."""

    reconciled: dict[str, Any]
    """What the process of the reconciliation after it told."""

    exchange_cpu_s: float

    @property
    def name(self) -> str:
        """In the tables' first column."""
        return f"{self.assets:,}, {self.kind}, {self.protocol}"


def goals_table(found: Sequence[Measured]) -> str:
    """The whole run, from the start of its process to its end."""
    rows = []
    for one in found:
        wall_s, peak_mib, cpu_s = one.told["wall_s"], one.told["peak_mib"], one.told["cpu_s"]
        goal_s = GOALS_S.get(one.assets)
        row = [
            one.name,
            f"{wall_s:.1f} s",
            f"{goal_s:.0f} s" if goal_s else "",
            met(wall_s, goal_s),
        ]
        row += [f"{peak_mib:.0f} MiB", f"{GOAL_MIB:.0f} MiB", met(peak_mib, GOAL_MIB)]
        rows.append([*row, f"{cpu_s:.1f} s", f"{one.exchange_cpu_s:.1f} s", f"{1000 * cpu_s / one.assets:.1f} ms"])
    heads = ("assets, store, protocol", "run", "goal", "", "peak", "goal", "", "CPU", "exchange's CPU", "CPU an asset")
    return table(heads, rows)


def stages_table(found: Sequence[Measured]) -> str:
    """Where the run's time goes."""
    rows = []
    for one in found:
        stages_s = [one.told["stages_s"][name] for name in STAGES]
        rest_s = one.told["wall_s"] - one.told["imports_s"] - sum(stages_s)
        times_s = [one.told["imports_s"], *stages_s, rest_s]
        reconciled = [f"{one.reconciled['stages_s']['reconcile']:.1f} s", f"{one.reconciled['wall_s']:.1f} s"]
        rows.append([one.name, *(f"{seconds:.1f} s" for seconds in times_s), *reconciled])
    told = (
        "`validate` begins with importing Great Expectations; the rest is the file, the log and the process's end. "
        "`reconcile` is a run of its own, once an hour: its stage, and all of its process. The meter database is read "
        f"with `overlap: {OVERLAP_MINUTES}`: by default each run reads six hours again, 360 rows of a one-minute meter."
    )
    heads = ("assets, store, protocol", "imports", *STAGES, "rest", "reconcile", "its run")
    return f"Stages:\n\n{table(heads, rows)}\n\n{told}"


def growth_table(found: Sequence[Measured]) -> str:
    """What more assets cost: linear or better where CPU an asset more doesn't rise."""
    small = sorted((one for one in found if (one.kind, one.protocol) == ("sqlite", "sdk")), key=lambda one: one.assets)
    rows = []
    for before, one in pairwise(small):
        more = one.assets - before.assets
        cpu_ms = 1000 * (one.told["cpu_s"] - before.told["cpu_s"]) / more
        mib = 1000 * (one.told["peak_mib"] - before.told["peak_mib"]) / more
        rows.append([f"{before.assets:,} to {one.assets:,}", f"{cpu_ms:.2f} ms", f"{mib:.0f} KB"])
    heads = ("assets, SQLite, sdk", "CPU for each more", "memory for each more")
    return f"Growth:\n\n{table(heads, rows)}"


def fleet_table(told: dict[str, Any], *, communities: int, each: int) -> str:
    """A fleet's run."""
    wall_s = told["wall_s"]
    row = [f"{communities:,} of {each}", f"{wall_s:.1f} s", f"{GOAL_FLEET_S:.0f} s", met(wall_s, GOAL_FLEET_S)]
    row += [f"{told['peak_mib']:.0f} MiB", f"{told['cpu_s']:.1f} s", f"{1000 * told['cpu_s'] / communities:.0f} ms"]
    return table(("communities of assets", "run", "goal", "", "peak", "CPU", "CPU a community"), [row])


def shares_table(told: Sequence[dict[str, Any]], *, assets: int, exchange_cpu_s: float) -> str:
    """Workers side by side."""
    rows = []
    for number, one in enumerate(told, start=1):
        stages = [f"{one['stages_s'][name]:.0f} s" for name in STAGES]
        row = [f"{number}/{len(told)}", f"{one['wall_s']:.0f} s", f"{GOAL_SHARES_S:.0f} s"]
        row += [met(one["wall_s"], GOAL_SHARES_S), f"{one['peak_mib']:.0f} MiB", f"{one['cpu_s']:.0f} s", *stages]
        rows.append(row)
    heads = ("share", "run", "goal", "", "peak", "CPU", *STAGES)
    words = f"{assets:,} assets. The exchange's own CPU time in it: {exchange_cpu_s:.0f} s."
    return f"{words}\n\n{table(heads, rows)}"


def prefect_table(found: Sequence[tuple[int, float]]) -> str:
    """Runs under a worker: assets, and the seconds a run took."""
    rows = []
    for assets, wall_s in found:
        goal_s = GOAL_FIXED_S if assets <= FEW else GOALS_S.get(assets)
        rows.append([f"{assets:,}", f"{wall_s:.1f} s", f"{goal_s:.0f} s" if goal_s else "", met(wall_s, goal_s)])
    return table(("assets, SQLite, sdk", "run", "goal", ""), rows)


def years_table(kind: str, found: Sequence[dict[str, Any]]) -> str:
    """The live slot beside ever more stored slots, and beside a year's of 10,000 assets if it goes on so."""
    first = (found[0]["slots"], sum(found[0]["stages_s"].values()))
    rows = []
    for one in found:
        whole_s = sum(one["stages_s"].values())
        stages = [f"{one['stages_s'][name]:.2f} s" for name in STAGES]
        rows.append([f"{one['slots']:,}", *stages, f"{whole_s:.2f} s", f"{whole_s / first[1] - 1:+.0%}"])
    last = (found[-1]["slots"], sum(found[-1]["stages_s"].values()))
    year_s = by_logarithm(first, last, YEAR)
    grown = year_s / first[1] - 1
    row = [f"{YEAR:,} (by the logarithm)", *[""] * len(STAGES), f"{year_s:.2f} s", f"{grown:+.0%}"]
    words = f"Goal: at most {GOAL_GROWTH:.0%} more at {YEAR:,} slots: {met(grown, GOAL_GROWTH)}."
    return f"{kind}:\n\n{table(('slots stored', *STAGES, 'live slot', ''), [*rows, row])}\n\n{words}"


def by_logarithm(first: tuple[int, float], last: tuple[int, float], slots: int) -> float:
    """Seconds at so many slots, if time goes on growing with their logarithm, as the depth of indexes does.

    Args:
        first: slots and seconds of the smallest store.
        last: those of the largest.
        slots: asked for.
    """
    # What became faster by chance won't go on doing so.
    slope = max(0.0, last[1] - first[1]) / math.log(last[0] / first[0])
    return last[1] + slope * math.log(slots / last[0])


def met(figure: float, goal: float | None) -> str:
    """In words."""
    if goal is None:
        return ""
    return "met" if figure <= goal else "**not met**"
