from datetime import timedelta

import polars as pl
import pytest

from pipelines.report.series import BUCKETS, asset_series, community_series
from pipelines.report.status import status
from pipelines.store import Store


def series_of(store: Store, day):
    assets = status(store, day.community).per_asset
    with store.reading() as connection:
        return asset_series(connection, day.community, assets, day.start, day.end)


def test_each_slot_of_each_asset_has_its_place(store: Store, real_day) -> None:
    real_day.write(store)
    series = series_of(store, real_day)
    found = series.cells
    assert found.height == 3600
    late = found.filter(k=20).row(13, named=True)
    assert (late["s"], late["e"], late["d"], late["u"] - late["t"]) == (None, 777.5, 1, 900_000)
    assert late["t"] == 1477790100000  # 2016-10-30 01:15 UTC
    gap = found.filter(k=15)
    grades = series.parts.filter(k=15)["g"].to_list()
    assert grades == [5 if 40 <= index < 48 else 1 if index == 48 else 0 for index in range(100)]
    assert gap["c"].to_list() == [0.0 if 40 <= i < 48 else 0.5 if i == 48 else 1.0 for i in range(100)]
    measured = {s["slot_start"]: s["energy_wh"] for s in real_day.slots if s["asset_id"] == real_day.uuid(15)}
    assert gap["w"].to_list() == [
        None if slot not in measured else pytest.approx(measured[slot], abs=1e-4) for slot in real_day.starts
    ]
    whole = found.filter(k=3)
    expected = {s["slot_start"]: s["energy_wh"] for s in real_day.submissions if s["asset_id"] == real_day.uuid(3)}
    assert whole["s"].to_list() == pytest.approx([expected[slot] for slot in real_day.starts], abs=1e-4)


def test_loads_and_pv_are_summed_apart(sqlite_store: Store, real_day) -> None:
    real_day.write(sqlite_store)
    groups = {kind: tuple(a.uuid for a in real_day.community.assets if a.type == kind) for kind in ("load", "pv")}
    with sqlite_store.reading() as connection:
        found = community_series(connection, real_day.community, groups, real_day.start, real_day.end)
    for kind, ids in groups.items():
        sent = sum(s["energy_wh"] for s in real_day.submissions if s["asset_id"] in ids and s["state"] == "confirmed")
        used = sum(e["energy_wh"] for e in real_day.exchange if e["asset_id"] in ids)
        known = sum(s["energy_wh"] for s in real_day.slots if s["asset_id"] in ids)
        assert found.filter(g=kind).select("s", "e", "w").sum().row(0) == pytest.approx((sent, used, known), abs=0.01)


def test_a_long_period_is_put_together_without_losing_energy(sqlite_store: Store, make_day) -> None:
    start = make_day(1).start
    slots = [start + n * timedelta(minutes=15) for n in range(4 * 24 * 20)]
    day = make_day(2, slots)
    day.live[1]["live_since"] = slots[700]
    day.exchange = [row for row in day.exchange if row["asset_id"] == day.uuid(0)]
    day.drop(day.slots, 0, slots[100])
    day.write(sqlite_store)
    series = series_of(sqlite_store, day)
    found = series.cells
    assert found["k"].value_counts()["count"].max() <= BUCKETS + 1
    assert found["n"].sum() == 4 * 24 * 20 * 2 - 700
    assert series.parts.filter(k=0, g=5)["n"].sum() == 1
    assert series.parts["n"].sum() == found["n"].sum()
    for k, since in ((0, slots[0]), (1, slots[700])):
        sent = sum(s["energy_wh"] for s in day.submissions if s["asset_id"] == day.uuid(k) and s["slot_start"] >= since)
        assert found.filter(k=k)["s"].sum() == pytest.approx(sent, abs=0.1)
    assert found.filter(k=0)["e"].sum() == pytest.approx(found.filter(k=0)["s"].sum())
    # Nothing was read back for it: that is no value, not nought.
    assert found.filter(pl.col("k") == 1)["e"].null_count() == found.filter(k=1).height


def test_grades_are_stacked_on_each_other(sqlite_store: Store, make_day) -> None:
    start = make_day(1).start
    slots = [start + n * timedelta(minutes=15) for n in range(4 * 24 * 4)]
    day = make_day(1, slots)
    # Two slots make a place on the axis, of which one is estimated.
    for n, slot in enumerate(day.slots):
        slot |= {"energy_wh": 10.0 + n, "quality": "ESTIMATED" if n % 2 else "MEASURED"}
    day.write(sqlite_store)
    parts = series_of(sqlite_store, day).parts
    assert parts.height == 4 * 24 * 4
    assert parts["g"].to_list() == [0, 3] * (4 * 24 * 2)
    assert parts.row(0, named=True) | {"t": 0, "u": 0} == {
        "k": 0, "t": 0, "u": 0, "g": 0, "a": 0.0, "b": 10.0, "n": 1,
    }  # fmt: skip
    second = parts.row(1, named=True)
    assert (second["a"], second["b"]) == (10.0, 21.0)


def test_runs_join_what_is_known_as_well_as_its_neighbour(sqlite_store: Store, real_day) -> None:
    real_day.write(sqlite_store)
    runs = series_of(sqlite_store, real_day).runs
    start = 1477778400000  # 2016-10-29 22:00 UTC
    quarter = 900_000
    assert runs.filter(k=15).rows() == [
        (15, start, start + 40 * quarter, 0),
        (15, start + 40 * quarter, start + 48 * quarter, 5),
        (15, start + 48 * quarter, start + 49 * quarter, 1),
        (15, start + 49 * quarter, start + 100 * quarter, 0),
    ]
    assert runs.height == 35 + 4
