"""Readings of registers for `slots.py`: a community of seven thousand assets, in the order in which they arrive.

Energies are whole Wh, registers show what has flowed since they began, and nothing is drawn that a seed doesn't fix.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

ASSETS = 7_000
TWO_METERS_EVERY = 10
"""Every tenth asset is the sum of two meters."""

MODULUS_WH = 10**8
"""The registers show five digits of kWh and three behind the point."""

FIRST = datetime(2026, 3, 2, tzinfo=UTC)
SLOT_S, GAP_S = 900, 7_200
HIGHEST_W = 5_000
RESETS = 2e-5
"""Share of readings that begin a new series."""

GAPS_A_DAY = 0.5
"""Silences of two hours, for each meter."""

LATE = 0.01
"""Share of readings that come up to an hour late; the others come within ten seconds."""

SUBSTITUTED = 0.01
ROUND_S = 3_600

Instants = npt.NDArray[np.int64]

SCHEMA = pa.schema(
    [
        ("asset_id", pa.string()),
        ("stream_id", pa.string()),
        ("sign", pa.int32()),
        ("two_way", pa.bool_()),
        ("ts", pa.timestamp("us", "UTC")),
        ("ts_end", pa.timestamp("us", "UTC")),
        ("kind", pa.string()),
        ("value", pa.float64()),
        ("quality", pa.string()),
        ("series_start", pa.string()),
    ]
)


class Meters:
    """All meters, with what their registers show at the end of what was written so far."""

    def __init__(self, every_s: int, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.every_s = every_s
        second = np.arange(0, ASSETS, TWO_METERS_EVERY)
        self.asset = np.concatenate([np.arange(ASSETS), second])
        self.streams = [f"meters/{number:06d}/1-0:1.8.0" for number in range(self.asset.size)]
        # One in fifty stands so near to its last digit that it rolls over within the hour or so.
        near = self.random.random(self.asset.size) < 0.02
        self.flowed = np.where(near, MODULUS_WH - self.random.integers(1, 3_000, self.asset.size), 0)
        self.flowed += np.where(near, 0, self.random.integers(0, 5 * 10**7, self.asset.size))
        self.zero = np.zeros(self.asset.size, dtype=np.int64)
        self.shown_zero = np.full(self.asset.size, -1, dtype=np.int64)
        self.shown_turns = np.zeros(self.asset.size, dtype=np.int64)
        self.silent_until = np.zeros(self.asset.size, dtype=np.int64)

    def read(self, start_s: int, number: int) -> pa.Table:
        """The next `number` readings of each meter but those it is silent for, in the order of their arrival."""
        shape = (self.asset.size, number)
        random = self.random
        jitter = random.integers(0, self.every_s * 1_000_000, shape)
        ts = (start_s + np.arange(number) * self.every_s)[None, :] * 1_000_000 + jitter
        flowed = self.flowed[:, None] + np.cumsum(random.integers(0, HIGHEST_W * self.every_s // 3600 + 1, shape), 1)
        zero = self._zeros(flowed)
        turns, there = (flowed - zero) // MODULUS_WH, self._present(ts, start_s, number)
        starts = self._series_starts(zero, turns, there)
        self.flowed = flowed[:, -1]
        meter = np.broadcast_to(np.arange(shape[0])[:, None], shape)[there]
        ts = ts[there]
        late = random.random(ts.size) < LATE
        arrived = ts + (random.random(ts.size) * np.where(late, 3.6e9, 1e7)).astype(np.int64)
        order = np.argsort(arrived)
        return self._table(meter, ts, ((flowed - zero) % MODULUS_WH)[there], starts[there], order)

    def _zeros(self, flowed: Instants) -> Instants:
        """What had flowed where each register began; a reset begins anew somewhere below what it showed."""
        fresh = np.where(self.random.random(flowed.shape) < RESETS, flowed, 0)
        fresh[:, 0] = np.maximum(fresh[:, 0], self.zero)
        zero: Instants = np.maximum.accumulate(fresh, axis=1)
        self.zero = zero[:, -1]
        return zero

    def _present(self, ts: Instants, start_s: int, number: int) -> npt.NDArray[np.bool_]:
        span_s = number * self.every_s
        begins = self.random.random(ts.shape[0]) < GAPS_A_DAY * span_s / 86_400
        at = (start_s + self.random.integers(0, span_s, ts.shape[0])) * 1_000_000
        silent = (ts < self.silent_until[:, None]) | (
            begins[:, None] & (ts >= at[:, None]) & (ts < (at + GAP_S * 1_000_000)[:, None])
        )
        self.silent_until = np.maximum(self.silent_until, np.where(begins, at + GAP_S * 1_000_000, 0))
        return ~silent

    def _series_starts(self, zero: Instants, turns: Instants, there: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
        """0 for nothing, 1 for a reset, 2 for a rollover: held against the reading before that is there."""
        first = self.shown_zero < 0
        zero_before = self._before(zero, there, self.shown_zero)
        turns_before = self._before(turns, there, self.shown_turns)
        reset = zero != zero_before
        # A new series counts its turns from its own zero.
        rolled = ~reset & (turns != turns_before)
        starts = np.where(reset, 1, np.where(rolled, 2, 0)).astype(np.int8)
        nothing_before = first[:, None] & (np.cumsum(there, axis=1) <= 1)
        self.shown_zero = self._last(zero, there, self.shown_zero)
        self.shown_turns = self._last(turns, there, self.shown_turns)
        starts[nothing_before] = 0
        return starts

    @staticmethod
    def _newest(there: npt.NDArray[np.bool_]) -> Instants:
        """Of each reading, the column of the newest one up to it that is there; -1 for none."""
        columns = np.where(there, np.arange(there.shape[1])[None, :], -1)
        newest: Instants = np.maximum.accumulate(columns, axis=1)
        return newest

    def _before(self, values: Instants, there: npt.NDArray[np.bool_], shown: Instants) -> Instants:
        newest = self._newest(there)
        before = np.concatenate([np.full((values.shape[0], 1), -1), newest[:, :-1]], axis=1)
        return np.where(before < 0, shown[:, None], np.take_along_axis(values, np.maximum(before, 0), axis=1))

    def _last(self, values: Instants, there: npt.NDArray[np.bool_], shown: Instants) -> Instants:
        newest = self._newest(there)[:, -1:]
        return np.where(newest < 0, shown[:, None], np.take_along_axis(values, np.maximum(newest, 0), axis=1))[:, 0]

    def _table(self, meter: Instants, ts: Instants, wh: Instants, starts: npt.NDArray[np.int8], order: Any) -> pa.Table:
        size = ts.size
        substituted = (self.random.random(size) < SUBSTITUTED).astype(np.int32)

        def words(codes: npt.NDArray[Any], names: list[str]) -> pa.Array:
            return pa.DictionaryArray.from_arrays(codes.astype(np.int32), pa.array(names)).cast(pa.string())

        meter, epoch_us = meter[order], int(FIRST.timestamp()) * 1_000_000
        return pa.table(
            [
                words(self.asset[meter], [f"asset-{number:05d}" for number in range(ASSETS)]),
                words(meter, self.streams),
                pa.array(np.ones(size, dtype=np.int32)),
                pa.array(np.zeros(size, dtype=np.bool_)),
                pa.array(ts[order] + epoch_us, pa.int64()).cast(pa.timestamp("us", "UTC")),
                pa.nulls(size, pa.timestamp("us", "UTC")),
                words(np.zeros(size), ["register"]),
                pa.array(wh[order].astype(np.float64)),
                words(substituted[order], ["MEASURED", "SUBSTITUTED"]),
                words(starts[order], ["", "reset", "rollover"]),
            ],
            schema=SCHEMA,
        )


def write_readings(path: Path, readings: int, *, every_s: int = 60, seed: int = 20260302) -> int:
    """Write about so many readings, an hour at a time; returns how many there are."""
    meters = Meters(every_s, seed)
    each = max(1, ROUND_S // every_s)
    at_s, written = 0, 0
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        while written < readings:
            table = meters.read(at_s, each).slice(0, readings - written)
            writer.write_table(table, row_group_size=250_000)
            written += table.num_rows
            at_s += each * every_s
    return written
