"""The slot kernel against plain Python in exact rationals: any mixture of kinds, sampling, phase, gaps and resets."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipelines.convert.kernel import slot_energy
from pipelines.frames import INSTANT, SLOT_ENERGY, conform
from tests.convert.exact_slots import QUALITIES, Row, exact_slots, sample_pairs, zero_between

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONDAY_US = 1_772_409_600_000_000
MINUTE_US = 60_000_000
WH_PER_W_US = 1 / 3.6e9
SLOT_MINUTES = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60]

SCHEMA = pl.Schema(
    {
        "asset_id": pl.String(),
        "stream_id": pl.String(),
        "sign": pl.Int32(),
        "two_way": pl.Boolean(),
        "ts": pl.Int64(),
        "ts_end": pl.Int64(),
        "kind": pl.String(),
        "value": pl.Float64(),
        "quality": pl.String(),
        "series_start": pl.String(),
    }
)

distances = st.one_of(
    st.just(15 * MINUTE_US),
    st.integers(1, 40).map(lambda minutes: minutes * MINUTE_US),
    st.integers(1_000_000, 40 * MINUTE_US),
    st.integers(MINUTE_US, 9 * 60 * MINUTE_US),
)
amounts = st.one_of(st.integers(0, 20_000).map(float), st.floats(0, 5e4, allow_subnormal=False))


def register(draw: st.DrawFn, shown: float, *, two_way: bool) -> tuple[float, str]:
    """What a register shows next, and why it begins a series."""
    what = draw(st.sampled_from(["rise"] * 5 + ["fall", "reset", "near its end", "rollover"]))
    if what == "rise":
        return shown + draw(amounts), ""
    if what == "fall":
        return (shown - draw(amounts) if two_way else max(0.0, shown - draw(amounts))), ""
    if what == "near its end":
        return 10.0 ** draw(st.integers(5, 12)) * draw(st.floats(0.85, 0.999_999)), "reset"
    return draw(amounts), what


@st.composite
def readings_of(draw: st.DrawFn, asset: str, stream: str) -> list[Row]:
    """A stream's readings, in any order: kinds may change from one to the next."""
    sign, two_way = draw(st.sampled_from([1, -1])), draw(st.booleans())
    kinds = draw(st.lists(st.sampled_from(["register", "interval", "power", "mean"]), min_size=1, max_size=4))
    at, shown, rows = MONDAY_US + draw(st.integers(0, 10**11)), draw(st.floats(0, 1e9, allow_subnormal=False)), []
    if draw(st.booleans()):
        at -= at % (15 * MINUTE_US)
    for _ in range(draw(st.integers(0, 14))):
        kind, start, end = draw(st.sampled_from(kinds)), "", None
        if kind == "register":
            shown, start = register(draw, shown, two_way=two_way)
            value = shown
        else:
            value = draw(amounts) - (draw(amounts) if draw(st.integers(0, 2)) == 0 else 0)
        if kind in ("interval", "mean"):
            end = at + draw(st.one_of(distances, st.just(0)))
        rows.append(
            {
                "asset_id": asset,
                "stream_id": stream,
                "sign": sign,
                "two_way": two_way,
                "ts": at,
                "ts_end": end,
                "kind": "power" if kind == "mean" else kind,
                "value": sign * value,
                "quality": draw(st.sampled_from(QUALITIES)),
                "series_start": start,
            }
        )
        at += draw(distances)
    return rows


@st.composite
def communities(draw: st.DrawFn) -> list[Row]:
    """Two assets: the first of one or two streams, of which the second asset counts one the other way."""
    rows = draw(readings_of("a", "s1"))
    if draw(st.booleans()):
        rows += draw(readings_of("a", "s2"))
    if draw(st.booleans()):
        shared = draw(st.sampled_from(["s1", "s2"]))
        rows += [row | {"asset_id": "b", "sign": -row["sign"]} for row in rows if row["stream_id"] == shared]
    return draw(st.permutations(rows))


