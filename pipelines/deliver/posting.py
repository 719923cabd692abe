"""Sends one request and tells what became of each submission in it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from pipelines.deliver.outbox import Leased, Outcome
from pipelines.deliver.posts import Post, command_of, parts_of, slot_by_slot, smaller
from pipelines.errors import AuthenticationError, ExchangeUnavailable, ExpiredError, TerminalError
from pipelines.exchange import Command, Envelope, ExchangeClient, Fate, Verdict
from pipelines.exchange import Protocol as Wire
from pipelines.exchange.batch import with_advice
from pipelines.exchange.listener import Expected, Listener
from pipelines.frames import State

ANSWER_S = 20.0
"""How long an answer is waited for on the websocket. The number is ours: the engine answers within a tick of 15 s by
default; GSy's own client waits 120 s."""

NOT_TRIED = "not tried: the run ended before"

RESERVE_S = 10.0
"""Before the lease ends, so that outcomes are written while it holds; ours."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """What a protocol needs beside the client."""

    aggregator: str = ""
    """Uuid of the aggregator that sends, where the protocol has one."""

    listener: Listener | None = None
    """Where the protocol's answers come over a websocket. None: the replies to posts are all there is."""


@dataclass(kw_only=True)
class Result:
    """What became of a post."""

    outcomes: list[Outcome] = field(default_factory=list)
    again: list[Post] = field(default_factory=list)
    """To be sent in this other form, at once."""

    answered: bool | None = None
    """Whether the exchange answered; None where it wasn't asked."""


@dataclass(frozen=True, kw_only=True)
class Poster:
    """Posts in one protocol for one simulation."""

    client: ExchangeClient
    wire: Wire
    line: Line
    simulation: str
    names: Mapping[str, str]
    """Asset uuid -> name, for messages."""

    until: datetime
    """What has no deadline isn't tried from then on; the next run goes on with it."""

    async def send(self, post: Post, *, lease_ends: datetime) -> Result:
        """Send one post, as one request.

        Args:
            post: leased.
            lease_ends: nothing is waited for after this, and nothing leaves: this machine may have slept, and others
                have gone on with the work.

        Raises:
            AuthenticationError: login refused.
        """
        parts = parts_of(post)
        commands = [command_of(part) for part in parts]
        closes_at = min((one.closes_at for one in post if one.closes_at is not None), default=None)
        last = min(closes_at or self.until, lease_ends)
        try:
            verdicts = await self._ask(commands, step=self._step(post), closes_at=last, lease_ends=lease_ends)
        except ExchangeUnavailable as away:
            return Result(outcomes=self._outcomes(post, State.PENDING, str(away)), answered=False)
        except ExpiredError as late:
            if closes_at is None or last < closes_at:
                return Result(outcomes=self._outcomes(post, State.PENDING, NOT_TRIED))
            over = [one for one in post if one.closes_at == closes_at]
            in_time = [one for one in post if one.closes_at != closes_at]
            return Result(outcomes=self._outcomes(over, State.EXPIRED, str(late)), again=[in_time] if in_time else [])
        except AuthenticationError:
            raise
        except (TerminalError, ValueError) as refused:
            again = smaller(post)
            reason = self._with_advice(str(refused), post[0])
            return Result(
                outcomes=[] if again else self._outcomes(post, State.REJECTED, reason), again=again, answered=True
            )
        return self._result(parts, verdicts)

    async def _ask(
        self, commands: list[Command], *, step: str, closes_at: datetime | None, lease_ends: datetime
    ) -> list[Verdict]:
        transaction_id = str(uuid4())
        envelope = Envelope(simulation=self.simulation, transaction_id=transaction_id, aggregator=self.line.aggregator)
        request = self.wire.request(envelope, commands)
        expected = None
        if self.wire.awaited and self.line.listener is not None:
            expected = self.line.listener.expect(self.wire.awaited, transaction_id)
        answer = await self.client.post(request, step=step, closes_at=closes_at)
        if expected is not None and not self.wire.tells_all(answer):
            left_s = (lease_ends - self.client.clock.now()).total_seconds() - RESERVE_S
            heard = await self._heard(expected, min(ANSWER_S, left_s))
            # Without one, the reply holds: the request is queued. Reconciliation tells what came of it.
            answer = answer if heard is None else heard
        return self.wire.verdicts(commands, answer)

    async def _heard(self, expected: Expected, seconds: float) -> Mapping[str, object] | None:
        """The answer, or where it doesn't come, the last that was heard of a race: after that it may still come."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        last = None
        while (heard := await expected.within(max(0.0, until - loop.time()))) is not None:
            last = heard
            if self.wire.tells_all(heard):
                break
        return last

    def _result(self, parts: list[Post], verdicts: list[Verdict]) -> Result:
        result = Result(answered=True)
        refused = []
        for part, verdict in zip(parts, verdicts, strict=True):
            if verdict.fate is Fate.READY:
                result.outcomes += self._outcomes(part, State.ACCEPTED)
                continue
            reason = f"{self._step(part)}: {verdict.reason}"
            match verdict.fate:
                case Fate.RACED:
                    result.outcomes += self._outcomes(part, State.PENDING, reason, again=True)
                case Fate.UNANSWERED:
                    result.outcomes += self._outcomes(part, State.PENDING, self._with_advice(reason, part[0]))
                case Fate.REFUSED if len(part) > 1:
                    refused.append(part)
                case Fate.REFUSED:
                    reason = f"{self._step(part)}: the exchange refuses it: {verdict.reason}"
                    result.outcomes += self._outcomes(part, State.REJECTED, self._with_advice(reason, part[0]))
        result.again = slot_by_slot(refused)
        return result

    def _outcomes(self, rows: Post, state: State, error: str = "", *, again: bool = False) -> list[Outcome]:
        now, told = self.client.clock.now(), self.client.hide(error) if error else ""
        return [Outcome(id=one.id, state=state, at=now, error=told, again=again) for one in rows]

    def _step(self, post: Post) -> str:
        first = post[0]
        if any(one.asset_id != first.asset_id for one in post):
            return f"{first.quantity}s of {len(parts_of(post))} assets"
        slots = f"slot {first.slot_start:%Y-%m-%d %H:%M} UTC" if len(post) == 1 else f"{len(post)} slots"
        return f"{first.quantity} of asset '{self.names[first.asset_id]}' for {slots}"

    def _with_advice(self, reason: str, one: Leased) -> str:
        """What helps where an aggregator may not send for the asset."""
        return with_advice(reason, self.names[one.asset_id]) if self.wire.abilities.many_assets else reason
