"""Geometry of the web page's drawings: energies of a day, as SVG."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 960.0, 160.0
"""Of the bar chart's view box; the page stretches it."""

MOST_POINTS = 96
"""Of a sparkline: quarter hours of a day; ours."""

LINE_HEIGHT = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


def sparkline(values: Sequence[float]) -> str:
    """Outline of a filled step curve, `d` of an SVG path: one unit a point wide, `LINE_HEIGHT` high; empty for none.

    Slots shorter than a quarter hour are summed up, so that a page of them stays small.
    """
    step = max(1, -(-len(values) // MOST_POINTS))
    points = [_finite(sum(values[at : at + step])) for at in range(0, len(values), step)]
    top = max(points, default=0.0)
    if top <= 0:
        return ""
    lines = [f"V{LINE_HEIGHT * (1 - point / top):.4g}h1" for point in points]
    return f"M0 {LINE_HEIGHT}{''.join(lines)}V{LINE_HEIGHT}z"


def bars(values: Sequence[float]) -> list[Bar]:
    """A bar for each value, none of them negative; the highest fills the chart."""
    top = max(values, default=0.0)
    width = WIDTH / max(1, len(values))
    found = []
    for place, value in enumerate(values):
        height = HEIGHT * (value / top) if top > 0 else 0.0
        found.append(Bar(x=place * width, y=HEIGHT - height, width=width, height=height))
    return found


def _finite(value: float) -> float:
    return min(value, sys.float_info.max)
