"""Which readings a register reading is compared with: the usable ones next to it in time.

A register is judged in sequence, because a bad reading must not condemn the good ones around it: 100, 5 000 000, 101
has one bad reading, not two. So "the reading before" is the last one that itself stands.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import NamedTuple

import polars as pl

from expectations.limits import SHORTEST_S

STORED = -1
"""Row number of a reading that is usable already and isn't judged again."""

NEIGHBOURS = pl.Schema(
    {
        "row": pl.Int64(),
        "register_before_wh": pl.Float64(),
        "register_after_wh": pl.Float64(),
        "implied_power_w": pl.Float64(),
    }
)
"""What `neighbours` finds for a row: the registers next to it in time, and the greater of the mean powers between."""


class Point(NamedTuple):
    """A register reading."""

    at_s: float
    wh: float
    step_wh: float
    """The register's resolution as far as this value tells."""

    row: int
    limit_w: float
    two_way: bool
    """The register may fall: it counts both directions."""


class Finding(NamedTuple):
    """What a reading is judged by."""

    before_wh: float | None
    after_wh: float | None
    power_w: float | None


@dataclass(slots=True)
class Stamp:
    """All readings of one stream and instant."""

    fresh: list[Point]
    """To be judged, newest first; the next one is tried where the newest fails."""

    stored: Point | None
    """Usable already; stands unless a fresh one does."""


def neighbours(registers: pl.DataFrame) -> pl.DataFrame:
    """Find what each register reading is to be compared with.

    Args:
        registers: `stream_id`, `at_s` (seconds), `wh` (rising when energy flows forward), `step_wh`, `row`
            (`STORED` for usable readings of the store), `limit_w`, `two_way`; sorted by stream, instant and, within
            one instant, newest first with the stored one last.

    Returns:
        A frame of `NEIGHBOURS`, one row per reading that was compared. Left out are older revisions of a stamp
        whose newer one stands: they are superseded whatever they say.
    """
    found: dict[int, Finding] = {}
    points = map(Point, *(registers[name].to_list() for name in Point._fields))
    for _, same_stream in groupby(zip(registers["stream_id"], points, strict=True), key=itemgetter(0)):
        found.update(_follow(_stamps(point for _, point in same_stream)))
    return pl.DataFrame([(row, *finding) for row, finding in found.items()], schema=NEIGHBOURS, orient="row")


def _stamps(points: Iterable[Point]) -> list[Stamp]:
    stamps = []
    for _, same_instant in groupby(points, key=attrgetter("at_s")):
        *fresh, last = same_instant
        stamps.append(Stamp(fresh, last) if last.row == STORED else Stamp([*fresh, last], None))
    return stamps


def _follow(stamps: Sequence[Stamp]) -> dict[int, Finding]:
    """Walk along one register.

    A correction is first believed: the stored reading it would replace doesn't bind the ones before it. Where
    the correction then fails, it is given up, the stored reading binds again, and the walk is repeated.
    """
    found: dict[int, Finding] = {}
    given_up: set[int] = set()
    while True:
        failed: set[int] = set()
        standing: Point | None = None
        for stamp, binding in zip(stamps, _binding(stamps, given_up), strict=True):
            tried = [point for point in stamp.fresh if point.row not in given_up]
            chosen = stamp.stored
            for point in tried:
                found[point.row], stands = _compare(standing, point, binding)
                if stands:
                    chosen = point
                    break
            if tried and chosen is stamp.stored is not None:
                failed.update(point.row for point in tried)
            standing = chosen or standing
        if not failed:
            return found
        given_up |= failed


def _binding(stamps: Sequence[Stamp], given_up: set[int]) -> list[Point | None]:
    """For each stamp the next stored reading after it that no correction is about to replace."""
    following: list[Point | None] = []
    nearest: Point | None = None
    for stamp in reversed(stamps):
        following.append(nearest)
        if stamp.stored and all(point.row in given_up for point in stamp.fresh):
            nearest = stamp.stored
    following.reverse()
    return following


def _compare(before: Point | None, point: Point, after: Point | None) -> tuple[Finding, bool]:
    """Find what a point is judged by, and whether it stands between the two."""
    powers_w = []
    stands = True
    if before:
        powers_w.append(_power_w(before, point))
        stands = point.two_way or before.wh <= point.wh
    if after:
        powers_w.append(_power_w(point, after))
        stands = stands and (point.two_way or point.wh <= after.wh)
    power_w = max(powers_w, default=None)
    stands = stands and (power_w is None or power_w <= point.limit_w)
    return Finding(before and before.wh, after and after.wh, power_w), stands


def _power_w(earlier: Point, later: Point) -> float:
    """The least mean power that explains the rise between two points."""
    rise_wh = later.wh - earlier.wh
    flow_wh = abs(rise_wh) if later.two_way else rise_wh
    flow_wh -= min(earlier.step_wh, later.step_wh)
    return max(flow_wh, 0.0) * 3600.0 / max(later.at_s - earlier.at_s, SHORTEST_S)
