"""The listener against a websocket server on loopback that does what the exchange's wire says, or breaks it."""

import asyncio
import contextlib
import gc
import json
import logging
import logging.config
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from pipelines.community import ExchangeSection
from pipelines.exchange.expected import CYCLE_OVER
from pipelines.exchange.link import FIRST_WAIT_S, LONGEST_WAIT_S
from pipelines.exchange.listener import KEPT_MESSAGES, Listener, aggregator_url, asset_url, open_listener
from pipelines.exchange.messages import Answer, MarketEvent

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SLOT = timedelta(minutes=15)
PATH = "/external-ws/sim/load-1/"
SOON = 5.0
Scripted = Any

FORECAST = "set_energy_forecast"
RACE = (
    "Error when handling set_energy_forecast on area Flat 3 with arguments {'energy_forecast': {}}."
    "Market cycle already finished."
)


class FakeExchange:
    """The exchange's websocket: opens for good tokens, then sends what the test hands it."""

    def __init__(self) -> None:
        self.port = 0
        self.paths: list[str] = []
        self.tokens: list[str] = []
        self.refusals: list[HTTPStatus] = []
        self.location = ""
        self.close_at_once = 0
        self._sockets: asyncio.Queue[ServerConnection] = asyncio.Queue()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}{PATH}"

    def judge(self, _socket: ServerConnection, request: Request) -> Response | None:
        self.paths.append(request.path)
        self.tokens.append(request.headers.get("Authorization", ""))
        if not self.refusals:
            return None
        status = self.refusals.pop(0)
        headers = Headers({"Location": self.location} if self.location else {})
        return Response(status.value, status.phrase, headers, b"")

    async def serve_one(self, socket: ServerConnection) -> None:
        if self.close_at_once:
            self.close_at_once -= 1
            return
        self._sockets.put_nowait(socket)
        with contextlib.suppress(ConnectionClosed):
            async for _ in socket:
                raise AssertionError("GSy's clients never send anything")

    async def socket(self) -> ServerConnection:
        """The next connection."""
        async with asyncio.timeout(SOON):
            return await self._sockets.get()


@contextlib.asynccontextmanager
async def serving(exchange: FakeExchange, port: int = 0) -> AsyncIterator[Server]:
    async with serve(exchange.serve_one, "127.0.0.1", port, process_request=exchange.judge) as server:
        exchange.port = server.sockets[0].getsockname()[1]
        yield server


@pytest.fixture
async def exchange() -> AsyncIterator[FakeExchange]:
    fake = FakeExchange()
    async with serving(fake):
        yield fake


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def listening(scripted: Scripted, exchange: FakeExchange, waits: list[float]) -> Callable[..., Any]:
    """Opens a listener of a logged-in client whose HTTP clock tells 12:00."""

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    @contextlib.asynccontextmanager
    async def opened(sleep: Callable[[float], Awaitable[None]] = sleep) -> AsyncIterator[Listener]:
        async with scripted.client() as client:
            await client.connect()
            async with open_listener(client, url=exchange.url, slot_length=SLOT, sleep=sleep) as listener:
                yield listener

    return opened


def frame(**body: object) -> bytes:
    """As the exchange sends it: binary."""
    return json.dumps(body).encode()


def answer(transaction_id: str, **more: object) -> bytes:
    return frame(command=FORECAST, transaction_id=transaction_id, status="ready", **more)


def market(slot: str = "2026-03-02T12:15", **more: object) -> bytes:
    return frame(event="market", market_slot=slot, slot_completion="0%", grid_tree={}, **more)


async def next_of(stream: AsyncIterator[Any]) -> Any:
    async with asyncio.timeout(SOON):
        return await anext(stream)


async def test_it_connects_as_the_exchange_wants_it(exchange: FakeExchange, listening: Any) -> None:
    async with listening() as listener:
        assert await listener.wait_connected(SOON)
        assert listener.connected
    assert exchange.paths == [PATH]
    assert exchange.tokens[0].startswith("JWT ey")


