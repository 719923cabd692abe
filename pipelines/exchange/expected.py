"""Answers that are waited for, and which of them an answer over the websocket belongs to.

An answer with a transaction id belongs to the one command of that name and id. One form has none: when the market
cycle fires, the engine throws away what still waits and says `{"command": .., "status": "error", "error_message":
"Error when handling .. on area X with arguments ... Market cycle already finished."}`. That is handed to every
expectation of the command that has no answer yet, and can't hit a wrong asset: an asset's socket carries that asset's
answers alone, and what waited there when the cycle fired was thrown away together. On an aggregator's socket it goes
to the batches that are out; its message names the area, and a batch that is taken for raced is sent again, which
changes no value, for the last write wins. The batch's own answer may still come: ask `within` once more.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from pipelines.exchange.messages import Answer

if TYPE_CHECKING:
    from pipelines.exchange.link import Link

BATCH = "batch_commands"
CYCLE_OVER = "market cycle already finished"

AWAY_S = 5.0
"""A socket that is away is waited for so long before its answer is given up (ours): the reply to the post has to do."""

KEPT = 100
"""Answers that one expectation holds at most: of a race a batch may hear once an asset."""


class Expected:
    """The answer to one command. Made before the post, so that no answer is too early; forgotten when dropped."""

    def __init__(self, link: "Link") -> None:
        """Wait on a link."""
        self._link = link
        self._answers: deque[Mapping[str, object]] = deque(maxlen=KEPT)
        self._news = asyncio.Event()
        self.answered = False
        """Its own answer has come, with its transaction id."""

    async def within(self, seconds: float) -> Mapping[str, object] | None:
        """The answer's body, as soon as it is there.

        Args:
            seconds: to wait at most.

        Returns:
            None: none came in time, or the socket is away and didn't come back for `AWAY_S`.
        """
        try:
            async with asyncio.timeout(seconds):
                while not self._answers:
                    self._news.clear()
                    if self._link.connected:
                        await self._news.wait()
                    elif not await self._link.wait_connected(AWAY_S):
                        break
        except TimeoutError:
            pass
        return self._answers.popleft() if self._answers else None

    def wake(self) -> None:
        """Look again: an answer, or the link's state, is new."""
        self._news.set()

    def take(self, body: Mapping[str, object]) -> None:
        """Keep an answer for whoever waits, or will."""
        self._answers.append(body)
        self.wake()


class Expectations:
    """All that are waited for on one socket."""

    def __init__(self) -> None:
        """Begin with none."""
        # A post that failed leaves its expectation unawaited: it goes with its last reference.
        self._all: WeakValueDictionary[tuple[str, str], Expected] = WeakValueDictionary()

    def expect(self, command: str, transaction_id: str, link: "Link") -> Expected:
        """One for this command; the same one where it stands already."""
        found = self._all.get((command, transaction_id))
        if found is None:
            found = self._all[command, transaction_id] = Expected(link)
        return found

    def hand_over(self, answer: Answer) -> None:
        """Give an answer to the expectation(s) it belongs to; one that nobody waits for is dropped."""
        if answer.transaction_id is not None:
            found = self._all.get((answer.command, answer.transaction_id))
            if found is not None:
                found.answered = True
                found.take(answer.body)
            return
        raced = CYCLE_OVER in str(answer.body.get("error_message", "")).lower()
        for (command, _), expected in list(self._all.items()):
            if not expected.answered and (command == answer.command or (command == BATCH and raced)):
                expected.take(answer.body)

    def wake(self) -> None:
        """Let all of them look at the link again."""
        for expected in list(self._all.values()):
            expected.wake()
