from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from pipelines.frames import INSTANT
from pipelines.validate.days.exchange import prepare_exchange
from pipelines.validate.days.reading import HELD, LISTED, LIVE, SUBMITTED

SLOT = timedelta(minutes=15)
NOON = datetime(2026, 6, 8, 12, tzinfo=UTC)
READ = NOON + timedelta(hours=2)


def sent(slot: int, energy_wh: float, state: str = "accepted", **more: Any) -> tuple[Any, ...]:
    row = {"asset_id": "a", "slot_start": NOON + slot * SLOT, "version": 0, "energy_wh": energy_wh, "state": state}
    return tuple((row | {"attempts": 1, "confirmed_at": None} | more).values())


def prepared(
    submitted: list[tuple[Any, ...]],
    held: dict[int, float | None],
    *,
    listed: dict[int, str] | None = None,
    slots: int = 1,
    now: datetime = READ + timedelta(days=1),
) -> list[dict[str, Any]]:
    calendar = pl.DataFrame({"slot_start": [NOON + n * SLOT for n in range(slots)]}).with_columns(
        pl.col("slot_start").cast(INSTANT), local_day=pl.lit(date(2026, 6, 8))
    )
    frame = prepare_exchange(
        calendar,
        pl.DataFrame({"asset_id": ["a"], "rated_power_w": [10_000.0]}),
        pl.DataFrame([("a", NOON)], schema=LIVE, orient="row"),
        submitted=pl.DataFrame(submitted, schema=SUBMITTED, orient="row"),
        held=pl.DataFrame([("a", NOON + n * SLOT, wh, READ) for n, wh in held.items()], schema=HELD, orient="row"),
        listed=pl.DataFrame(
            [("a", NOON + n * SLOT, why, READ) for n, why in (listed or {}).items()], schema=LISTED, orient="row"
        ),
        now=now,
        slot_length=SLOT,
    )
    return frame.to_dicts()


def test_values_that_agree_to_the_exchange_s_digits_dont_differ() -> None:
    (row,) = prepared([sent(0, 123_456.0)], {0: 123_456.1})
    assert (row["exchange_equal"], row["differs"], row["accepted"], row["read_back"]) == (0.0, False, True, True)
    (row,) = prepared([sent(0, 12.0)], {0: 12.03})
    assert row["exchange_equal"] == pytest.approx(0.03)
    assert row["differs"]


def test_newest_version_is_ours_unless_it_was_superseded() -> None:
    versions = [sent(0, 5.0), sent(0, 6.0, version=1), sent(0, 7.0, "superseded", version=2)]
    (row,) = prepared(versions, {0: 6.0})
    assert (row["wanted_wh"], row["differs"]) == (6.0, False)


def test_lost_value_differs_and_its_cause_stands_beside_it() -> None:
    (row,) = prepared([sent(0, 5.0)], {0: None}, listed={0: "missing"})
    assert (row["accepted"], row["exchange_wh"], row["differs"], row["diagnosis"]) == (True, None, True, "missing")


def test_exchange_may_repeat_what_it_took_last_where_nothing_was_sent() -> None:
    before = sent(-40, 5.0, "confirmed")
    rows = prepared([before, sent(3, 5.0, "expired", attempts=0)], {0: 5.0, 1: 0.0, 2: 8.0, 3: 9.0}, slots=4)
    assert [row["exchange_unasked"] for row in rows] == [None, None, 8.0, 9.0]


def test_tried_value_was_asked_for_even_if_nobody_knows_whether_it_arrived() -> None:
    (row,) = prepared([sent(0, 5.0, "expired", attempts=1)], {0: 8.0})
    assert (row["exchange_unasked"], row["accepted"]) == (None, False)


def test_power_is_told_as_a_multiple_of_the_rating() -> None:
    (row,) = prepared([sent(0, 5.0)], {0: 5_000.0})
    assert row["exchange_demand"] == pytest.approx(2.0)


def test_first_read_back_counts_not_the_last() -> None:
    confirmed = sent(0, 5.0, "confirmed", confirmed_at=NOON + timedelta(hours=1))
    (row,) = prepared([confirmed], {0: 5.0})
    assert row["read_back_fresh"] == pytest.approx(0.75)
    (row,) = prepared([sent(0, 5.0)], {})
    assert row["read_back_fresh"] == pytest.approx(25.75)
    assert not row["read_back"]


def test_only_finished_slots_since_the_asset_is_live() -> None:
    assert len(prepared([], {}, slots=8, now=NOON + 3 * SLOT + timedelta(minutes=14))) == 3