async def test_an_answer_reaches_the_one_who_asked(exchange: FakeExchange, listening: Any) -> None:
    async with listening() as listener:
        mine, other = listener.expect(FORECAST, "t-1"), listener.expect(FORECAST, "t-2")
        measured = listener.expect("set_energy_measurement", "t-1")
        socket = await exchange.socket()
        await socket.send(answer("t-2", area_uuid="b"))
        await socket.send(answer("t-1", area_uuid="a"))
        assert await mine.within(SOON) == {
            "command": FORECAST,
            "transaction_id": "t-1",
            "status": "ready",
            "area_uuid": "a",
        }
        found = await other.within(SOON)
        assert found is not None
        assert found["area_uuid"] == "b"
        assert await measured.within(0) is None


async def test_an_answer_that_comes_before_it_is_awaited_isnt_lost(exchange: FakeExchange, listening: Any) -> None:
    async with listening() as listener:
        expected = listener.expect(FORECAST, "t-1")
        socket = await exchange.socket()
        await socket.send(answer("t-1"))
        await socket.send(market())
        await next_of(listener.events)  # what came after the answer is here, so the answer is
        found = await expected.within(0)
        assert found is not None
        assert found["status"] == "ready"


async def test_an_answer_wakes_the_one_who_waits_already(exchange: FakeExchange, listening: Any) -> None:
    async with listening() as listener:
        socket = await exchange.socket()
        waiting = asyncio.create_task(listener.expect(FORECAST, "t-1").within(SOON))
        await asyncio.sleep(0)
        await socket.send(answer("t-1"))
        assert (await waiting or {})["transaction_id"] == "t-1"


async def test_text_frames_are_understood_too(exchange: FakeExchange, listening: Any) -> None:
    async with listening() as listener:
        expected = listener.expect(FORECAST, "t-1")
        await (await exchange.socket()).send(answer("t-1").decode())
        assert await expected.within(SOON) is not None


async def test_no_answer_in_time_is_none(exchange: FakeExchange, listening: Any) -> None:
    async with listening() as listener:
        await exchange.socket()
        assert await listener.expect(FORECAST, "t-1").within(0.01) is None


@pytest.mark.parametrize("transaction_id", [{}, {"transaction_id": None}, {"transaction_id": ""}], ids=str)
async def test_the_race_reaches_all_who_wait_for_that_command(
    exchange: FakeExchange, listening: Any, transaction_id: dict[str, object]
) -> None:
    async with listening() as listener:
        first, second = listener.expect(FORECAST, "t-1"), listener.expect(FORECAST, "t-2")
        served, measured = listener.expect(FORECAST, "t-0"), listener.expect("set_energy_measurement", "t-3")
        socket = await exchange.socket()
        await socket.send(answer("t-0"))
        await socket.send(frame(command=FORECAST, status="error", error_message=RACE, **transaction_id))
        for raced in (first, second):
            found = await raced.within(SOON)
            assert found is not None
            assert found["error_message"] == RACE
        assert (await served.within(0) or {})["status"] == "ready"
        assert await served.within(0) is None
        assert await measured.within(0) is None


async def test_the_race_reaches_a_batch_that_is_out_and_its_own_answer_still_does(
    exchange: FakeExchange, listening: Any
) -> None:
    async with listening() as listener:
        batch = listener.expect("batch_commands", "t-1")
        socket = await exchange.socket()
        await socket.send(frame(command=FORECAST, status="error", error_message="Incorrect request"))
        await socket.send(frame(command=FORECAST, status="error", error_message=RACE))
        await socket.send(frame(command="batch_commands", transaction_id="t-1", responses={"a": []}))
        raced = await batch.within(SOON)
        assert raced is not None
        assert CYCLE_OVER in str(raced["error_message"]).lower()
        assert (await batch.within(SOON) or {})["responses"] == {"a": []}


async def test_what_nobody_waits_for_is_forgotten(exchange: FakeExchange, listening: Any) -> None:
    async with listening() as listener:
        for number in range(1000):
            listener.expect(FORECAST, f"t-{number}")
        gc.collect()
        kept = listener.expect(FORECAST, "t-1")
        assert list(listener._expectations._all.values()) == [kept]


