from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.collect.revisions import STORED, fresh_readings, overtaken, without_idle_substitutes
from pipelines.frames import READINGS

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def reading(value: float | None, *, ts: datetime | None = NOON, **other: Any) -> dict[str, Any]:
    return {
        "stream_id": "m/1/-",
        "ts": ts,
        "kind": "register",
        "value": value,
        "unit": "Wh",
        "quality": "MEASURED",
        "received_at": NOON,
        "run_id": "r",
        **other,
    }


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=READINGS)


class Shelf:
    """A store of readings in memory, with SQLite's habit of keeping NaN as null."""

    def __init__(self) -> None:
        self.rows = pl.DataFrame(schema=STORED)

    def take(self, readings: pl.DataFrame) -> pl.DataFrame:
        fresh = fresh_readings(readings, self.rows)
        ids = overtaken(fresh, readings, self.rows)
        verdict = pl.when(pl.col("id").is_in(ids)).then(pl.lit("superseded")).otherwise("verdict")
        added = fresh.with_columns(
            id=pl.int_range(pl.len()) + self.rows.height, value=pl.col("value").fill_nan(None)
        ).select(STORED.names())
        self.rows = pl.concat([self.rows.with_columns(verdict=verdict), added])
        return fresh

    def seen(self, *names: str) -> list[tuple[Any, ...]]:
        return self.rows.sort("ts", "revision").select(names).rows()


def test_what_makes_a_reading_another_one() -> None:
    shelf = Shelf()
    shelf.take(frame(reading(1.0)))
    for change in (
        {"value": 2.0},
        {"quality": "SUBSTITUTED"},
        {"unit": "kWh"},
        {"kind": "interval"},
        {"ts_end": NOON + timedelta(minutes=15)},
    ):
        assert Shelf.take(shelf, frame(reading(1.0) | change)).height == 1
        assert Shelf.take(shelf, frame(reading(1.0) | change)).height == 0
    assert (
        shelf.take(frame(reading(1.0) | change | {"ingested_at": NOON, "received_at": NOON, "run_id": "x"})).height == 0
    )


def test_nan_is_one_value_and_not_a_correction_of_itself() -> None:
    shelf = Shelf()
    assert shelf.take(frame(reading(float("nan")))).height == 1
    assert shelf.take(frame(reading(float("nan")))).height == 0


def test_equal_readings_without_a_stamp_are_as_many_as_they_are() -> None:
    shelf = Shelf()
    assert shelf.take(frame(reading(1.0, ts=None), reading(1.0, ts=None))).height == 2
    assert shelf.take(frame(reading(1.0, ts=None), reading(1.0, ts=None))).height == 0
    assert shelf.take(frame(*[reading(1.0, ts=None)] * 3, reading(2.0, ts=None))).height == 2


def test_contradictions_without_a_date_stay_both_new() -> None:
    shelf = Shelf()
    shelf.take(frame(reading(1.0)))
    shelf.take(frame(reading(1.0), reading(2.0)))
    assert shelf.seen("revision", "value", "verdict") == [(0, 1.0, "new"), (1, 2.0, "new")]


def test_an_older_value_found_later_does_not_take_the_place_of_the_newer() -> None:
    shelf = Shelf()
    newer, older = reading(2.0, ingested_at=NOON), reading(1.0, ingested_at=NOON - timedelta(hours=1))
    shelf.take(frame(newer))
    shelf.take(frame(older, newer))
    assert shelf.seen("value", "verdict") == [(2.0, "new"), (1.0, "superseded")]


@settings(max_examples=25, deadline=None)
@example([{0: [1.0, 2.0]}, {0: [2.0]}])
@given(
    st.lists(
        st.dictionaries(
            st.integers(0, 3), st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=1, max_size=3, unique=True)
        ),
        max_size=5,
    )
)
def test_after_any_history_the_store_holds_what_the_source_says_and_a_repetition_adds_nothing(
    history: list[dict[int, list[float]]],
) -> None:
    shelf = Shelf()
    for state in history:
        said = frame(
            *(reading(value, ts=NOON + timedelta(hours=at)) for at, values in state.items() for value in values)
        )
        shelf.take(said)
        assert shelf.take(said).height == 0
        for at, values in state.items():
            here = shelf.rows.filter(ts=NOON + timedelta(hours=at)).sort("revision")
            assert set(values) <= set(here["value"])
            assert here["revision"].to_list() == list(range(here.height))
            if len(values) == 1:
                assert here["value"][-1] == values[0]
                assert here["verdict"].to_list() == ["superseded"] * (here.height - 1) + ["new"]


def test_a_substitute_of_our_own_does_not_replace_what_was_measured() -> None:
    shelf = Shelf()
    later = NOON + timedelta(minutes=15)
    shelf.take(frame(reading(1.0), reading(0.0, ts=later, quality="SUBSTITUTED")))
    came = frame(reading(0.0, quality="SUBSTITUTED"), reading(0.5, ts=later), reading(2.0))
    kept = without_idle_substitutes(came, shelf.rows)
    assert kept.select("ts", "value", "quality").rows() == [(later, 0.5, "MEASURED"), (NOON, 2.0, "MEASURED")]
