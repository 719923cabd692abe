"""Who listens at the exchange's websockets, and what they are told."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping

WAITING = 1000
"""Messages that wait for one listener; one that is further behind is cut off, so that it can't fill the memory."""


class Mailbox:
    """What one listener hasn't taken yet."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.overfull = False

    def drop_in(self, message: bytes) -> None:
        """Add a message, unless the listener is too far behind."""
        if self._messages.qsize() >= WAITING:
            self.overfull = True
        if self.overfull:
            self._messages.put_nowait(None)
        else:
            self._messages.put_nowait(message)

    async def take(self) -> bytes | None:
        """The next message; None: the listener is cut off."""
        return await self._messages.get()


class Hub:
    """The listeners, by the uuid of the asset, market or aggregator they listen to."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[Mailbox]] = defaultdict(set)

    def join(self, uuid: str) -> Mailbox:
        """A mailbox that gets what `uuid` is told from now on."""
        mailbox = Mailbox()
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

    def tell(self, uuid: str, message: Mapping[str, object]) -> None:
        """Tell everyone who listens to `uuid`. Nobody does: nothing happens."""
        if uuid in self._listeners:
            # Sent as binary frames: GSy's client decodes bytes and breaks at a text frame.
            frame = json.dumps(message, separators=(",", ":")).encode("ascii")
            for mailbox in self._listeners[uuid]:
                mailbox.drop_in(frame)