GARBAGE = [
    b"\xff\xfe\x00",
    b"",
    b"{",
    b"[1, 2]",
    b"null",
    b'"text"',
    b"{}",
    b'{"event": 7}',
    b'{"command": null}',
    b"[" * 100_000,
    b"1" * 5000,
]


async def test_garbage_is_counted_and_passed_over(exchange: FakeExchange, listening: Any) -> None:
    async with listening() as listener:
        expected = listener.expect(FORECAST, "t-1")
        socket = await exchange.socket()
        for junk in GARBAGE:
            await socket.send(junk)
        await socket.send(answer("t-1"))
        assert await expected.within(SOON) is not None
        assert listener.connected
        assert listener.ignored == len(GARBAGE)


async def test_events_carry_what_they_say(exchange: FakeExchange, listening: Any) -> None:
    async with listening() as listener:
        socket = await exchange.socket()
        await socket.send(
            frame(event="tick", market_slot="2026-03-02T12:00", slot_completion="12%", grid_tree={"a": {}})
        )
        await socket.send(frame(event="selected_by_device", device_uuid="load-1"))
        await socket.send(frame(event="tick", market_slot="noon", slot_completion="400%"))
        await socket.send(frame(event="finish"))
        tick, selected, odd, finish = [await next_of(listener.events) for _ in range(4)]
    assert (tick.event, tick.slot, tick.completion) == ("tick", NOON, 12.0)
    assert tick.body["grid_tree"] == {"a": {}}
    assert (selected.event, selected.slot, selected.body["device_uuid"]) == ("selected_by_device", None, "load-1")
    assert (odd.slot, odd.completion) == (None, None)
    assert finish.event == "finish"


async def test_messages_hold_answers_beside_events_and_end_with_the_listener(
    exchange: FakeExchange, listening: Any
) -> None:
    async with listening() as listener:
        socket = await exchange.socket()
        await socket.send(answer("t-9"))
        await socket.send(frame(event="finish"))
        first, second = [await next_of(listener.messages) for _ in range(2)]
        stream = listener.messages
    assert isinstance(first, Answer)
    assert first.transaction_id == "t-9"
    assert isinstance(second, MarketEvent)
    assert [message async for message in stream] == []


async def test_the_lead_is_measured_when_a_slot_begins(
    scripted: Scripted, exchange: FakeExchange, listening: Any
) -> None:
    scripted.now = NOON + timedelta(minutes=14, seconds=53)
    async with listening() as listener:
        assert listener.lead is None
        await (await exchange.socket()).send(market("2026-03-02T12:15"))
        event = await next_of(listener.events)
        # The slot began 7 s early; HTTP stamps have whole seconds.
        assert timedelta(seconds=5) < event.lead <= timedelta(seconds=7)
        assert listener.lead == event.lead
        assert listener.lead_problem == ""


async def test_a_lead_beyond_the_bound_is_told_and_not_used(
    scripted: Scripted, exchange: FakeExchange, listening: Any
) -> None:
    async with listening() as listener:
        await (await exchange.socket()).send(market("2026-03-02T12:15"))  # the HTTP clock tells 12:00
        event = await next_of(listener.events)
        assert event.lead is None
        assert listener.lead is None
        assert "2026-03-02 12:15 UTC" in listener.lead_problem


async def test_a_driven_clock_that_leapt_shows_no_lead(
    scripted: Scripted, exchange: FakeExchange, listening: Any
) -> None:
    scripted.now = NOON + timedelta(minutes=12)
    async with listening() as listener:
        socket = await exchange.socket()
        for slot in (NOON + SLOT, NOON + 2 * SLOT):
            scripted.now = slot
            await socket.send(market(f"{slot:%Y-%m-%dT%H:%M}"))
            event = await next_of(listener.events)
            assert abs(event.lead) < timedelta(seconds=2)
            assert listener.lead == event.lead


