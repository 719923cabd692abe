from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from pipelines.community import Community
from pipelines.validate.prepare import ROWS, USABLE_REGISTERS, channels, prepare


@pytest.fixture
def prepared(
    community: Community, row: Callable[..., dict[str, Any]], noon: datetime
) -> Callable[..., list[dict[str, Any]]]:
    def build(*rows: dict[str, Any], usable: tuple[tuple[str, datetime, float], ...] = ()) -> list[dict[str, Any]]:
        frame = pl.DataFrame([{"id": number, **values} for number, values in enumerate(rows)])
        registers = pl.DataFrame([(*one, "") for one in usable], schema=USABLE_REGISTERS, orient="row")
        answer = prepare(
            frame.select(ROWS.names()).cast(dict(ROWS)), registers, channels(community), now=noon + timedelta(hours=1)
        )
        return answer.to_dicts()

    return build


def test_shared_channel_bears_the_greater_rating_and_takes_the_first_sign(community: Community) -> None:
    known = {row["stream_id"]: row for row in channels(community).to_dicts()}
    shared = {name: known["m/grid/-"][name] for name in ("asset_id", "rated_power_w", "sign", "two_way")}
    assert shared == {"asset_id": "import", "rated_power_w": 20_000.0, "sign": 1.0, "two_way": True}
    assert known["m/tap/-"]["rated_power_w"] == 1_000.0
    assert len(known) == len(community.streams())


def test_interval_and_power_imply_their_mean_power(
    prepared: Callable[..., list[dict[str, Any]]], row: Callable[..., dict[str, Any]]
) -> None:
    interval, power = prepared(
        row(250.0, kind="interval", stream_id="m/interval/-"), row(-70.0, kind="power", stream_id="m/reversed/-")
    )
    # 250 Wh in a quarter of an hour are 1 kW, a tenth of the rated power.
    assert interval["within_rated_power"] == 0.1
    assert (power["within_rated_power"], power["forward_value"]) == (0.007, 70.0)


def test_register_is_compared_with_the_usable_ones_around_it(
    prepared: Callable[..., list[dict[str, Any]]], row: Callable[..., dict[str, Any]], noon: datetime
) -> None:
    hour = timedelta(hours=1)
    usable = (("m/flat0/-", noon - hour, 100.5), ("m/flat0/-", noon + hour, 701.0), ("m/flat1/-", noon - hour, 7.0))
    (late,) = prepared(row(200.5), usable=usable)
    assert (late["register_before_wh"], late["register_wh"], late["register_after_wh"]) == (100.5, 200.5, 701.0)
    assert late["within_rated_power"] == 0.05005  # the hour after it is the steeper one


def test_register_of_fractional_kwh_is_seen_to_count_in_steps(
    prepared: Callable[..., list[dict[str, Any]]], row: Callable[..., dict[str, Any]]
) -> None:
    # 8.03 kWh times 1000 is 8029.999999999999 in floating point; the register counts in steps of 10 Wh.
    _, later = prepared(row(4.02 * 1000), row(8.03 * 1000, minutes=60))
    assert later["within_rated_power"] * 10_000 == pytest.approx(4_010 - 10, abs=1e-6)


def test_value_in_an_unknown_unit_implies_nothing(
    prepared: Callable[..., list[dict[str, Any]]], row: Callable[..., dict[str, Any]]
) -> None:
    (odd,) = prepared(row(5e9, unit="pulses"))
    assert (odd["within_rated_power"], odd["register_wh"], odd["number"]) == (None, None, "finite")


def test_newest_revision_of_a_stamp_comes_first(
    prepared: Callable[..., list[dict[str, Any]]], row: Callable[..., dict[str, Any]], noon: datetime
) -> None:
    def at(second: int) -> datetime:
        return noon + timedelta(seconds=second)

    by_source = (row(1.0, ingested_at=at(9)), row(2.0, revision=1, ingested_at=at(1), received_at=at(5)))
    by_arrival = (
        row(3.0, stream_id="m/flat1/-", received_at=at(9)),
        row(4.0, stream_id="m/flat1/-", revision=1, received_at=at(1), ingested_at=at(99)),
    )
    assert [answer["value"] for answer in prepared(*by_source, *by_arrival)] == [1.0, 2.0, 3.0, 4.0]
    assert [answer["value"] for answer in prepared(*reversed(by_source), *reversed(by_arrival))] == [1.0, 2.0, 3.0, 4.0]
