"""The exchange's websockets: what an asset, a market or an aggregator is told, in binary frames.

As from the real exchange nothing is read from a client but its close. Ours: who may not listen is refused before the
handshake ends, with the status that the same request has over HTTP, and a connection ends with its token.
"""

import asyncio
from collections.abc import Callable, Coroutine

from fastapi import APIRouter, HTTPException, WebSocket, WebSocketDisconnect

from pipelines.sandbox.answers import json_answer
from pipelines.sandbox.exchange.accounts.people import Visitor
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.hub import Mailbox
from pipelines.sandbox.exchange.wire.admission import admit_holder
from pipelines.sandbox.exchange.wire.events import selection

LOOKS_AGAIN_EVERY_S = 5.0
"""Whether the listener may still listen, while nothing is told; ours."""

POLICY_VIOLATION = 1008
"""Close code for a listener whose token has ended, or that can't keep up (RFC 6455, 7.4.1)."""


def router(ctn: Ctn) -> APIRouter:
    """`/external-ws/{sim}/{uuid}/` and `/external-ws/{sim}/aggregator/{uuid}/`."""
    routes = APIRouter()

    @routes.websocket("/external-ws/{sim}/aggregator/{uuid}")
    @routes.websocket("/external-ws/{sim}/aggregator/{uuid}/")
    async def aggregator(socket: WebSocket, sim: str, uuid: str) -> None:
        await _listen(ctn, socket, sim, uuid, aggregator=True)

    @routes.websocket("/external-ws/{sim}/{uuid}")
    @routes.websocket("/external-ws/{sim}/{uuid}/")
    async def area(socket: WebSocket, sim: str, uuid: str) -> None:
        await _listen(ctn, socket, sim, uuid, aggregator=False)

    return routes


async def _listen(ctn: Ctn, socket: WebSocket, sim: str, uuid: str, *, aggregator: bool) -> None:
    def check() -> None:
        _admit(ctn, socket, sim, uuid, aggregator=aggregator)

    try:
        check()
    except HTTPException as refused:
        await socket.send_denial_response(json_answer({"detail": refused.detail}, refused.status_code))
        return
    # Taken in the same moment in which it begins to listen: nothing is told twice, nothing is missed.
    first, mailbox = _selections(ctn, uuid) if aggregator else [], ctn.hub.join(uuid)
    try:
        await socket.accept()
        for message in first:
            await socket.send_bytes(message)
        await _until_either_ends(_tell(socket, mailbox, check), _gone(socket))
    except WebSocketDisconnect:
        return
    finally:
        ctn.hub.leave(uuid, mailbox)


async def _until_either_ends(*works: Coroutine[object, object, None]) -> None:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _admit(ctn: Ctn, socket: WebSocket, sim: str, uuid: str, *, aggregator: bool) -> None:
    visitor = admit_holder(ctn, socket.headers.get("authorization"), sim)
    allowed = _may_use(ctn, visitor, uuid) if aggregator else _may_hear(ctn, visitor, uuid)
    if allowed is None:
        raise HTTPException(404, "No such aggregator." if aggregator else "No such asset.")
    if not allowed:
        ctn.audit.forbid(visitor, "websocket", uuid)


def _may_use(ctn: Ctn, visitor: Visitor, uuid: str) -> bool | None:
    found = ctn.trading.aggregators.get(uuid)
    return None if found is None else visitor.manages or found.username == visitor.username


def _may_hear(ctn: Ctn, visitor: Visitor, uuid: str) -> bool | None:
    if uuid in ctn.twin.assets:
        return visitor.may_see(uuid)
    return visitor.may_operate(uuid) if uuid in ctn.twin.markets else None


def _selections(ctn: Ctn, uuid: str) -> list[bytes]:
    """What a new listener is told of those that have selected the aggregator already.

    Ours: GSy's client knows its assets from these events alone, so one that starts again could send for none.
    """
    one = ctn.trading.aggregators[uuid]
    told = (selection(one, device, selected=True) for device in ctn.trading.selections()[uuid])
    return [bytes(json_answer(message).body) for message in told]


async def _tell(socket: WebSocket, mailbox: Mailbox, check: Callable[[], None]) -> None:
    while True:
        try:
            async with asyncio.timeout(LOOKS_AGAIN_EVERY_S):
                message = await mailbox.take()
        except TimeoutError:
            message = b""
        try:
            # Tokens end, rights are taken back: neither is told to a connection that stands.
            check()
        except HTTPException as refused:
            await socket.close(POLICY_VIOLATION, refused.detail)
            return
        if message is None:
            await socket.close(POLICY_VIOLATION, "Too far behind.")
            return
        if message:
            await socket.send_bytes(message)


async def _gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