async def test_a_flood_of_market_events_asks_for_the_time_once_a_slot(
    scripted: Scripted, exchange: FakeExchange, listening: Any
) -> None:
    scripted.now = NOON + SLOT
    async with listening() as listener:
        asked_before = len(scripted.logins)
        socket = await exchange.socket()
        for _ in range(50):
            await socket.send(market())
        events = [await next_of(listener.events) for _ in range(50)]
    assert sum(event.lead is not None for event in events) == 1
    assert len(scripted.logins) == asked_before + 1


async def test_a_flood_that_nobody_reads_fills_no_memory(exchange: FakeExchange, listening: Any) -> None:
    async with listening() as listener:
        expected = listener.expect(FORECAST, "last")
        socket = await exchange.socket()
        for number in range(1000):
            await socket.send(frame(event="tick", number=number))
        await socket.send(answer("last"))
        assert await expected.within(SOON) is not None
        assert listener.dropped == 1001 - KEPT_MESSAGES
        oldest = await next_of(listener.events)
        assert oldest.body["number"] == 1001 - KEPT_MESSAGES


async def test_great_messages_that_nobody_reads_fill_no_memory(exchange: FakeExchange, listening: Any) -> None:
    async with listening() as listener:
        expected = listener.expect(FORECAST, "last")
        socket = await exchange.socket()
        for _ in range(12):
            await socket.send(frame(event="tick", grid_tree="x" * 2**20))
        await socket.send(answer("last"))
        assert await expected.within(SOON) is not None
        assert listener.dropped == 5  # 8 MiB hold seven messages of a little more than 1 MiB, and the small answer


async def test_it_comes_back_after_a_close_and_answers_go_on(
    exchange: FakeExchange, listening: Any, waits: list[float]
) -> None:
    async with listening() as listener:
        expected = listener.expect(FORECAST, "t-1")
        await (await exchange.socket()).close(1011)
        await (await exchange.socket()).send(answer("t-1"))
        assert await expected.within(SOON) is not None
    assert len(waits) == 1
    assert FIRST_WAIT_S / 2 <= waits[0] <= FIRST_WAIT_S


async def test_a_torn_connection_is_opened_again(exchange: FakeExchange, listening: Any) -> None:
    async with listening() as listener:
        (await exchange.socket()).transport.abort()
        await exchange.socket()
        assert await listener.wait_connected(SOON)


async def test_waits_between_tries_double_and_are_bounded(
    exchange: FakeExchange, listening: Any, waits: list[float]
) -> None:
    exchange.close_at_once = 9
    async with listening():
        await exchange.socket()
    doubled = [min(FIRST_WAIT_S * 2**n, LONGEST_WAIT_S) for n in range(9)]
    assert [most / 2 <= wait <= most for wait, most in zip(waits, doubled, strict=True)] == [True] * 9


@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN])
async def test_a_refused_token_is_replaced_once(
    scripted: Scripted, exchange: FakeExchange, listening: Any, waits: list[float], status: HTTPStatus
) -> None:
    exchange.refusals = [status]
    async with listening() as listener:
        assert await listener.wait_connected(SOON)
    assert len(set(exchange.tokens)) == 2
    assert len(scripted.logins) == 2
    assert waits == []


async def test_a_socket_that_stays_refused_doesnt_log_in_again_and_again(
    scripted: Scripted, exchange: FakeExchange, listening: Any, waits: list[float]
) -> None:
    exchange.refusals = [HTTPStatus.FORBIDDEN] * 6
    async with listening() as listener:
        assert await listener.wait_connected(SOON)
    assert len(scripted.logins) == 2
    # The first refusal is answered by a new token at once, the other five by a wait.
    assert len(waits) == 5


async def test_a_refused_login_ends_the_tries(scripted: Scripted, exchange: FakeExchange, listening: Any) -> None:
    exchange.refusals = [HTTPStatus.UNAUTHORIZED]

    async def handle(request: Any, answered: Any = scripted.handle) -> Any:
        if scripted.logins:
            scripted.login_answer = httpx.Response(401)
        return await answered(request)

    scripted.handle = handle
    async with listening() as listener:
        assert not await listener.wait_connected(SOON)
        assert "SLOTFEED_EXCHANGE_PASSWORD" in listener.problem
        assert await listener.expect(FORECAST, "t-1").within(SOON) is None
        assert [event async for event in listener.events] == []
    assert len(scripted.logins) == 2


