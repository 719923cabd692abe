"""What the wire does to a request, through real sockets: answers that break, connections that are kept."""

import asyncio
import contextlib
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import httpx
import pytest

from pipelines.exchange.transport import ExchangeTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n" + b'{"status":"ready"}'
Writer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def says(answer: bytes, *, and_hangs_up: bool = False) -> Writer:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        if and_hangs_up:
            writer.close()

    return write


@dataclass
class Wire:
    """A server that says to each request what the test has put down, and keeps what it heard."""

    answers: list[Writer] = field(default_factory=lambda: [says(OK)])
    heard: list[bytes] = field(default_factory=list)
    connections: int = 0
    open_now: int = 0
    most_open: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: ")
                )
                self.heard.append(head + await reader.readexactly(length))
                await (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(writer)
        self.open_now -= 1
        writer.close()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire()
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield wire
    server.close()


@contextlib.asynccontextmanager
async def client(wire: Wire, *, connections: int = 2) -> AsyncIterator[httpx.AsyncClient]:
    transport = ExchangeTransport(wire.url, connections=connections)
    async with httpx.AsyncClient(base_url=wire.url, transport=transport) as http:
        yield http


async def test_carries_a_request_and_its_answer_to_the_byte(wire: Wire) -> None:
    async with client(wire) as http:
        answer = await http.post("/a/b/", content=b'{"x":1}', headers={"Authorization": "JWT t"})
    assert answer.json() == {"status": "ready"}
    head, _, body = wire.heard[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /a/b/ HTTP/1.1\r\n")
    assert b"authorization: jwt t" in head.lower()
    assert body == b'{"x":1}'


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(says(b"", and_hangs_up=True), id="hangs up"),
        pytest.param(says(OK[:-4], and_hangs_up=True), id="cut body"),
        pytest.param(says(OK[:30], and_hangs_up=True), id="cut head"),
        pytest.param(says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", and_hangs_up=True), id="no HTTP"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}", and_hangs_up=True), id="bad length"),
    ],
)
async def test_a_broken_answer_is_never_an_answer(wire: Wire, answer: Writer) -> None:
    wire.answers = [answer]
    async with client(wire) as http:
        with pytest.raises(httpx.RequestError):
            await http.post("/", content=b"{}")


async def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wire = Wire(url=f"http://127.0.0.1:{taken.getsockname()[1]}")
    async with client(wire) as http:
        with pytest.raises(httpx.ConnectError, match=r"^Connection refused$"):
            await http.post("/", content=b"{}")


async def test_a_connection_that_breaks_is_told_as_that(wire: Wire) -> None:
    async def reset(writer: asyncio.StreamWriter) -> None:
        linger_zero = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
        writer.transport.abort()

    wire.answers = [reset]
    async with client(wire) as http:
        with pytest.raises(httpx.ReadError, match=r"^Connection reset by peer$"):
            await http.post("/", content=b"{}")


async def test_never_more_connections_than_allowed_and_each_used_again(wire: Wire) -> None:
    async with client(wire, connections=3) as http:
        await asyncio.gather(*(http.post("/", content=b"{}") for _ in range(40)))
    assert len(wire.heard) == 40
    assert wire.most_open <= 3
    assert wire.connections <= 3


async def test_keeps_no_cookie_between_requests(wire: Wire) -> None:
    wire.answers = [says(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: session=stolen; Path=/\r\n\r\n", 1)), says(OK)]
    transport = ExchangeTransport(wire.url, connections=1)
    for _ in range(2):
        await transport.handle_async_request(httpx.Request("POST", f"{wire.url}/", content=b"{}"))
    await transport.aclose()
    assert b"stolen" not in wire.heard[1]


async def test_a_redirect_is_told_and_not_followed(wire: Wire) -> None:
    wire.answers = [says(b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n")]
    async with client(wire) as http:
        answer = await http.post("/", content=b"{}", headers={"Authorization": "JWT t"})
    assert answer.is_redirect
    assert len(wire.heard) == 1


async def test_goes_through_the_proxy_that_the_environment_names(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", wire.url)
    monkeypatch.delenv("no_proxy", raising=False)
    transport = ExchangeTransport("http://exchange.example", connections=1, allow_http=["exchange.example"])
    async with httpx.AsyncClient(base_url="http://exchange.example", transport=transport) as http:
        await http.post("/x/", content=b"{}")
    assert wire.heard[0].startswith(b"POST http://exchange.example/x/ HTTP/1.1")


async def test_an_answer_without_end_is_cut_off(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.exchange.transport.LONGEST_ANSWER", 1 << 20)

    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()

    wire.answers = [endless]
    async with client(wire) as http:
        with pytest.raises(httpx.ReadError, match="longer than 1 MiB"):
            await http.post("/", content=b"{}")


async def test_a_compressed_answer_is_read(wire: Wire) -> None:
    body = gzip.compress(b'{"status":"ready"}')
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    wire.answers = [says(head % len(body) + body)]
    async with client(wire) as http:
        assert (await http.post("/", content=b"{}")).json() == {"status": "ready"}
