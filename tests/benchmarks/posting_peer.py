"""The peer: a script that posts one asset after the other and waits for each answer, as GSy's own does.

Kinder than GSy's: one login (theirs makes four), no thread that reads a registry, and the websockets stand before the
clock starts.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import uuid4

import httpx
from posting_deliver import Posted
from posting_exchange import SIMULATION, Exchange
from websockets.sync.client import ClientConnection, connect

POLL_S = 0.01
"""How often GSy's client looks whether the answer has come."""


def post_in_turn(exchange: Exchange, slot: datetime, energy_wh: Sequence[float], *, first: int) -> Posted:
    """Post a forecast of each of the first so many assets."""
    token, ws = exchange.token(), exchange.url.replace("http://", "ws://")
    headers = {"Authorization": f"JWT {token}", "Content-Type": "application/json"}
    with contextlib.ExitStack() as open_sockets, httpx.Client(base_url=exchange.url, timeout=60) as http:
        sockets = [
            open_sockets.enter_context(
                connect(f"{ws}/external-ws/{SIMULATION}/{asset}/", additional_headers=headers, close_timeout=1)
            )
            for asset in exchange.assets[:first]
        ]
        at_once = 0
        began, cpu = time.perf_counter(), time.process_time()
        for asset, socket, value in zip(exchange.assets, sockets, energy_wh, strict=False):
            transaction_id = str(uuid4())
            body = {"energy_forecast": {f"{slot:%Y-%m-%dT%H:%M}": value / 1000}, "transaction_id": transaction_id}
            path = f"/external-connection/api/{SIMULATION}/{asset}/set-energy-forecast/"
            http.post(path, headers=headers, json=body).raise_for_status()
            looked_again = False
            while not any(answer["transaction_id"] == transaction_id for answer in _heard(socket)):
                looked_again = True
                time.sleep(POLL_S)
            at_once += not looked_again
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return Posted(assets=first, seconds=seconds, cpu_s=cpu_s, at_once=at_once)


def _heard(socket: ClientConnection) -> Iterator[dict[str, object]]:
    with contextlib.suppress(TimeoutError):
        while True:
            message = json.loads(socket.recv(timeout=0))
            if "transaction_id" in message:
                yield message
