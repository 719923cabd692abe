"""Which readings of a register stand, and which reading each is compared with: the usable one next to it in time.

A register is judged in sequence, because a bad reading must not condemn the good ones around it: 100, 5 000 000, 101
has one bad reading, not two. So "the reading before" is the last one that itself stands.

A reading of a one-way register that breaks the sequence may be wrong (a drop to 0 and back, a spike) or right (the
meter was exchanged or set anew, its register rolled over). It can't tell by itself, so it waits as a suspect until a
later reading decides:

- One that continues the standing series shows that the suspect was wrong.
- One that strictly rises from the suspect, and doesn't continue the standing series, shows that a new series began.
- One that equals a suspect decides nothing: a counter that stands at 0 may come back.
- One that does neither is a further suspect. Where many have come and nothing decided, they were wrong: a stream whose
  register runs backwards, by a wrong sign in the community file, must not be judged from its beginning each time.

What a walk knows at any reading is the last one standing and the suspects since, and both are kept in the store. So
a series is judged alike in whatever portions it arrives. Streams in which every reading stands, nearly all of them, are
found out at once, without a walk.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf
from operator import attrgetter, itemgetter
from typing import NamedTuple

import polars as pl

from expectations.limits import REGISTER_MODULI_WH, ROLLOVER_FROM, SHORTEST_S, SUSPECTS_AT_MOST
from pipelines.store import SeriesStart

STORED = -1
"""Row number of a reading that is usable already and isn't judged again."""

REGISTERS = pl.Schema(
    {
        "stream_id": pl.String(),
        "at_s": pl.Float64(),
        "wh": pl.Float64(),
        "step_wh": pl.Float64(),
        "row": pl.Int64(),
        "limit_w": pl.Float64(),
        "two_way": pl.Boolean(),
        "series_start": pl.String(),
    }
)
"""Readings of registers, with the columns of `Point`."""

NEIGHBOURS = pl.Schema(
    {
        "row": pl.Int64(),
        "register_before_wh": pl.Float64(),
        "register_after_wh": pl.Float64(),
        "implied_power_w": pl.Float64(),
        "series_start": pl.String(),
        "waits": pl.Boolean(),
    }
)
"""What `neighbours` finds for a row: the registers next to it in time, the greater of the mean powers between, how a
new series begins with it (one of `SeriesStart`, or ""), and whether it waits for a later reading to decide."""


class Point(NamedTuple):
    """A register reading."""

    at_s: float
    wh: float
    step_wh: float
    """The register's resolution as far as this value tells."""

    row: int
    limit_w: float
    """The most power that is plausible: the rated power with its factor."""

    two_way: bool
    """The register may fall: it counts both directions."""

    series_start: str
    """Of a stored reading: one of `SeriesStart`, or ""."""