async def test_no_token_follows_a_redirect(exchange: FakeExchange, listening: Any) -> None:
    elsewhere = FakeExchange()
    async with serving(elsewhere):
        exchange.refusals, exchange.location = [HTTPStatus.TEMPORARY_REDIRECT], elsewhere.url
        async with listening() as listener:
            await exchange.socket()
            assert await listener.wait_connected(SOON)
    assert elsewhere.paths == []


async def test_a_socket_that_is_sent_away_tells_where_to(scripted: Scripted, exchange: FakeExchange) -> None:
    exchange.refusals = [HTTPStatus.PERMANENT_REDIRECT]
    exchange.location = "wss://u:secret@elsewhere.example/external-ws/?t=x"
    tried = asyncio.Event()

    async def once(_seconds: float) -> None:
        tried.set()
        await asyncio.Event().wait()

    async with (
        scripted.client() as client,
        open_listener(client, url=exchange.url, slot_length=SLOT, sleep=once) as listener,
    ):
        async with asyncio.timeout(SOON):
            await tried.wait()
        told = "the socket is redirected to elsewhere.example (308), where nothing is sent"
        assert listener.problem == f"{told}; correct `exchange.websocket_url`"


async def test_a_socket_that_is_away_fails_nothing(
    scripted: Scripted, exchange: FakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.exchange.expected.AWAY_S", 0.01)
    tried = asyncio.Event()

    async def once(_seconds: float) -> None:
        tried.set()
        await asyncio.Event().wait()

    async with scripted.client() as client:
        await client.connect()
        # Nothing listens on the port of a server that is gone.
        gone = FakeExchange()
        async with serving(gone):
            pass
        async with open_listener(client, url=gone.url, slot_length=SLOT, sleep=once) as listener:
            async with asyncio.timeout(SOON):
                await tried.wait()
            assert not listener.connected
            assert "no socket" in listener.problem
            assert await listener.expect(FORECAST, "t-1").within(60) is None


async def test_a_frame_too_large_costs_the_connection_and_no_more(
    exchange: FakeExchange, listening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.exchange.link.LARGEST_FRAME", 1000)
    async with listening() as listener:
        expected = listener.expect(FORECAST, "t-1")
        await (await exchange.socket()).send(b"x" * 2000)
        await (await exchange.socket()).send(answer("t-1"))
        assert await expected.within(SOON) is not None


async def test_no_log_holds_the_token(
    exchange: FakeExchange, listening: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The test's own server logs under the library's name; what is looked at is the client's side.
    monkeypatch.setattr(logging.getLogger("websockets.server"), "disabled", True)
    exchange.refusals = [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN]
    # What a host's own configuration does to loggers that are there already.
    logging.config.dictConfig(
        {"version": 1, "incremental": True, "loggers": {"slotfeed.websocket": {"level": "DEBUG"}}}
    )
    with caplog.at_level(logging.DEBUG):
        async with listening() as listener:
            await exchange.socket()
            assert await listener.wait_connected(SOON)
    for token in exchange.tokens:
        assert token.removeprefix("JWT ") not in caplog.text


def test_addresses() -> None:
    section = ExchangeSection(base_url="https://gsyweb.example/")
    assert asset_url(section, "sim", "load-1") == "wss://gsyweb.example/external-ws/sim/load-1/"
    assert aggregator_url(section, "sim", "a b") == "wss://gsyweb.example/external-ws/sim/aggregator/a%20b/"
    local = ExchangeSection(base_url="http://127.0.0.1:8700")
    assert asset_url(local, "sim", "load-1") == "ws://127.0.0.1:8700/external-ws/sim/load-1/"
    named = ExchangeSection(base_url="https://gsyweb.example", websocket_url="wss://ws.example/ws/")
    assert asset_url(named, "sim", "load-1") == "wss://ws.example/ws/sim/load-1/"
