import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from pipelines.clock import FixedClock
from pipelines.deliver.outbox import LEASE
from pipelines.errors import (
    AuthenticationError,
    ExchangeMoved,
    ExchangeUnavailable,
    ExpiredError,
    RejectedError,
    SlotfeedError,
)
from pipelines.exchange import Request, open_exchange
from pipelines.exchange.client import ALL_ATTEMPTS_S, ATTEMPTS, REQUEST_S

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
POST = Request(path="/x/", body=b"{}")
Scripted = Any


async def test_one_login_serves_all_posts(scripted: Scripted) -> None:
    async with scripted.client() as client:
        for _ in range(5):
            await client.post(POST, step="s", closes_at=None)
    assert len(scripted.logins) == 1
    assert json.loads(scripted.logins[0].content) == {"username": "me", "password": "hush"}
    assert {r.headers["Authorization"][:4] for r in scripted.requests} == {"JWT "}
    assert {r.headers["Content-Type"] for r in scripted.requests} == {"application/json"}


async def test_a_token_about_to_expire_is_renewed_before_use(scripted: Scripted) -> None:
    scripted.token_life = timedelta(seconds=0)
    async with scripted.client() as client:
        await client.post(POST, step="s", closes_at=None)
        scripted.token_life = timedelta(hours=1)
        await client.post(POST, step="s", closes_at=None)
        await client.post(POST, step="s", closes_at=None)
    assert len(scripted.logins) == 2


async def test_a_refused_token_is_renewed_once_for_all_workers(scripted: Scripted) -> None:
    good: set[str] = set()

    def judge(request: httpx.Request) -> httpx.Response:
        if len(scripted.logins) == 1:
            return httpx.Response(401)
        good.add(request.headers["Authorization"])
        return httpx.Response(200, json={"status": "ready"})

    scripted.answers = [judge]
    async with scripted.client() as client:
        await asyncio.gather(*(client.post(POST, step="s", closes_at=None) for _ in range(8)))
    assert len(scripted.logins) == 2
    assert len(good) == 1


async def test_a_login_that_is_refused_is_not_tried_by_each_worker(scripted: Scripted) -> None:
    async with scripted.client() as client:
        await client.connect()
        scripted.answers, scripted.login_answer = [httpx.Response(401)], httpx.Response(401)
        ended = await asyncio.gather(
            *(client.post(POST, step="s", closes_at=None) for _ in range(8)), return_exceptions=True
        )
    assert {type(one) for one in ended} == {AuthenticationError}
    assert len(scripted.logins) == 2


async def test_a_login_that_is_redirected_names_the_host_and_quotes_nothing(scripted: Scripted) -> None:
    scripted.login_answer = httpx.Response(307, headers={"Location": "https://elsewhere.example/?t=x"}, text="page")
    async with scripted.client() as client:
        told = r"redirected to elsewhere\.example \(307\), where nothing is sent; correct `exchange\.base_url`"
        with pytest.raises(ExchangeMoved, match=told):
            await client.connect()
        assert len(scripted.logins) == 5
        scripted.login_answer = httpx.Response(200, text="page with half a token")
        with pytest.raises(ExchangeUnavailable, match=r"without JSON: \(not quoted\)$"):
            await client.connect()


async def test_a_key_that_stands_twice_is_no_answer(scripted: Scripted) -> None:
    scripted.answers = [httpx.Response(200, text='{"status": "ready", "status": "error"}')]
    async with scripted.client() as client:
        with pytest.raises(ExchangeUnavailable, match="a key that stands there twice"):
            await client.post(POST, step="s", closes_at=None)


async def test_a_new_token_that_is_refused_too_ends_it(scripted: Scripted) -> None:
    scripted.answers = [httpx.Response(401)]
    async with scripted.client() as client:
        with pytest.raises(AuthenticationError, match="just issued"):
            await client.post(POST, step="s", closes_at=None)
    assert len(scripted.requests) == 3
    assert len(scripted.logins) == 3


async def test_a_token_that_ends_while_its_first_request_is_on_its_way_is_replaced_again(scripted: Scripted) -> None:
    scripted.answers = [httpx.Response(401), httpx.Response(401), httpx.Response(200, json={"status": "ready"})]
    async with scripted.client() as client:
        assert await client.post(POST, step="s", closes_at=None) == {"status": "ready"}
    assert len(scripted.logins) == 3


async def test_a_wrong_password_is_told_without_being_repeated(scripted: Scripted) -> None:
    scripted.login_answer = httpx.Response(401, text="hush is wrong")
    async with scripted.client() as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.connect()
    assert "SLOTFEED_EXCHANGE_PASSWORD" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert len(scripted.logins) == 1