def kernel(rows: list[Row], streams: dict[str, int], minutes: int) -> dict[tuple[str, int], Row]:
    frame = pl.LazyFrame(rows, schema=SCHEMA).with_columns(
        pl.col("ts", "ts_end").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(INSTANT)
    )
    counts = pl.LazyFrame({"asset_id": list(streams), "streams": list(streams.values())})
    made = slot_energy(frame, streams_per_asset=counts, slot_length=timedelta(minutes=minutes)).collect()
    conform(made, SLOT_ENERGY, door="test")
    found = {
        (row["asset_id"], (row["slot_start"] - EPOCH) // timedelta(minutes=minutes)): row for row in made.to_dicts()
    }
    assert len(found) == made.height
    return found


def keep_off_the_edges(rows: list[Row], slot_us: int) -> None:
    """Where power crosses zero a hair from a slot's boundary, that hair has no part in what is compared."""
    streams: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["ts"]):
        streams[row["asset_id"], row["stream_id"]].append(row)
    for its in streams.values():
        for before, row in sample_pairs(its):
            zero = zero_between(before, row)
            if zero is not None:
                assume(min(zero - before["ts"], row["ts"] - zero) > 2)
                assume(2 < zero % slot_us < slot_us - 2)


@settings(max_examples=300, deadline=None)
@given(rows=communities(), minutes=st.sampled_from(SLOT_MINUTES))
def test_kernel_says_what_exact_rationals_say(rows: list[Row], minutes: int) -> None:
    slot_us = minutes * MINUTE_US
    keep_off_the_edges(rows, slot_us)
    # Asset a is the sum of two streams, of which one may be silent.
    streams = {"a": 2, "b": 1}
    found, expected = kernel(rows, streams, minutes), exact_slots(rows, slot_us)
    assert set(found) == set(expected)
    # A register of 1e12 Wh can't tell less than 1e-4 Wh apart; where power crosses zero, it is cut to the microsecond.
    register_wh = max((abs(row["value"]) for row in rows if row["kind"] == "register"), default=0)
    power_w = max((abs(row["value"]) for row in rows if row["kind"] == "power"), default=0)
    step = 1e-8 + 2**-50 * register_wh + power_w * len(rows) / 4 * WH_PER_W_US
    for key, of_stream in expected.items():
        row, parts = found[key], list(of_stream.values())
        energy = float(sum(part.energy_wh for part in parts))
        assert row["energy_wh"] == pytest.approx(energy, rel=1e-9, abs=step)
        covered = min(float(part.covered_us) for part in parts) if len(parts) == streams[key[0]] else 0.0
        assert row["coverage"] == pytest.approx(min(covered / slot_us, 1.0), abs=1e-7)
        assert row["quality"] == QUALITIES[max(part.rank for part in parts)]
        assert row["method"] == "+".join(sorted(set().union(*(part.methods for part in parts))))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), minutes=st.sampled_from(SLOT_MINUTES), sign=st.sampled_from([1, -1]))
def test_slots_add_up_to_what_the_registers_show_through_every_rollover(
    data: st.DataObject, minutes: int, sign: int
) -> None:
    at, flowed, turns, rows = MONDAY_US + data.draw(st.integers(0, 10**11)), 970_000, 0, []
    first = flowed
    for number in range(data.draw(st.integers(2, 25))):
        if number:
            at += data.draw(distances)
            flowed += data.draw(st.integers(0, 20_000))
        rolled = flowed // 10**6 > turns
        turns = flowed // 10**6
        rows.append({"ts": at, "value": float(sign * (flowed % 10**6)), "series_start": "rollover" * rolled})
    base: dict[str, Any] = {
        "asset_id": "a",
        "stream_id": "s",
        "sign": sign,
        "two_way": False,
        "ts_end": None,
        "kind": "register",
        "quality": "MEASURED",
    }
    found = kernel(data.draw(st.permutations([base | row for row in rows])), {"a": 1}, minutes)
    total = sum(row["energy_wh"] for row in found.values())
    assert total == pytest.approx(flowed - first, rel=1e-9, abs=1e-9)
    # Without a gap between the first reading and the last, all the time is covered, once.
    covered = sum(row["coverage"] for row in found.values()) * minutes * MINUTE_US
    assert covered == pytest.approx(at - rows[0]["ts"], rel=1e-9)
