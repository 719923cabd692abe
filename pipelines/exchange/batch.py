"""The aggregator's dialect: commands for many assets or markets in one request of `batch-commands/`.

The reply to the post says that the request is queued. The engine serves it at its next tick (15 s by default) and
tells over the aggregator's websocket what became of each command:

    {"command": "batch_commands", "transaction_id": .., "aggregator_uuid": ..,
     "responses": {asset: [{"command": .., "status": "ready" | "error", "area_uuid": .., ..}, ..]}}

One response a command, in the order in which they were sent. An asset that the exchange doesn't know has no entry,
and where no asset has one, no answer comes at all (gsy-e, redis_connections/aggregator.py).
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from pipelines.exchange.wire import Command, Envelope, Fate, Request, Verdict, encode, kwh_by_slot
from pipelines.slots import Abilities

AWAITED = "batch_commands"
CYCLE_OVER = "market cycle already finished"
"""How the engine tells the race at a slot's change: what waited when the market cycle fired was thrown away."""

SHOWN = 200
"""Characters of the exchange's words that are kept."""

Orders = Mapping[str, Sequence[Mapping[str, object]]]
"""Uuid of an asset or market -> its commands, each with its `type`."""


class Batch:
    """Forecasts and measurements through an aggregator."""

    abilities = Abilities(carries_slot_time=True, measurements=True, many_assets=True)
    awaited = AWAITED

    def request(self, envelope: Envelope, commands: Sequence[Command]) -> Request:
        """Any number of assets and slots, in kWh.

        Raises:
            ValueError: a value that isn't finite and >= 0, or an envelope without aggregator.
        """
        return batch_request(envelope, _orders(commands))

    def tells_all(self, reply: object, /) -> bool:
        """Whether the reply holds what else comes over the websocket."""
        return isinstance(reply, Mapping) and isinstance(reply.get("responses"), Mapping)

    def verdicts(self, commands: Sequence[Command], answer: object, /) -> list[Verdict]:
        """One for each command, by its asset and its place among that asset's commands."""
        orders: dict[str, list[Mapping[str, object]]] = {}
        for command in commands:
            orders.setdefault(command.asset, []).append({"type": _type_of(command)})
        told = {area: iter(verdicts) for area, verdicts in read_answer(answer, orders).items()}
        return [next(told[command.asset]) for command in commands]


def batch_request(envelope: Envelope, orders: Orders) -> Request:
    """The post that carries the orders.

    Raises:
        ValueError: the envelope names no aggregator.
    """
    if not envelope.aggregator:
        raise ValueError("a batch is an aggregator's: none is named")
    body = {
        "aggregator_uuid": envelope.aggregator,
        "batch_commands": orders,
        "transaction_id": envelope.transaction_id,
    }
    path = f"/external-connection/aggregator-api/{quote(envelope.simulation, safe='')}/batch-commands/"
    return Request(path=path, body=encode(body))


def read_answer(answer: object, orders: Orders) -> dict[str, list[Verdict]]:
    """What an answer says of each order.

    Args:
        answer: body from the websocket, or of the reply to the post. A reply without `responses` says that all
            is queued.
        orders: as they were sent; of each, its `type` alone is asked for.

    Returns:
        Area -> verdicts in the order of its commands. What can't be matched beyond doubt is unanswered.
    """
    body = answer if isinstance(answer, Mapping) else {}
    responses = body.get("responses")
    if isinstance(responses, Mapping):
        return {area: _of_area(area, sent, responses.get(area)) for area, sent in orders.items()}
    whole = _judged(body) if body.get("status") == "error" else Verdict(fate=Fate.READY)
    return {area: [whole for _ in sent] for area, sent in orders.items()}


def _orders(commands: Sequence[Command]) -> dict[str, list[Mapping[str, object]]]:
    orders: dict[str, list[Mapping[str, object]]] = {}
    for command in commands:
        key = f"energy_{command.quantity.value}"
        order = {"type": _type_of(command), key: kwh_by_slot(command.energy_wh)}
        orders.setdefault(command.asset, []).append(order)
    return orders


def _type_of(command: Command) -> str:
    return f"set_energy_{command.quantity.value}"


def _of_area(area: str, sent: Sequence[Mapping[str, object]], found: object) -> list[Verdict]:
    if found is None:
        nothing = "the exchange answers for other assets of the request and not for this one"
        return [Verdict(fate=Fate.UNANSWERED, reason=nothing) for _ in sent]
    told = found if isinstance(found, list) else []
    return [
        _matched(area, str(order["type"]), told[index] if index < len(told) else None)
        for index, order in enumerate(sent)
    ]


def _matched(area: str, command: str, response: object) -> Verdict:
    if not isinstance(response, Mapping):
        return Verdict(fate=Fate.UNANSWERED, reason="the exchange's answer leaves this command out")
    if response.get("command", command) != command or response.get("area_uuid", area) != area:
        return Verdict(fate=Fate.UNANSWERED, reason="the exchange's answer is for another command")
    return _judged(response)


def _judged(response: Mapping[str, object]) -> Verdict:
    status = response.get("status")
    if status == "ready":
        return Verdict(fate=Fate.READY, body=response)
    if status != "error":
        return Verdict(fate=Fate.UNANSWERED, reason=f"the exchange answers with status {str(status)[:SHOWN]!r}")
    words = next((str(response[key]) for key in ("error_message", "message", "error") if response.get(key)), "")
    if CYCLE_OVER in words.lower():
        return Verdict(fate=Fate.RACED, reason=f"the exchange threw it away: {CYCLE_OVER}")
    # The engine repeats what was sent in its message; that says nothing new.
    reason = words.partition(" with arguments")[0][:SHOWN] or "without saying why"
    return Verdict(fate=Fate.REFUSED, reason=reason, body=response)


def with_advice(reason: str, name: str) -> str:
    """The exchange's reason, with what helps where the aggregator may not have the asset or market called `name`."""
    if not _UNSELECTED.search(reason):
        return reason
    return f"{reason}. See that the aggregator has it: slotfeed aggregators select --asset '{name}'"


_UNSELECTED = re.compile(r"select|not controlled|not for this one", re.IGNORECASE)
"""Of reasons; GSy's own client says `not in list of selected device uuids`."""
