"""Posts over bare sockets: nothing but bytes made beforehand, on connections that stay open."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from urllib.parse import urlsplit
from uuid import uuid4

from posting_deliver import Posted
from posting_exchange import SIMULATION, Exchange

from pipelines.exchange import PROTOCOLS, Command, Envelope
from pipelines.frames import Quantity

Message = bytes


def bodies(exchange: Exchange, protocol: str, slot: datetime, energy_wh: Sequence[float]) -> list[Message]:
    """The requests that the protocol makes of these energies; the assets take turns where there are fewer."""
    token, wire = exchange.token(), PROTOCOLS[protocol]
    messages = []
    for number, value in enumerate(energy_wh):
        asset = exchange.assets[number % len(exchange.assets)]
        envelope = Envelope(simulation=SIMULATION, transaction_id=str(uuid4()))
        request = wire.request(envelope, [Command(asset=asset, quantity=Quantity.FORECAST, energy_wh={slot: value})])
        messages.append(message(token, request.path, request.body))
    return messages


def message(token: str, path: str, body: bytes) -> Message:
    """A whole request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: JWT {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def send_all(url: str, messages: Sequence[Message], *, connections: int) -> Posted:
    """Send every message once, each connection one after the other.

    Raises:
        RuntimeError: an answer isn't 200.
    """
    address, loop, waiting = urlsplit(url), asyncio.get_running_loop(), iter(messages)
    began, cpu = time.perf_counter(), time.process_time()
    ends = [loop.create_future() for _ in range(connections)]
    for end in ends:
        await loop.create_connection(lambda end=end: _Line(waiting, end), address.hostname, address.port)  # type: ignore[misc]
    await asyncio.gather(*ends)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return Posted(assets=len(messages), seconds=seconds, cpu_s=cpu_s)


class _Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, waiting: Iterator[Message], end: asyncio.Future[None]) -> None:
        self._waiting, self._end = waiting, end
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200") or b'"error"' in body:
            self.connection_lost(RuntimeError(f"refused: {self._received[:300]!r}"))
            self._transport.close()
            return
        self._received = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._end.done():
            self._end.set_exception(exc or RuntimeError("the exchange hung up"))

    def _next(self) -> None:
        message = next(self._waiting, None)
        if message is not None:
            self._transport.write(message)
            return
        self._end.set_result(None)
        self._transport.close()
