"""Registers to energy per slot as a good user of pandas writes it; the same as `slot_energy` makes of registers.

It knows that there are only registers, so it leaves out what other kinds need. It comes to all that a slot tells:
energy, coverage of the worst stream, worst quality and method.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from expectations.limits import REGISTER_MODULI_WH, ROLLOVER_FROM
from pipelines.frames import QUALITY_RANK, Quality

WORST = QUALITY_RANK[Quality.SUBSTITUTED]
"""At best the quality of what was spread over more than a slot."""

RANKS = list(QUALITY_RANK)
COLUMNS = ["asset_id", "stream_id", "sign", "two_way", "ts", "kind", "value", "quality", "series_start"]
WORDS = ["asset_id", "stream_id", "kind", "quality", "series_start"]


def slots(path: Path, counts: Path, slot_length: timedelta, *, categories: bool) -> pd.DataFrame:
    """By whole columns: one sort, shifts, repeats; `categories`: names as categories instead of text."""
    slot_us = slot_length // timedelta(microseconds=1)
    # Not pandas' own option but pyarrow's: the file's dictionaries become categories without text in between.
    options: dict[str, Any] = {"read_dictionary": WORDS} if categories else {}
    frame = pd.read_parquet(path, columns=COLUMNS, **options)
    frame = frame[frame["kind"] == "register"]
    frame = pd.DataFrame(
        {
            "asset": frame["asset_id"],
            "stream": frame["stream_id"],
            "t1": frame["ts"].astype("int64"),
            "v1": frame["value"] * frame["sign"],
            "two_way": frame["two_way"],
            "rank": frame["quality"].map(QUALITY_RANK).astype("int8"),
            "start": frame["series_start"],
        }
    )
    spans = _spans(frame, slot_us)
    pieces = _pieces(spans, slot_us)
    per_stream = (
        pieces.groupby(["asset", "stream", "slot"], observed=True, sort=False)
        .agg(
            e=("e", "sum"), covered=("covered", "sum"), rank=("rank", "max"), any=("long", "max"), only=("long", "min")
        )
        .reset_index()
    )
    grouped = per_stream.groupby(["asset", "slot"], observed=True, sort=False)
    slots = grouped.agg(
        energy_wh=("e", "sum"),
        covered=("covered", "min"),
        rank=("rank", "max"),
        any=("any", "max"),
        only=("only", "min"),
        present=("e", "size"),
    ).reset_index()
    streams = slots["asset"].map(pd.read_parquet(counts).set_index("asset_id")["streams"]).astype("int64")
    return pd.DataFrame(
        {
            "asset_id": slots["asset"],
            "slot_start": pd.to_datetime(slots["slot"] * slot_us, unit="us", utc=True),
            "energy_wh": slots["energy_wh"],
            "quality": pd.Categorical.from_codes(slots["rank"], RANKS),
            "coverage": np.where(slots["present"] == streams, np.minimum(slots["covered"] / slot_us, 1.0), 0.0),
            "method": pd.Categorical.from_codes(
                np.where(slots["only"], 2, np.where(slots["any"], 1, 0)),
                ["register", "interpolated+register", "interpolated"],
            ),
        }
    )


def _spans(frame: pd.DataFrame, slot_us: int) -> pd.DataFrame:
    frame = frame.sort_values(["asset", "stream", "t1"])
    before = frame.shift(1)
    same = (before["asset"] == frame["asset"]) & (before["stream"] == frame["stream"])
    frame = frame.assign(t0=before["t1"], v0=before["v1"], r0=before["rank"])[same & (before["t1"] < frame["t1"])]
    frame = frame.astype({"t0": "int64", "r0": "int8"})
    moduli = np.array([*REGISTER_MODULI_WH, np.nan])
    modulus = moduli[np.searchsorted(moduli[:-1], frame["v0"], side="right")]
    rolled = np.where(frame["v0"] >= ROLLOVER_FROM * modulus, modulus - frame["v0"] + frame["v1"], np.nan)
    e = np.where(
        frame["start"] == "rollover", rolled, np.where(frame["start"] == "reset", np.nan, frame["v1"] - frame["v0"])
    )
    long = (frame["t1"] - frame["t0"]) > slot_us
    rank = np.maximum(np.maximum(frame["rank"], frame["r0"]), np.where(long, WORST, 0))
    frame = frame.assign(e=e, long=long, rank=rank)
    frame = frame[~np.isnan(e) & (frame["two_way"] | (e >= 0))]
    return frame.assign(e=frame["e"].clip(lower=0), s0=frame["t0"] // slot_us, s1=(frame["t1"] - 1) // slot_us)


def _pieces(spans: pd.DataFrame, slot_us: int) -> pd.DataFrame:
    columns = ["asset", "stream", "slot", "e", "covered", "rank", "long"]
    inside = spans["s0"] == spans["s1"]
    whole = spans[inside].assign(slot=lambda f: f["s0"], covered=lambda f: f["t1"] - f["t0"])
    across = spans[~inside]
    times = (across["s1"] - across["s0"] + 1).to_numpy()
    across = across.loc[across.index.repeat(times)]
    number = np.arange(times.sum()) - np.repeat(times.cumsum() - times, times)
    across = across.assign(slot=across["s0"] + number)
    begin = np.maximum(across["t0"], across["slot"] * slot_us)
    end = np.minimum(across["t1"], (across["slot"] + 1) * slot_us)
    across = across.assign(covered=end - begin, e=across["e"] * (end - begin) / (across["t1"] - across["t0"]))
    return pd.concat([whole[columns], across[columns]], ignore_index=True)
