"""Golden wire tests: each request byte for byte."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pipelines.exchange import PROTOCOLS, Command, Envelope, Request
from pipelines.frames import Quantity

SLOT = datetime(2016, 10, 30, 0, 30, tzinfo=UTC)


def request(protocol: str, quantity: Quantity, energy_wh: dict[datetime, float]) -> Request:
    envelope = Envelope(simulation="b4d5", transaction_id="7c1f", aggregator="a66a")
    return PROTOCOLS[protocol].request(envelope, [Command(asset="e81a", quantity=quantity, energy_wh=energy_wh)])


def test_rest_posts_one_scalar_in_wh() -> None:
    assert request("rest", Quantity.FORECAST, {SLOT: 812.5}) == Request(
        path="/external-connection/api/b4d5/e81a/set_energy_forecast/",
        body=b'{"energy_Wh":812.5,"transaction_id":"7c1f"}',
    )


def test_sdk_posts_forecasts_keyed_by_slot_in_kwh() -> None:
    assert request("sdk", Quantity.FORECAST, {SLOT: 812.5}) == Request(
        path="/external-connection/api/b4d5/e81a/set-energy-forecast/",
        body=b'{"energy_forecast":{"2016-10-30T00:30":0.8125},"transaction_id":"7c1f"}',
    )


def test_sdk_posts_measurements_of_many_slots_in_order() -> None:
    energy = {SLOT + timedelta(minutes=15): 300.0, SLOT: 0.1 + 0.2}
    assert request("sdk", Quantity.MEASUREMENT, energy) == Request(
        path="/external-connection/api/b4d5/e81a/set-energy-measurement/",
        body=b'{"energy_measurement":{"2016-10-30T00:30":0.0003,"2016-10-30T00:45":0.3},"transaction_id":"7c1f"}',
    )


def test_slots_are_written_in_utc_whatever_zone_they_come_in() -> None:
    summer = SLOT.astimezone(timezone(timedelta(hours=2)))
    assert b"2016-10-30T00:30" in request("sdk", Quantity.FORECAST, {summer: 1.0}).body


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.001])
@pytest.mark.parametrize("protocol", ["rest", "sdk", "batch"])
def test_nothing_unsound_is_ever_encoded(protocol: str, value: float) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        request(protocol, Quantity.FORECAST, {SLOT: value})


def test_rest_carries_no_measurement_and_no_second_slot() -> None:
    with pytest.raises(ValueError, match="one forecast"):
        request("rest", Quantity.MEASUREMENT, {SLOT: 1.0})
    with pytest.raises(ValueError, match="one forecast"):
        request("rest", Quantity.FORECAST, {SLOT: 1.0, SLOT + timedelta(minutes=15): 2.0})
