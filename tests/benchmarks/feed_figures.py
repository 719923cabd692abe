"""The tables of `feed.py`: what was measured beside what is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.feed_page import table

GOALS_S = {1_000: 15.0, 10_000: 60.0}
"""Assets -> seconds that one run of two cores may take. Ours."""

GOAL_MIB = 1024.0
GOAL_FIXED_S = 8.0
GOAL_FLEET_S = 120.0
STAGES = ("collect", "validate", "convert", "deliver")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run of one community."""

    assets: int
    kind: str
    """Of its store."""

    told: dict[str, Any]
    """What the run's process told."""

    exchange_cpu_s: float


def goals_table(found: Sequence[Measured]) -> str:
    """The whole run, from the start of its process to its end."""
    rows = []
    for one in found:
        wall_s, peak_mib, cpu_s = one.told["wall_s"], one.told["peak_mib"], one.told["cpu_s"]
        goal_s = GOALS_S.get(one.assets)
        row = [
            f"{one.assets:,}, {one.kind}",
            f"{wall_s:.1f} s",
            f"{goal_s:.0f} s" if goal_s else "",
            met(wall_s, goal_s),
        ]
        row += [f"{peak_mib:.0f} MiB", f"{GOAL_MIB:.0f} MiB", met(peak_mib, GOAL_MIB)]
        rows.append([*row, f"{cpu_s:.1f} s", f"{one.exchange_cpu_s:.1f} s", f"{1000 * cpu_s / one.assets:.1f} ms"])
    heads = ("assets, store", "run", "goal", "", "peak", "goal", "", "CPU", "exchange's CPU", "CPU an asset")
    return table(heads, rows)


def stages_table(found: Sequence[Measured]) -> str:
    """Where the run's time goes."""
    rows = []
    for one in found:
        stages_s = [one.told["stages_s"][name] for name in STAGES]
        rest_s = one.told["wall_s"] - one.told["imports_s"] - sum(stages_s)
        times_s = [one.told["imports_s"], *stages_s, rest_s]
        rows.append([f"{one.assets:,}, {one.kind}", *(f"{seconds:.1f} s" for seconds in times_s)])
    told = "`validate` begins with importing Great Expectations; the rest is the file, the log and the process's end."
    return f"Stages:\n\n{table(('assets, store', 'imports', *STAGES, 'rest'), rows)}\n\n{told}"


def fleet_table(told: dict[str, Any], *, communities: int, each: int) -> str:
    """A fleet's run."""
    wall_s = told["wall_s"]
    row = [f"{communities:,} of {each}", f"{wall_s:.1f} s", f"{GOAL_FLEET_S:.0f} s", met(wall_s, GOAL_FLEET_S)]
    row += [f"{told['peak_mib']:.0f} MiB", f"{told['cpu_s']:.1f} s", f"{1000 * told['cpu_s'] / communities:.0f} ms"]
    return f"A fleet:\n\n{table(('communities', 'run', 'goal', '', 'peak', 'CPU', 'CPU a community'), [row])}"


def met(figure: float, goal: float | None) -> str:
    """In words."""
    if goal is None:
        return ""
    return "met" if figure <= goal else "**not met**"