@pytest.mark.parametrize("key", ["access", "token"])
async def test_both_forms_of_the_login_answer_are_understood(scripted: Scripted, key: str) -> None:
    scripted.login_answer = httpx.Response(200, json={key: "opaque"})
    async with scripted.client() as client:
        await client.post(POST, step="s", closes_at=None)
    assert scripted.requests[0].headers["Authorization"] == "JWT opaque"


TRANSIENT = [
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("slow"),
    httpx.RemoteProtocolError("reset"),
    httpx.Response(500),
    httpx.Response(503),
    httpx.Response(429),
    httpx.Response(200, text="<html>maintenance</html>"),
    httpx.Response(200, text=""),
    httpx.Response(200, json={}),
    httpx.Response(200, content=b'{"status": "rea'),
]


@pytest.mark.parametrize("trouble", TRANSIENT, ids=str)
async def test_trouble_that_may_pass_is_tried_again(scripted: Scripted, trouble: object) -> None:
    scripted.answers = [trouble, trouble, httpx.Response(200, json={"status": "ready"})]
    async with scripted.client() as client:
        assert await client.post(POST, step="s", closes_at=None) == {"status": "ready"}
    assert len(scripted.requests) == 3
    assert len(scripted.waits) == 2


@pytest.mark.parametrize("trouble", TRANSIENT, ids=str)
async def test_tries_are_bounded_and_the_error_names_the_step(scripted: Scripted, trouble: object) -> None:
    scripted.answers = [trouble]
    async with scripted.client() as client:
        with pytest.raises(ExchangeUnavailable, match="forecast of 'PV 1'"):
            await client.post(POST, step="forecast of 'PV 1'", closes_at=None)
    assert len(scripted.requests) == ATTEMPTS


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(400, text="bad"), RejectedError),
        (httpx.Response(403, text="not yours"), RejectedError),
        (httpx.Response(404, text="no such asset"), RejectedError),
        (httpx.Response(413), RejectedError),
        (httpx.Response(422), RejectedError),
        (httpx.Response(200, json={"status": "error", "error_message": "Energy is not positive"}), RejectedError),
        (httpx.Response(200, json={"error": "Incorrect request"}), RejectedError),
    ],
    ids=str,
)
async def test_refusals_are_not_repeated(
    scripted: Scripted, answer: httpx.Response, error: type[SlotfeedError]
) -> None:
    scripted.answers = [answer]
    async with scripted.client() as client:
        with pytest.raises(error):
            await client.post(POST, step="s", closes_at=None)
    assert len(scripted.requests) == 1


@pytest.mark.parametrize("location", ["https://elsewhere.example/x/", "https://u:pw@elsewhere.example:99/?t=x", ""])
@pytest.mark.parametrize(("status", "tries"), [(301, 1), (302, 5), (303, 5), (307, 5), (308, 1)])
async def test_no_token_follows_a_redirect_and_nothing_is_said_of_the_value(
    scripted: Scripted, status: int, tries: int, location: str
) -> None:
    """One that is meant to stay isn't asked again; another may be a page of maintenance, gone at the next try."""
    scripted.answers = [httpx.Response(status, headers={"Location": location} if location else {})]
    host = r"elsewhere\.example" if location else "elsewhere"
    told = rf"^s: redirected to {host} \({status}\), where nothing is sent; correct `exchange\.base_url`, or see to"
    async with scripted.client() as client:
        with pytest.raises(ExchangeMoved, match=told) as moved:
            await client.post(POST, step="s", closes_at=None)
    assert moved.value.for_good is (tries == 1)
    assert {request.url.host for request in scripted.requests} == {"exchange.example"}
    assert len(scripted.requests) == tries


async def test_a_redirect_that_ends_in_time_costs_no_value(scripted: Scripted) -> None:
    away = httpx.Response(302, headers={"Location": "https://status.example/maintenance"})
    scripted.answers = [away, away, httpx.Response(200, json={"status": "ready"})]
    async with scripted.client() as client:
        assert await client.post(POST, step="s", closes_at=None) == {"status": "ready"}


@pytest.mark.parametrize(
    ("location", "host"),
    [("/elsewhere/", r"exchange\.example"), ("//other.example/", r"other\.example"), ("https://a:port/", "a")],
)
async def test_a_redirect_is_told_by_the_host_it_leads_to(scripted: Scripted, location: str, host: str) -> None:
    scripted.answers = [httpx.Response(308, headers={"Location": location})]
    async with scripted.client() as client:
        with pytest.raises(ExchangeMoved, match=rf"redirected to {host} \(308\)"):
            await client.get("/x/", step="s")


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_an_exchange_that_asks_for_https_gets_no_second_password_in_clear(
    scripted: Scripted, status: int
) -> None:
    """Whatever its status: the next try would be read on the way as well."""
    scripted.login_answer = httpx.Response(status, headers={"Location": "https://exchange.example/api-token-auth/"})
    async with open_exchange(
        base_url="http://exchange.example",
        username=SecretStr("me"),
        password=SecretStr("hush"),
        clock=FixedClock(NOON),
        concurrency=1,
        allow_http=["exchange.example"],
        transport=httpx.MockTransport(scripted.handle),
        sleep=scripted.sleep,
    ) as client:
        with pytest.raises(ExchangeMoved, match=r"redirected to https at exchange\.example; write https in") as moved:
            await client.connect()
    assert moved.value.for_good
    assert len(scripted.logins) == 1


