"""An exchange that answers what a test hands it, and keeps what it was asked."""

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
from pydantic import SecretStr

from pipelines.clock import FixedClock
from pipelines.exchange import ExchangeClient, open_exchange

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Scripted:
    """Logs in whoever asks, and answers everything else from a list; the last answer stays."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [httpx.Response(200, json={"status": "ready"})]
        self.logins: list[httpx.Request] = []
        self.requests: list[httpx.Request] = []
        self.login_answer: Answer | None = None
        self.token_life = timedelta(hours=48)
        self.now = NOON
        self.waits: list[float] = []

    def token(self) -> str:
        claims = {"exp": int((self.now + self.token_life).timestamp()), "n": len(self.logins)}
        return jwt.encode(claims, "a key that is long enough for the algorithm", algorithm="HS256")

    async def handle(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api-token-auth/":
            self.logins.append(request)
            answer: Answer = self.login_answer or httpx.Response(200, json={"access": self.token()})
        else:
            self.requests.append(request)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        response = answer(request) if callable(answer) else answer
        stamp = self.now.strftime("%a, %d %b %Y %H:%M:%S GMT")
        return httpx.Response(
            response.status_code, headers={"Date": stamp, **response.headers}, content=response.content
        )

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += timedelta(seconds=seconds)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[ExchangeClient]:
        async with open_exchange(
            base_url="https://exchange.example",
            username=SecretStr("me"),
            password=SecretStr("hush"),
            clock=FixedClock(NOON),
            concurrency=4,
            transport=httpx.MockTransport(self.handle),
            sleep=self.sleep,
        ) as client:
            yield client


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()