class Finding(NamedTuple):
    """What a reading is judged by."""

    before_wh: float | None = None
    after_wh: float | None = None
    power_w: float | None = None
    series_start: str = ""
    waits: bool = False


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
        registers: frame of `REGISTERS`: `at_s` in seconds, `wh` rising when energy flows forward, `row` `STORED` for
            usable readings of the store, `series_start` of stored ones ("" of others); sorted by stream, instant and,
            within one instant, newest first with the stored one last.

    Returns:
        A frame of `NEIGHBOURS`, one row per reading that was compared. Left out are older revisions of a stamp
        whose newer one stands: they are superseded whatever they say.
    """
    stepwise = registers.with_columns(_compared())
    settled = (pl.col("row") == STORED) | pl.col("stands")
    smooth = (settled & (pl.col("series_start") == "") & ~pl.col("same_stamp")).all().over("stream_id")
    nothing_begins = {"series_start": pl.lit(""), "waits": pl.lit(value=False)}
    at_once = stepwise.filter(smooth, pl.col("row") != STORED).with_columns(**nothing_begins)
    return pl.concat([at_once.select(NEIGHBOURS.names()), _walk(stepwise.filter(~smooth))])


def _compared() -> list[pl.Expr]:
    """What a walk finds along a stream in which every reading stands, for all streams at once.

    `register_before_wh`, `register_after_wh`, `implied_power_w` as of `NEIGHBOURS`; `stands`; `same_stamp`: it isn't
    the only reading of its instant.
    """
    stream, stored = "stream_id", pl.col("row") == STORED

    def before(name: str) -> pl.Expr:
        return pl.col(name).shift(1).over(stream)

    def after(name: str) -> pl.Expr:
        return pl.when(stored).then(name).shift(-1).backward_fill().over(stream)

    two_way_after = after("two_way")
    rise_before, rise_after = pl.col("wh") - before("wh"), after("wh") - pl.col("wh")
    powers_w = (
        _mean_w_of(
            pl.when("two_way").then(rise_before.abs()).otherwise(rise_before),
            pl.min_horizontal("step_wh", before("step_wh")),
            pl.col("at_s") - before("at_s"),
        ),
        _mean_w_of(
            pl.when(two_way_after).then(rise_after.abs()).otherwise(rise_after),
            pl.min_horizontal("step_wh", after("step_wh")),
            after("at_s") - pl.col("at_s"),
        ),
    )
    rises = pl.col("two_way") | ((rise_before >= 0).fill_null(value=True) & (rise_after >= 0).fill_null(value=True))
    return [
        before("wh").alias("register_before_wh"),
        after("wh").alias("register_after_wh"),
        pl.max_horizontal(*powers_w).alias("implied_power_w"),
        (rises & (pl.max_horizontal(*powers_w) <= pl.col("limit_w")).fill_null(value=True)).alias("stands"),
        ((pl.col("at_s") == before("at_s")) | (pl.col("at_s") == pl.col("at_s").shift(-1).over(stream)))
        .fill_null(value=False)
        .alias("same_stamp"),
    ]


def _mean_w_of(flow_wh: pl.Expr, step_wh: pl.Expr, seconds: pl.Expr) -> pl.Expr:
    """`_mean_w` for columns; null where there is no neighbour."""
    return (flow_wh - step_wh).clip(lower_bound=0.0) * 3600.0 / seconds.clip(lower_bound=SHORTEST_S)


def _walk(registers: pl.DataFrame) -> pl.DataFrame:
    """The same reading by reading, for streams in which something has to be decided."""
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
    given_up: dict[int, Finding] = {}
    while True:
        failed: dict[int, Finding] = {}
        walk = _Walk()
        for stamp, binding in zip(stamps, _binding(stamps, given_up), strict=True):
            tried = [point for point in stamp.fresh if point.row not in given_up]
            chosen = walk.choose(tried, binding, stamp.stored)
            if chosen is not None:
                walk.stand(chosen)
            elif stamp.stored:
                failed |= {point.row: walk.found[point.row] for point in tried}
                walk.stand(stamp.stored)
            elif tried and binding is None and not tried[0].two_way:
                walk.wait(tried[0])
        if not failed:
            return given_up | walk.found
        given_up |= failed


def _binding(stamps: Sequence[Stamp], given_up: Container[int]) -> list[Point | None]:
    """For each stamp the next stored reading after it that no correction is about to replace."""
    following: list[Point | None] = []
    nearest: Point | None = None
    for stamp in reversed(stamps):
        following.append(nearest)
        if stamp.stored and all(point.row in given_up for point in stamp.fresh):
            nearest = stamp.stored
    following.reverse()
    return following


class _Walk:
    """Where a walk along a register has come to, and what it has found."""

    def __init__(self) -> None:
        self.found: dict[int, Finding] = {}
        self._standing: Point | None = None
        self._waiting: list[Point] = []
        """Suspects after the standing reading, in order of time."""

        self._first_of: dict[float, int] = {}
        """Value -> place in `_waiting` of the first suspect with it. A counter may stand at 0 for days."""

        self._lowest = inf
        """The least of these values."""

    def choose(self, tried: Iterable[Point], binding: Point | None, stored: Point | None) -> Point | None:
        """Compare the readings of one stamp, newest first, until one stands; that one, or None."""
        for point in tried:
            self.found[point.row], stands = _compare(self._standing, point, binding)
            if not stands and stored and stored.series_start:
                # The first reading of a series is corrected: the correction begins the series in its stead.
                finding, stands = _compare(None, point, binding)
                if stands:
                    self.found[point.row] = finding._replace(series_start=_series_start(self._standing, point))
            if stands:
                return point
        return None

    def stand(self, point: Point) -> None:
        """Go on from a reading that stands. Suspects before it were wrong."""
        if self._waiting:
            self._settle_wrong(self._take_waiting())
        self._standing = point

    def wait(self, point: Point) -> None:
        """Take a reading that breaks the series: it decides about a suspect before it, or is one itself."""
        first = self._begun_by(point)
        if first is None:
            if len(self._waiting) >= SUSPECTS_AT_MOST:
                self._settle_wrong(self._take_waiting())
            self.found[point.row] = self.found[point.row]._replace(waits=True)
            self._first_of.setdefault(point.wh, len(self._waiting))
            self._waiting.append(point)
            self._lowest = min(self._lowest, point.wh)
            return
        waiting = self._take_waiting()
        self._settle_wrong(waiting[:first])
        begin = waiting[first]
        self.found[begin.row] = Finding(series_start=_series_start(self._standing, begin))
        self._standing = begin
        for later in (*waiting[first + 1 :], point):
            self.found[later.row], stands = _compare(self._standing, later, None)
            if stands:
                self.stand(later)
            else:
                self.wait(later)

    def _begun_by(self, point: Point) -> int | None:
        """Place of the first suspect that this reading strictly rises from; None: it decides nothing."""
        if point.wh <= self._lowest or point.wh in self._first_of:
            return None
        for wh, place in self._first_of.items():
            if wh < point.wh and _power_w(self._waiting[place], point) <= point.limit_w:
                return place
        return None

    def _take_waiting(self) -> list[Point]:
        waiting = self._waiting
        self._waiting, self._first_of, self._lowest = [], {}, inf
        return waiting

    def _settle_wrong(self, points: Iterable[Point]) -> None:
        for point in points:
            self.found[point.row] = self.found[point.row]._replace(waits=False)


def rollover_wh(before_wh: float, after_wh: float) -> float | None:
    """Energy between two states of a register that rolled over between them; None where it can't have."""
    modulus = next((modulus for modulus in REGISTER_MODULI_WH if before_wh < modulus), None)
    if modulus is None or before_wh < ROLLOVER_FROM * modulus or not 0 <= after_wh < before_wh:
        return None
    return modulus - before_wh + after_wh