async def test_retry_after_in_seconds_is_kept(scripted: Scripted) -> None:
    scripted.answers = [
        httpx.Response(429, headers={"Retry-After": "7"}),
        httpx.Response(200, json={"status": "ready"}),
    ]
    async with scripted.client() as client:
        await client.post(POST, step="s", closes_at=None)
    assert 7 <= scripted.waits[0] <= 7 + 5


async def test_retry_after_as_a_date_counts_from_the_exchanges_clock(scripted: Scripted) -> None:
    at = (NOON + timedelta(seconds=9)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    scripted.answers = [httpx.Response(503, headers={"Retry-After": at}), httpx.Response(200, json={"status": "ready"})]
    async with scripted.client() as client:
        await client.post(POST, step="s", closes_at=None)
    assert 8 <= scripted.waits[0] <= 9 + 5


async def test_a_day_of_retry_after_is_left_to_a_later_run(scripted: Scripted) -> None:
    scripted.answers = [httpx.Response(429, headers={"Retry-After": "86400"})]
    async with scripted.client() as client:
        with pytest.raises(ExchangeUnavailable):
            await client.post(POST, step="s", closes_at=None)
    assert (len(scripted.requests), scripted.waits) == (1, [])


async def test_nothing_leaves_after_the_deadline_by_the_exchanges_clock(scripted: Scripted) -> None:
    scripted.now = NOON + timedelta(minutes=14)
    async with scripted.client() as client:
        await client.connect()
        with pytest.raises(ExpiredError, match="12:10"):
            await client.post(POST, step="s", closes_at=NOON + timedelta(minutes=10))
    assert scripted.requests == []


async def test_a_wait_that_would_end_past_the_deadline_is_not_begun(scripted: Scripted) -> None:
    scripted.answers = [httpx.Response(429, headers={"Retry-After": "30"})]
    async with scripted.client() as client:
        await client.connect()
        with pytest.raises(ExchangeUnavailable):
            await client.post(POST, step="s", closes_at=NOON + timedelta(seconds=20))
    assert scripted.waits == []


async def test_the_exchanges_clock_is_taken_from_its_answers(scripted: Scripted) -> None:
    scripted.now = NOON - timedelta(days=400)
    async with scripted.client() as client:
        await client.connect()
        assert abs(client.clock.now() - scripted.now) < timedelta(seconds=5)


@pytest.mark.parametrize("trouble", [*TRANSIENT, httpx.Response(404, text="x"), httpx.Response(401)], ids=str)
async def test_no_error_shows_password_or_token(scripted: Scripted, trouble: object) -> None:
    scripted.answers = [trouble]
    async with scripted.client() as client:
        with pytest.raises(SlotfeedError) as caught:
            await client.post(POST, step="s", closes_at=None)
    seen: list[BaseException | None] = [caught.value, caught.value.__cause__]
    told = " ".join(f"{error!r} {error}" for error in seen)
    token = scripted.requests[0].headers["Authorization"].removeprefix("JWT ")
    assert "hush" not in told
    assert token not in told


async def test_an_answer_that_never_ends_is_given_up(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.exchange.client.REQUEST_S", 0.02)

    async def drip(request: httpx.Request) -> httpx.Response:
        if "token" in request.url.path:
            return httpx.Response(200, json={"access": "t"})
        scripted.requests.append(request)
        await asyncio.Event().wait()
        raise AssertionError("never answered")

    scripted.handle = drip
    async with scripted.client() as client:
        with pytest.raises(ExchangeUnavailable, match="TimeoutError"):
            await client.post(POST, step="s", closes_at=None)
    assert len(scripted.requests) == ATTEMPTS


async def test_a_body_that_cannot_be_decoded_is_tried_again(scripted: Scripted) -> None:
    broken = httpx.DecodingError("bad gzip")
    scripted.answers = [broken, httpx.Response(200, json={"status": "ready"})]
    async with scripted.client() as client:
        assert await client.post(POST, step="s", closes_at=None) == {"status": "ready"}


def test_all_tries_of_a_post_are_over_within_the_lease() -> None:
    assert LEASE.total_seconds() > ALL_ATTEMPTS_S + REQUEST_S
