from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from pipelines.frames import INSTANT
from pipelines.validate.days.channels import MARKS, REGISTERS, channels_present, register_sums

SLOT = timedelta(minutes=15)
MIDNIGHT = datetime(2026, 6, 7, 22, tzinfo=UTC)


def marks(stream_id: str, minutes: list[int], kind: str = "register", lasts: int | None = None) -> pl.DataFrame:
    stamps = [MIDNIGHT + timedelta(minutes=n) for n in minutes]
    ends = [ts + timedelta(minutes=lasts) if lasts else None for ts in stamps]
    return pl.DataFrame(
        [(stream_id, *pair, kind) for pair in zip(stamps, ends, strict=True)], schema=MARKS, orient="row"
    )


def present(slots: list[int], *frames: pl.DataFrame) -> dict[int, float]:
    asked = [
        ("a", stream, MIDNIGHT + n * SLOT) for n in slots for frame in frames for stream in frame["stream_id"].unique()
    ]
    schema = {"asset_id": pl.String(), "stream_id": pl.String(), "slot_start": INSTANT}
    found = channels_present(pl.DataFrame(asked, schema=schema, orient="row"), pl.concat(frames), slot_length=SLOT)
    return {(at - MIDNIGHT) // SLOT: count for _, at, count in found.sort("slot_start").iter_rows()}


def test_channel_reports_where_a_span_of_it_lies() -> None:
    one = marks("x", [0, 15, 30, 45], "interval", 15)
    other = marks("y", [0, 45], "interval", 15)
    assert present([0, 1, 2, 3, 4], one, other) == {0: 2, 1: 1, 2: 1, 3: 2}


def test_register_is_silent_where_it_comes_later_than_it_uses_to() -> None:
    hourly = marks("x", [0, 60, 120, 300, 360, 420])
    quarterly = marks("y", [*range(0, 430, 15)])
    assert present([1, 7, 8, 12, 19, 20], hourly, quarterly) == {1: 2, 7: 2, 8: 1, 12: 1, 19: 1, 20: 2}


def sums(*readings: tuple[float, float], start: str = "", sign: float = 1.0) -> list[tuple[date, float, float]]:
    """Readings as (hours since the first midnight, Wh); the last one may begin a new series."""
    rows = [("s", MIDNIGHT + timedelta(hours=hours), wh, "") for hours, wh in readings]
    rows[-1] = (*rows[-1][:3], start)
    uses = pl.DataFrame({"asset_id": ["a"], "stream_id": ["s"], "sign": [sign]})
    midnights = pl.DataFrame(
        {"local_day": [date(2026, 6, 8), date(2026, 6, 9)], "begins": [MIDNIGHT, MIDNIGHT + timedelta(days=1)]}
    ).with_columns(pl.col("begins").cast(INSTANT))
    found = register_sums(
        pl.DataFrame(rows, schema=REGISTERS, orient="row"), uses, midnights, last=MIDNIGHT + timedelta(days=2)
    )
    return [row[1:] for row in found.sort("local_day").iter_rows()]


def test_days_are_what_the_register_advances_between_midnights() -> None:
    assert sums((0, 1_000.0), (24, 1_500.0), (48, 2_600.0)) == [
        (date(2026, 6, 8), 500.0, 100.0),
        (date(2026, 6, 9), 1_100.0, 100.0),
    ]


def test_midnight_between_near_readings_lies_on_their_line() -> None:
    # 40 Wh in half an hour, a third of it before midnight.
    (only,) = sums((-1 / 6, 1_001.0), (1 / 3, 1_041.0), (24.1, 1_503.0))
    assert only == (date(2026, 6, 8), pytest.approx(1_503.0 - 1_001.0 - 40.0 / 3), 1.0)


@pytest.mark.parametrize(
    "readings", [((0, 1.0), (23, 2.0)), ((1, 1.0), (24, 2.0)), ((0, 5.0), (24, 4.0)), ((-2, 1.0), (2, 3.0), (24, 4.0))]
)
def test_nothing_is_said_of_days_whose_ends_are_not_known(readings: tuple[tuple[float, float], ...]) -> None:
    assert sums(*readings) == []


def test_nothing_is_said_of_a_day_in_which_a_new_series_begins() -> None:
    assert sums((0, 1.0), (24, 9.0), start="reset") == []


def test_register_of_the_other_direction_is_turned_round() -> None:
    assert sums((0, -1.0), (24, -8.0), sign=-1.0) == [(date(2026, 6, 8), 7.0, 1.0)]
