"""The engine's time: ticks, market cycles, and what waits for them."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.clock import FixedClock
from pipelines.sandbox.exchange.app import create_app
from pipelines.sandbox.exchange.ctn import Ctn, Tellers, open_ctn
from pipelines.sandbox.exchange.faults import Rule
from pipelines.sandbox.exchange.hub import Mailbox
from pipelines.sandbox.exchange.ways_in import read_origin

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
SINGLE = f"/external-connection/api/{SIMULATION}/load/set_energy_forecast/"
KEYED = f"/external-connection/api/{SIMULATION}/load/set-energy-forecast/"
TICK = timedelta(seconds=15)
SLOT = timedelta(minutes=15)
Opener = Callable[..., Ctn]


@pytest.fixture
def opened(registry_file: Path, clock: FixedClock) -> Iterator[Opener]:
    """Opens networks that end with the test."""
    found: list[Ctn] = []

    def open_one(**settings: Any) -> Ctn:
        found.append(open_ctn(twin=read_origin(registry_file).twin, clock=clock, admin=("a", "b"), **settings))
        return found[-1]

    yield open_one
    for ctn in found:
        ctn.close()


async def post(ctn: Ctn, body: dict[str, object], path: str = SINGLE) -> dict[str, Any]:
    token = await ctn.people.login("a", "b")
    transport = httpx.ASGITransport(create_app(ctn))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        answer = await client.post(path, json=body, headers={"Authorization": f"JWT {token}"})
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def heard(mailbox: Mailbox) -> list[dict[str, Any]]:
    found = []
    while mailbox._messages.qsize():
        found.append(json.loads(mailbox._messages.get_nowait()))
    return found


async def test_command_is_answered_at_the_next_tick_and_counts(
    opened: Opener, clock: FixedClock, noon: datetime
) -> None:
    ctn = opened(tick=TICK)
    mailbox = ctn.hub.join("load")
    answer = await post(ctn, {"energy_Wh": 250, "transaction_id": "t"})
    assert answer == {"command": "set_energy_forecast", "status": "queued", "transaction_id": "t"}
    clock.set(clock.now() + TICK / 2)
    ctn.advance()
    assert heard(mailbox) == []
    clock.set(clock.now() + TICK / 2)
    ctn.advance()
    assert heard(mailbox) == [{"command": "set_energy_forecast", "status": "ready", "transaction_id": "t"}]
    clock.set(noon + SLOT)
    ctn.advance()
    assert ctn.market.profile("load", noon + SLOT, noon + 2 * SLOT) == {noon + SLOT: 0.25}


async def test_at_once_the_listeners_are_told_what_the_reply_says(opened: Opener) -> None:
    ctn = opened()
    mailbox = ctn.hub.join("load")
    ready = await post(ctn, {"energy_Wh": 250, "transaction_id": "t"})
    refused = await post(ctn, {"energy_Wh": -1, "transaction_id": "u"})
    assert (ready["status"], refused["status"]) == ("ready", "error")
    assert heard(mailbox) == [ready, refused]


async def test_command_that_waits_when_the_market_cycle_comes_is_refused(
    opened: Opener, clock: FixedClock, noon: datetime
) -> None:
    clock.set(noon + SLOT - timedelta(seconds=5))
    ctn = opened(tick=TICK)
    mailbox = ctn.hub.join("load")
    await post(ctn, {"energy_forecast": {"2026-03-02T12:30": 0.25}, "transaction_id": "t"}, KEYED)
    clock.set(noon + SLOT)
    ctn.advance()
    arguments = "{'energy_forecast': {'2026-03-02T12:30': 0.25}, 'transaction_id': 't'}"
    assert heard(mailbox) == [
        {
            "command": "set_energy_forecast",
            "status": "error",
            "error_message": f"Error when handling set_energy_forecast on area Flat with arguments {arguments}."
            "Market cycle already finished.",
        }
    ]
    clock.set(noon + 2 * SLOT)
    ctn.advance()
    assert ctn.market.profile("load", noon + SLOT, noon + 3 * SLOT) == {noon + SLOT: 0.0, noon + 2 * SLOT: 0.0}
    assert [entry["answer"] for entry in ctn.journal.entries()] == ["error"]


async def test_command_with_a_tick_left_is_served_though_nobody_looked_until_the_cycle(
    opened: Opener, clock: FixedClock, noon: datetime
) -> None:
    clock.set(noon + SLOT - timedelta(seconds=20))
    ctn = opened(tick=TICK)
    await post(ctn, {"energy_Wh": 250})
    clock.set(noon + SLOT)
    ctn.advance()
    assert ctn.market.profile("load", noon + SLOT, noon + 2 * SLOT) == {noon + SLOT: 0.25}


def test_slots_begin_earlier_by_the_lead(opened: Opener, clock: FixedClock, noon: datetime) -> None:
    ctn = opened(lead=timedelta(seconds=7))
    clock.set(noon + SLOT - timedelta(seconds=8))
    ctn.advance()
    assert ctn.market.slot == noon
    assert ctn.next_tick() == noon + SLOT - timedelta(seconds=7)
    clock.set(noon + SLOT - timedelta(seconds=7))
    ctn.advance()
    assert ctn.market.slot == noon + SLOT


def test_late_tick_holds_the_cycle_back_once(opened: Opener, clock: FixedClock, noon: datetime) -> None:
    ctn = opened()
    ctn.faults.replace([Rule.model_validate({"do": "late_tick", "seconds": 5, "times": 1})])

    def slot_at(seconds: float, slots: int) -> datetime:
        clock.set(noon + slots * SLOT + timedelta(seconds=seconds))
        ctn.advance()
        return ctn.market.slot

    assert slot_at(0, 1) == noon
    assert slot_at(4.9, 1) == noon
    assert slot_at(5, 1) == noon + SLOT
    assert slot_at(0, 2) == noon + 2 * SLOT


async def test_post_that_comes_before_a_late_cycle_drives_the_slot(
    opened: Opener, clock: FixedClock, noon: datetime
) -> None:
    ctn = opened()
    ctn.faults.replace([Rule.model_validate({"do": "late_tick", "seconds": 5})])
    clock.set(noon + SLOT + timedelta(seconds=3))
    await post(ctn, {"energy_forecast": {"2026-03-02T12:15": 0.5}}, KEYED)
    clock.set(noon + SLOT + timedelta(seconds=5))
    ctn.advance()
    assert ctn.market.profile("load", noon + SLOT, noon + 2 * SLOT) == {noon + SLOT: 0.5}


def test_listeners_are_told_of_cycles_and_ticks_and_of_a_jump_once(
    opened: Opener, clock: FixedClock, noon: datetime
) -> None:
    told: list[tuple[object, ...]] = []
    ctn = opened(tick=timedelta(minutes=3))
    ctn.tellers = Tellers(
        cycle=lambda _, slot: told.append(("cycle", slot)),
        tick=lambda _, slot, percent: told.append(("tick", slot, percent)),
        finish=lambda _: told.append(("finish",)),
    )
    for minutes in (2, 3, 5, 6, 15, 16, 365 * 24 * 60 + 4):
        clock.set(noon + timedelta(minutes=minutes))
        ctn.advance()
    ctn.finish()
    year = noon + timedelta(days=365)
    assert told == [
        ("tick", noon, 20),
        ("tick", noon, 40),
        ("cycle", noon + SLOT),
        ("cycle", year),
        ("tick", year, 20),
        ("finish",),
    ]