def _series_start(before: Point | None, begin: Point) -> SeriesStart:
    """How the series that begins with a reading follows on the one before."""
    rolled_wh = rollover_wh(before.wh, begin.wh) if before else None
    if before and rolled_wh is not None and _mean_w(before, begin, rolled_wh) <= begin.limit_w:
        return SeriesStart.ROLLOVER
    return SeriesStart.RESET


def _compare(before: Point | None, point: Point, after: Point | None) -> tuple[Finding, bool]:
    """Find what a point is judged by, and whether it stands between the two."""
    powers_w = []
    stands = True
    if before:
        powers_w.append(_power_w(before, point))
        stands = point.two_way or before.wh <= point.wh
    if after and after.series_start:
        rolled_wh = rollover_wh(point.wh, after.wh) if after.series_start == SeriesStart.ROLLOVER else None
        if rolled_wh is not None:
            powers_w.append(_mean_w(point, after, rolled_wh))
        if rolled_wh is not None or after.series_start == SeriesStart.RESET:
            after = None  # of another series: no bound
    if after:
        powers_w.append(_power_w(point, after))
        stands = stands and (point.two_way or point.wh <= after.wh)
    power_w = max(powers_w, default=None)
    stands = stands and (power_w is None or power_w <= point.limit_w)
    return Finding(before and before.wh, after and after.wh, power_w), stands


def _power_w(earlier: Point, later: Point) -> float:
    """The least mean power that explains the rise between two points."""
    rise_wh = later.wh - earlier.wh
    return _mean_w(earlier, later, abs(rise_wh) if later.two_way else rise_wh)


def _mean_w(earlier: Point, later: Point, flow_wh: float) -> float:
    flow_wh -= min(earlier.step_wh, later.step_wh)
    return max(flow_wh, 0.0) * 3600.0 / max(later.at_s - earlier.at_s, SHORTEST_S)
