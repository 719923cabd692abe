"""Readings to slots in exact rationals and plain Python, a second time and in another way than the kernel.

Each stream becomes stretches that know their energy up to any instant as a polynomial with rational coefficients; slots
take differences of it. Which of two overlapping intervals counts is decided instant by instant, between all edges.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

US_PER_H = 3_600_000_000
HALF_HOUR_US = timedelta(minutes=30) // timedelta(microseconds=1)
QUALITIES = ("MEASURED", "SUBSTITUTED", "ESTIMATED", "PROVISIONAL")
MODULI = [10**exponent for exponent in range(5, 13)]

Row = dict[str, Any]


@dataclass(frozen=True)
class Stretch:
    """Time whose energy is known."""

    begin: Fraction
    end: Fraction
    energy_until: Callable[[Fraction], Fraction]
    rank: int
    method: str


@dataclass
class Slot:
    energy_wh: Fraction = Fraction(0)
    covered_us: Fraction = Fraction(0)
    rank: int = 0
    methods: set[str] = field(default_factory=set)


def exact_slots(rows: Iterable[Row], slot_us: int) -> dict[tuple[str, int], dict[str, Slot]]:
    """By asset and slot number since 1970, the slot of each of its streams.

    Rows: asset_id, stream_id, sign, two_way, ts, ts_end (microseconds), kind, value, quality, series_start.
    """
    streams: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        streams[row["asset_id"], row["stream_id"]].append(row)
    found: dict[tuple[str, int], dict[str, Slot]] = defaultdict(dict)
    for (asset, stream), its in streams.items():
        its.sort(key=lambda row: row["ts"])
        for stretch in [*_registers(its), *_intervals(its), *_samples(its)]:
            long = 2 * (stretch.end - stretch.begin) > 3 * slot_us
            for number in range(int(stretch.begin // slot_us), int(-(-stretch.end // slot_us))):
                a, b = max(stretch.begin, number * slot_us), min(stretch.end, (number + 1) * slot_us)
                slot = found[asset, number].setdefault(stream, Slot())
                slot.energy_wh += stretch.energy_until(Fraction(b)) - stretch.energy_until(Fraction(a))
                slot.covered_us += b - a
                slot.rank = max(slot.rank, stretch.rank, 1 if long else 0)
                slot.methods.add("interpolated" if long else stretch.method)
    return found


def _value(row: Row) -> Fraction:
    return Fraction(row["value"]) * row["sign"]


def _rank(*rows: Row) -> int:
    return max(QUALITIES.index(row["quality"]) for row in rows)


def _one_direction(stretch: Stretch, *, two_way: bool) -> Iterator[Stretch]:
    """What flows the other way is zero where the channel counts both ways, else unknown."""
    flowed = stretch.energy_until(stretch.end) - stretch.energy_until(stretch.begin)
    if flowed >= 0:
        yield stretch
    elif two_way:
        yield Stretch(stretch.begin, stretch.end, lambda _: Fraction(0), stretch.rank, stretch.method)


def _evenly(begin: int, end: int, energy: Fraction) -> Callable[[Fraction], Fraction]:
    return lambda at: energy * (at - begin) / (end - begin)


def _registers(rows: list[Row]) -> Iterator[Stretch]:
    for before, row in pairwise(row for row in rows if row["kind"] == "register"):
        energy = _value(row) - _value(before)
        if row["series_start"] == "reset":
            continue
        if row["series_start"] == "rollover":
            above = [modulus for modulus in MODULI if modulus > _value(before)]
            if not above or _value(before) * 10 < above[0] * 9:
                continue
            energy += above[0]
        t0, t1 = before["ts"], row["ts"]
        known = Stretch(Fraction(t0), Fraction(t1), _evenly(t0, t1, energy), _rank(before, row), "register")
        yield from _one_direction(known, two_way=row["two_way"])


def _intervals(rows: list[Row]) -> Iterator[Stretch]:
    """Between any two edges, the reading that began first has the say."""
    told = [row for row in rows if row["kind"] != "register" and row["ts_end"] is not None]
    told = [row for row in told if row["ts_end"] > row["ts"]]
    edges = sorted({row[edge] for row in told for edge in ("ts", "ts_end")})
    parts: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for a, b in pairwise(edges):
        first = next((n for n, row in enumerate(told) if row["ts"] <= a and b <= row["ts_end"]), None)
        if first is None:
            continue
        if parts[first] and parts[first][-1][1] == a:
            parts[first][-1] = (parts[first][-1][0], b)
        else:
            parts[first].append((a, b))
    for number, times in parts.items():
        row = told[number]
        length = row["ts_end"] - row["ts"]
        energy = _value(row) * (Fraction(length, US_PER_H) if row["kind"] == "power" else 1)
        for a, b in times:
            until = _evenly(a, b, energy * (b - a) / length)
            yield from _one_direction(
                Stretch(Fraction(a), Fraction(b), until, _rank(row), "interval"), two_way=row["two_way"]
            )


def zero_between(before: Row, row: Row) -> Fraction | None:
    """Where sampled power crosses zero between two samples."""
    p0, p1 = _value(before), _value(row)
    return None if p0 * p1 >= 0 else before["ts"] + (row["ts"] - before["ts"]) * p0 / (p0 - p1)


def sample_pairs(rows: Iterable[Row]) -> Iterator[tuple[Row, Row]]:
    """Samples of one stream that no silence lies between."""
    samples = [row for row in rows if row["kind"] == "power" and row["ts_end"] is None]
    return ((before, row) for before, row in pairwise(samples) if row["ts"] - before["ts"] <= HALF_HOUR_US)


def _samples(rows: list[Row]) -> Iterator[Stretch]:
    for before, row in sample_pairs(rows):
        t0, p0, p1 = before["ts"], _value(before), _value(row)
        slope = (p1 - p0) / (row["ts"] - t0)

        def until(at: Fraction, t0: int = t0, p0: Fraction = p0, slope: Fraction = slope) -> Fraction:
            return (p0 * (at - t0) + slope * (at - t0) ** 2 / 2) / US_PER_H

        zero = zero_between(before, row)
        edges = [Fraction(t0), Fraction(row["ts"])] if zero is None else [Fraction(t0), zero, Fraction(row["ts"])]
        for a, b in pairwise(edges):
            yield from _one_direction(Stretch(a, b, until, _rank(before, row), "power"), two_way=row["two_way"])
