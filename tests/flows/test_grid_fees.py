"""`slotfeed grid-fees` against the sandbox's exchange."""

from collections.abc import Callable
from typing import Any

import yaml

Place = Any
Command = Callable[..., tuple[int, str]]
AT = "2016-10-29T21:47Z"


def plan(place: Place, *fees: dict[str, Any]) -> None:
    document = yaml.safe_load(place.file.read_text())
    place.file.write_text(yaml.safe_dump(document | {"grid_fees": list(fees)}))


def test_without_a_plan_there_is_nothing_to_do(place: Place, slotfeed: Command) -> None:
    status, told = slotfeed("grid-fees", "--at", AT)
    assert status == 0, told
    assert "nothing to do: the file plans no grid fees" in told
    assert "The file plans no grid fees" in slotfeed("grid-fees", "show")[1]


def test_an_unknown_market_fails_with_its_name_and_a_dry_run_sets_nothing(place: Place, slotfeed: Command) -> None:
    fee = {"market": "Nowhere", "uuid": "11111111-1111-4111-8111-111111111111", "cents_per_kwh": 2.5}
    plan(place, fee)
    status, told = slotfeed("grid-fees", "--at", AT, "--dry-run")
    assert (status, "market 'Nowhere': unknown -> 2.5 ct/kWh, would be set" in told) == (0, True), told
    assert "grid-fee/" not in place.exchange.get("/sandbox/journal").text
    status, told = slotfeed("grid-fees", "--at", AT)
    assert status == 1
    assert "market 'Nowhere'" in told


def test_a_market_planned_twice_is_a_fault_before_anything_is_asked(place: Place, slotfeed: Command) -> None:
    fee = {"market": "Grid", "uuid": "11111111-1111-4111-8111-111111111111", "cents_per_kwh": 2.5}
    plan(place, fee, fee)
    status, told = slotfeed("grid-fees")
    assert status == 1
    assert "has this uuid too" in told
