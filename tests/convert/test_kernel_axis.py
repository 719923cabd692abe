"""Many streams on one axis: none touches another, however many and how far apart their readings are."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.convert.kernel import slot_energy, slot_energy_in_parts
from pipelines.convert.packing import code, lay_out
from pipelines.frames import INSTANT, SLOT_ENERGY

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
ASSETS = 40


def community(*, unit: str = "us") -> pl.LazyFrame:
    """Registers, intervals and samples of forty assets, every third of two streams, in disorder."""
    n, number = pl.col("n"), pl.col("stream")
    minutes = n * (3 + number % 11) + number % 7
    kinds = pl.Series(["register", "interval", "power"])
    frame = (
        pl.DataFrame({"stream": range(ASSETS + ASSETS // 3)})
        .join(pl.DataFrame({"n": range(60)}), how="cross")
        .with_columns(
            asset_id=pl.format("a{}", pl.when(number < ASSETS).then(number).otherwise((number - ASSETS) * 3)),
            stream_id=pl.format("a long name of meter {}", number),
            sign=pl.lit(1),
            two_way=number % 5 == 0,
            ts=pl.lit(MONDAY).cast(INSTANT) + pl.duration(minutes=minutes),
            kind=pl.lit(kinds).gather(number % 3),
            value=((n * 37 + number * 11) % 101 + 1) * 7.0,
            quality=pl.when((n + number) % 19 == 0).then(pl.lit("ESTIMATED")).otherwise(pl.lit("MEASURED")),
            series_start=pl.when((n == 31) & (number % 4 == 0)).then(pl.lit("reset")).otherwise(pl.lit("")),
        )
        .with_columns(
            ts_end=pl.when(kind="interval").then(pl.col("ts") + pl.duration(minutes=2 + number % 11)),
            value=pl.when(kind="register").then(pl.col("value").cum_sum().over("stream")).otherwise("value"),
        )
        .with_columns(pl.col("ts", "ts_end").dt.cast_time_unit(unit))  # type: ignore[arg-type]
    )
    return frame.sample(fraction=1.0, shuffle=True, seed=7).lazy()


def streams_of(readings: pl.LazyFrame) -> pl.LazyFrame:
    return readings.group_by("asset_id").agg(streams=pl.col("stream_id").n_unique())


def made(readings: pl.LazyFrame, streams: pl.LazyFrame | None = None) -> pl.DataFrame:
    counts = streams_of(readings) if streams is None else streams
    found = slot_energy(readings, streams_per_asset=counts, slot_length=QUARTER).collect()
    return found.sort("asset_id", "slot_start")


def test_each_asset_by_itself_has_the_slots_it_has_among_all() -> None:
    readings = community()
    together = made(readings)
    alone = [made(readings.filter(asset_id=f"a{number}")) for number in range(ASSETS)]
    assert together.height > 1000
    assert_frame_equal(together, pl.concat(alone).sort("asset_id", "slot_start"), rel_tol=1e-12)


@pytest.mark.parametrize("at_once", [1, 7, 39, 40, 1000])
def test_parts_are_the_whole(at_once: int) -> None:
    readings = community()
    parts = list(
        slot_energy_in_parts(
            readings, streams_per_asset=streams_of(readings), slot_length=QUARTER, assets_at_once=at_once
        )
    )
    assert len(parts) == -(-ASSETS // at_once)
    assert_frame_equal(pl.concat(parts).sort("asset_id", "slot_start"), made(readings), rel_tol=1e-12)


def test_a_stream_that_several_assets_use_gives_each_what_it_has_alone() -> None:
    readings = community()
    shared = readings.filter(pl.col("stream") < 12).with_columns(asset_id=pl.lit("sum of twelve"), sign=pl.lit(-1))
    shared = shared.with_columns(two_way=pl.lit(value=True))
    both = pl.concat([readings, shared]).collect().sample(fraction=1.0, shuffle=True, seed=3).lazy()
    expected = pl.concat([made(readings), made(shared)]).sort("asset_id", "slot_start")
    assert_frame_equal(made(both), expected, rel_tol=1e-12)


def test_readings_centuries_apart_need_a_wider_axis_and_change_nothing() -> None:
    readings = community().drop("stream", "n")
    # A meter whose clock went astray, and so many others that 64 bits don't hold them all beside its centuries.
    astray = (
        readings.filter(asset_id="a0")
        .limit(2)
        .with_columns(
            asset_id=pl.lit("astray"),
            stream_id=pl.lit("astray"),
            kind=pl.lit("power"),
            ts_end=pl.lit(None, INSTANT),
            ts=pl.Series([datetime(1971, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)], dtype=INSTANT),
        )
    )
    silent = readings.filter(kind="register").limit(1)
    many = [silent.with_columns(asset_id=pl.lit(f"silent {n}"), stream_id=pl.lit(f"silent {n}")) for n in range(1000)]
    wide = pl.concat([readings, astray, *many])
    in_us = wide.with_columns(pl.col("ts", "ts_end").dt.timestamp("us"), rank=pl.lit(0))
    _, laid = lay_out(code(in_us).collect(), slot_us=QUARTER // timedelta(microseconds=1))
    assert {frame.collect_schema()["at"] for frame in laid.values()} == {pl.Int128()}
    counts = streams_of(wide)
    assert_frame_equal(made(wide, counts), made(readings, counts), rel_tol=1e-12)


@pytest.mark.parametrize("unit", ["ms", "ns"])
def test_stamps_of_other_units_are_the_same_instants(unit: str) -> None:
    assert_frame_equal(made(community(unit=unit)), made(community()))


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_any_engine_may_collect_what_is_built_on_the_slots(engine: str) -> None:
    readings = community()
    slots = slot_energy(readings, streams_per_asset=streams_of(readings), slot_length=QUARTER)
    totals = slots.filter(pl.col("coverage") > 0.5).group_by("asset_id").agg(pl.col("energy_wh").sum())
    expected = made(readings).filter(pl.col("coverage") > 0.5).group_by("asset_id").agg(pl.col("energy_wh").sum())
    found = totals.collect(engine=engine)  # type: ignore[call-overload]
    assert_frame_equal(found, expected, check_row_order=False, rel_tol=1e-12)


def test_no_readings_make_no_slots() -> None:
    nothing = made(community().limit(0), pl.LazyFrame({"asset_id": ["a1"], "streams": [1]}))
    assert (nothing.schema, nothing.height) == (SLOT_ENERGY, 0)


def test_one_reading_of_each_kind_makes_only_the_interval_s_slots() -> None:
    single = community().unique("stream", maintain_order=False)
    assert set(made(single)["method"]) == {"interval"}


def test_readings_of_an_unknown_quality_are_refused() -> None:
    with pytest.raises(pl.exceptions.PolarsError):
        made(community().with_columns(quality=pl.lit("GOOD")))
