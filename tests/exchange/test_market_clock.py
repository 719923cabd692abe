import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from pipelines.clock import FixedClock
from pipelines.errors import ExpiredError
from pipelines.exchange import Request
from pipelines.exchange.market_clock import MarketClock
from pipelines.exchange.messages import MarketEvent
from pipelines.exchange.skew import LeadMeter, exact_lead

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SLOT = timedelta(minutes=15)
POST = Request(path="/x/", body=b"{}")
Scripted = Any


def event(name: str, completion: float | None, *, at: datetime, slot: datetime | None = NOON) -> MarketEvent:
    return MarketEvent(event=name, slot=slot, completion=completion, at=at, body={})


def seconds(lead: timedelta | None) -> float | None:
    return None if lead is None else lead.total_seconds()


def test_the_markets_clock_is_the_http_clock_and_its_lead() -> None:
    assert MarketClock(http=FixedClock(NOON), lead=timedelta(seconds=7)).now() == NOON + timedelta(seconds=7)


async def test_nothing_leaves_after_its_deadline_by_the_markets_clock(scripted: Scripted) -> None:
    closes_at = NOON + timedelta(seconds=60)
    scripted.now = closes_at - timedelta(seconds=6)
    async with scripted.client() as client:
        await client.connect()
        client.lead = timedelta(seconds=7)
        with pytest.raises(ExpiredError, match="12:01"):
            await client.post(POST, step="s", closes_at=closes_at)
        assert scripted.requests == []
        client.lead = timedelta(0)
        await client.post(POST, step="s", closes_at=closes_at)
    assert len(scripted.requests) == 1


async def test_a_wait_that_ends_past_the_markets_deadline_is_not_begun(scripted: Scripted) -> None:
    scripted.answers = [httpx.Response(429, headers={"Retry-After": "30"})]
    async with scripted.client() as client:
        await client.connect()
        client.lead = timedelta(seconds=60)
        with pytest.raises(Exception, match="429"):
            await client.post(POST, step="s", closes_at=NOON + timedelta(seconds=80))
    assert scripted.waits == []


async def test_tokens_and_retry_after_stay_on_the_http_clock(scripted: Scripted) -> None:
    scripted.token_life = timedelta(minutes=20)
    at = (NOON + timedelta(seconds=40)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    scripted.answers = [httpx.Response(503, headers={"Retry-After": at}), httpx.Response(200, json={"a": 1})]
    async with scripted.client() as client:
        await client.connect()
        client.lead = timedelta(minutes=19)
        await client.post(POST, step="s", closes_at=None)
    assert len(scripted.logins) == 1
    assert 39 <= scripted.waits[0] <= 45


async def test_asking_the_time_sets_a_clock_that_was_moved(scripted: Scripted) -> None:
    async with scripted.client() as client:
        await client.connect()
        before = client.http_clock
        await client.ask_time()
        assert client.http_clock is before
        scripted.now = NOON + timedelta(hours=3)
        await client.ask_time()
        assert abs(client.http_clock.now() - scripted.now) < timedelta(seconds=2)
    assert scripted.requests == []


async def test_a_time_that_isnt_told_leaves_the_clock_running(scripted: Scripted) -> None:
    async with scripted.client() as client:
        await client.connect()
        before = client.http_clock
        scripted.login_answer = httpx.ConnectError("away")
        await client.ask_time()
        assert client.http_clock is before


@pytest.mark.parametrize(
    ("name", "completion", "slot", "expected"),
    [
        ("market", 0.0, NOON, 7.0),
        ("market", None, NOON, 7.0),
        ("market", 3.0, NOON, None),
        ("market", 0.0, NOON + timedelta(minutes=1), None),
        ("market", 0.0, None, None),
        ("tick", 0.0, NOON, None),
    ],
)
def test_only_the_start_of_a_slot_tells_the_lead_exactly(
    name: str, completion: float | None, slot: datetime | None, expected: float | None
) -> None:
    now = NOON - timedelta(seconds=7)
    assert seconds(exact_lead(event(name, completion, at=now, slot=slot), now=now, slot_length=SLOT)) == expected


def test_the_lead_is_the_median_of_the_last_five_market_events() -> None:
    meter = LeadMeter(SLOT)
    assert meter.lead is None
    for lead in (100, 7, 8, 90, 6, 7):
        assert meter.market(timedelta(seconds=lead))
    # The last five are 7, 8, 90, 6, 7.
    assert seconds(meter.lead) == 7


@pytest.mark.parametrize(("lead", "used"), [(300, True), (-300, True), (301, False), (-301, False)])
def test_a_lead_beyond_five_minutes_is_not_used(lead: int, used: bool) -> None:
    meter = LeadMeter(SLOT)
    assert meter.market(timedelta(seconds=lead)) is used
    assert seconds(meter.lead) == (lead if used else None)


def test_ticks_bound_the_lead_until_a_market_event_tells_it() -> None:
    meter = LeadMeter(SLOT)
    # Engine 7 s ahead, a tick every 15 s: 15 s are 1.67 % of a slot, told as 1 %; 30 s as 3 %, 45 s as 5 %.
    meter.tick(event("tick", 1.0, at=NOON + timedelta(seconds=8)))
    assert seconds(meter.lead) == pytest.approx(5.5)  # [1, 10)
    meter.tick(event("tick", 3.0, at=NOON + timedelta(seconds=23)))
    assert seconds(meter.lead) == pytest.approx(7.0)  # [4, 10)
    meter.tick(event("tick", 5.0, at=NOON + timedelta(seconds=38)))
    assert seconds(meter.lead) == pytest.approx(8.5)  # [7, 10)
    meter.market(timedelta(seconds=7))
    assert seconds(meter.lead) == 7


def test_a_tick_that_contradicts_the_bounds_begins_anew() -> None:
    meter = LeadMeter(SLOT)
    meter.tick(event("tick", 1.0, at=NOON + timedelta(seconds=8)))
    meter.tick(event("tick", 10.0, at=NOON + timedelta(seconds=30)))
    assert seconds(meter.lead) == pytest.approx(64.5)  # [60, 69)


def test_a_clock_that_was_set_forgets_what_was_measured() -> None:
    meter = LeadMeter(SLOT)
    meter.market(timedelta(seconds=60))
    meter.tick(event("tick", 1.0, at=NOON))
    meter.clock_was_set()
    assert meter.lead is None


async def test_the_time_is_not_waited_for_long(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.exchange.client.ASK_TIME_S", 0.01)

    async def silent(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError("never answered")

    async with scripted.client() as client:
        await client.connect()
        before = client.http_clock
        client.http = httpx.AsyncClient(base_url="https://exchange.example", transport=httpx.MockTransport(silent))
        await client.ask_time()
        await client.http.aclose()
        assert client.http_clock is before
