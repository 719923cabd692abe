"""Who listens at the exchange's websockets, and what they are told."""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Mapping
from time import monotonic

HELD_S = 10.0
"""An answer that nobody hears is held so long for who joins next; ours.

GSy's client starts its websocket and posts in the same moment, then waits for the answer (a registration: for a quarter
of an hour). The real exchange is slow enough to answer after the handshake; this one isn't.
"""

MOST_HELD = 16
"""Answers held for one uuid, the newest; ours."""

WAITING = 1000
"""Messages that wait for one listener; one that is further behind is cut off, so that it can't fill the memory."""


class Mailbox:
    """What one listener hasn't taken yet."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.overfull = False

    def drop_in(self, message: bytes) -> None:
        """Add a message, unless the listener is too far behind."""
        if self.overfull:
            return
        self.overfull = self._messages.qsize() >= WAITING
        self._messages.put_nowait(None if self.overfull else message)

    async def take(self) -> bytes | None:
        """The next message; None: the listener is cut off."""
        return await self._messages.get()


class Hub:
    """The listeners, by the uuid of the asset, market or aggregator they listen to."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[Mailbox]] = defaultdict(set)
        self._held: dict[str, deque[tuple[float, Mapping[str, object]]]] = {}

    def join(self, uuid: str) -> Mailbox:
        """A mailbox that gets what `uuid` is told from now on, after the answers held for it."""
        mailbox = Mailbox()
        for told_at, answer in self._held.pop(uuid, ()):
            if monotonic() - told_at < HELD_S:
                mailbox.drop_in(_frame(answer))
        self._listeners[uuid].add(mailbox)
        return mailbox

    def leave(self, uuid: str, mailbox: Mailbox) -> None:
        """Listen no more."""
        self._listeners[uuid].discard(mailbox)
        if not self._listeners[uuid]:
            del self._listeners[uuid]

    def listened_to(self) -> list[str]:
        """Uuids somebody listens to."""
        return list(self._listeners)

    def count(self) -> int:
        """How many listen."""
        return sum(map(len, self._listeners.values()))

    def tell(self, uuid: str, message: Mapping[str, object]) -> None:
        """Tell everyone who listens to `uuid`. Where nobody does, an answer is held and an event is lost.

        A batch's answer is lost too: it may be large, and GSy's client sends no batch before its websocket stands.
        """
        if uuid in self._listeners:
            frame = _frame(message)
            for mailbox in self._listeners[uuid]:
                mailbox.drop_in(frame)
        elif "command" in message and "responses" not in message:
            self._held.setdefault(uuid, deque(maxlen=MOST_HELD)).append((monotonic(), message))


def _frame(message: Mapping[str, object]) -> bytes:
    """Of a binary frame: GSy's client decodes bytes and breaks at a text frame."""
    return json.dumps(message, separators=(",", ":")).encode("ascii")
