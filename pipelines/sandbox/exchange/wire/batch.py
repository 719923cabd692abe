"""Batch commands: what an aggregator orders for many assets and markets in one request.

Names, keys and words of the answers are the engine's (gsy-e, redis_connections/aggregator.py and external_strategies).
Unlike a post for one asset, a batch that still waits at a market cycle isn't thrown away: the next tick serves it.
Ours: an aggregator commands only what has selected it and what its user may post for; the rest is an error of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response

from pipelines.errors import RejectedError
from pipelines.sandbox.answers import described
from pipelines.sandbox.exchange.accounts.people import Visitor
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.engine.pending import Pending
from pipelines.sandbox.exchange.engine.trading import Aggregator
from pipelines.sandbox.exchange.engine.twin import LIVE_TYPES, Asset, MarketArea
from pipelines.sandbox.exchange.faults import Rule
from pipelines.sandbox.exchange.journal import Entry
from pipelines.sandbox.exchange.visit import visit_of
from pipelines.sandbox.exchange.wire import energy
from pipelines.sandbox.exchange.wire.admission import admit
from pipelines.sandbox.exchange.wire.aggregators import usable
from pipelines.sandbox.exchange.wire.desk import KINDS, Command, Desk, knows
from pipelines.sandbox.exchange.wire.energies import used_kwh
from pipelines.sandbox.exchange.wire.events import device_info, tell_trades
from pipelines.sandbox.exchange.wire.markets import set_fee, told_stats
from pipelines.sandbox.exchange.wire.reply import body_of, carried_out, text_of

NAME = "batch_commands"

Answer = dict[str, object]

_ENERGIES = {"set_energy_forecast": energy.Order.FORECAST, "set_energy_measurement": energy.Order.MEASUREMENT}
_BODY = {
    "aggregator_uuid": {"type": "string"},
    "batch_commands": {
        "type": "object",
        "additionalProperties": {"type": "array", "items": {"type": "object", "required": ["type"]}},
        "example": {"<asset uuid>": [{"type": "set_energy_forecast", "energy_forecast": {"2026-03-02T12:15": 0.25}}]},
    },
}


def router(ctn: Ctn) -> APIRouter:
    """POST batch-commands/."""
    routes = APIRouter()

    @routes.post(
        "/external-connection/aggregator-api/{sim}/batch-commands/",
        openapi_extra=described(_BODY),
    )
    async def batch_commands(sim: str, request: Request) -> Response:
        """Carry commands out for many assets and markets, at most 16 MiB of them."""
        visitor = admit(ctn, request, sim)
        body = body_of(request)
        aggregator = usable(ctn, visitor, text_of(body, "aggregator_uuid"), "batch-commands")
        visit = visit_of(request)
        batch = Batch(
            ctn=ctn,
            visitor=visitor,
            aggregator=aggregator,
            commands=_commands(body),
            transaction_id=body.get("transaction_id"),
            rule=visit.rule,
            entry=visit.entry,
        )
        return carried_out(ctn, request, batch.pending(), NAME)

    return routes


@dataclass(kw_only=True)
class Batch:
    """One request's commands."""

    ctn: Ctn
    visitor: Visitor
    aggregator: Aggregator
    commands: Mapping[str, Sequence[Command]]
    """By uuid of the asset or market."""

    transaction_id: object
    rule: Rule | None = None
    """Of a fault that may change or drop energies."""

    entry: Entry
    """The journal's, of this request."""

    _used: dict[str, float] | None = field(default=None, init=False)
    _desk: Desk = field(init=False)

    def __post_init__(self) -> None:
        """Open the desk for its orders."""
        self._desk = Desk(self.ctn, self._used_kwh)

    def pending(self) -> Pending:
        """The batch, ready to be carried out now or at the next tick."""
        command = Pending(
            to=self.aggregator.uuid,
            serve=self.serve,
            refuse=lambda: self.ctn.take(command),
        )
        return command

    def serve(self) -> Answer | None:
        """Carry it out: one response a command. None, so no answer, where nothing in it is known."""
        self.ctn.trading.book.turn(self.ctn.market.slot)
        responses: dict[str, list[Answer]] = {}
        foreign = []
        for uuid, commands in self.commands.items():
            node = self.ctn.trading.node(uuid)
            if node is None:
                continue
            if self._controls(node):
                responses[uuid] = [self._one(node, command) for command in commands]
            else:
                foreign.append(uuid)
                responses[uuid] = [self._foreign(uuid, command) for command in commands]
        if foreign:
            # One line a request: it may name thousands.
            self.ctn.audit.note(self.visitor.username, "batch-commands", foreign[0], "forbidden")
        tell_trades(self.ctn, self._desk.trades)
        self._note(responses)
        if not responses:
            return None
        return {
            "command": NAME,
            "transaction_id": self.transaction_id,
            "aggregator_uuid": self.aggregator.uuid,
            "responses": responses,
        }

    def _note(self, responses: Mapping[str, Sequence[Answer]]) -> None:
        told = {uuid: [str(answer["status"]) for answer in answers] for uuid, answers in responses.items()}
        self.entry.answers = told
        if self.rule is not None:
            nodes = [node for uuid in told if (node := self.ctn.trading.node(uuid)) is not None]
            self.entry.fault_meets = [node.uuid for node in nodes if self.rule.speaks_of(node.uuid, node.name)]

    def _controls(self, node: Asset | MarketArea) -> bool:
        if self.ctn.trading.selected_by(node.uuid) != self.aggregator.uuid:
            return False
        right = self.visitor.may_post if isinstance(node, Asset) else self.visitor.may_operate
        return right(node.uuid)

    def _foreign(self, uuid: str, command: Command) -> Answer:
        message = f"Device {uuid} is not controlled by aggregator {self.aggregator.uuid}"
        return {"command": command.get("type"), "status": "error", "area_uuid": uuid, "message": message}

    def _one(self, node: Asset | MarketArea, command: Command) -> Answer:
        kind = command.get("type")
        if not isinstance(kind, str):
            return {"status": "error", "area_uuid": node.uuid, "message": "Invalid command type"}
        answer = self._of_market(node, command) if isinstance(node, MarketArea) else self._of_asset(node, command)
        if answer is None:
            message = f"Command type not supported for device {node.uuid}"
            return {"command": kind, "status": "error", "area_uuid": node.uuid, "message": message}
        return answer

    def _of_market(self, market: MarketArea, command: Command) -> Answer | None:
        if command["type"] == "grid_fees":
            data = command.get("data")
            self.ctn.audit.note(self.visitor.username, "grid-fee", market.uuid, "asked")
            return set_fee(self.ctn, market, data if isinstance(data, Mapping) else {})
        return told_stats(self.ctn, market) if command["type"] == "dso_market_stats" else None

    def _of_asset(self, asset: Asset, command: Command) -> Answer | None:
        name = command["type"]
        if name == "device_info":
            info = device_info(self.ctn, asset, self._used_kwh(asset))
            return self._ready(asset, name) | {"device_info": info}
        if name in _ENERGIES and asset.type in LIVE_TYPES:
            return self._energy(asset, command)
        return self._ordering(asset, command) if name in KINDS else None

    def _energy(self, asset: Asset, command: Command) -> Answer:
        name = command["type"]
        order = _ENERGIES[name]
        carried = {order.key: command.get(order.key)}
        told = energy.obey(
            self.ctn,
            asset,
            order,
            carried,
            by=self.visitor.username,
            at=self.ctn.clock.now(),
            rule=self.rule if self.rule and self.rule.speaks_of(asset.uuid, asset.name) else None,
        )
        if told["status"] == "ready":
            return self._ready(asset, name) | {name: self._arguments(command)}
        return self._failed(asset, name, f"Error when handling {name}", command)

    def _ordering(self, asset: Asset, command: Command) -> Answer:
        kind = KINDS[command["type"]]
        if not knows(asset, kind.side):
            words = command["type"].replace("_", " ").capitalize()
            message = f"{words} command not supported on device {asset.uuid}"
            return {"command": command["type"], "status": "error", "area_uuid": asset.uuid, "message": message}
        try:
            return self._ready(asset, kind.told) | self._desk.obey(asset, command)
        except RejectedError:
            return self._failed(asset, kind.told, kind.failing, command)

    def _used_kwh(self, asset: Asset) -> float:
        if self._used is None:
            self._used = used_kwh(self.ctn, self.ctn.market.slot)
        return self._used[asset.uuid]

    def _arguments(self, command: Command) -> Answer:
        return {**command, "transaction_id": self.transaction_id}

    def _ready(self, asset: Asset, name: str) -> Answer:
        return {
            "command": name,
            "status": "ready",
            "area_uuid": asset.uuid,
            "transaction_id": self.transaction_id,
        }

    def _failed(self, asset: Asset, name: str, words: str, command: Command) -> Answer:
        message = f"{words} on area {asset.name} with arguments {self._arguments(command)}."
        return self._ready(asset, name) | {"status": "error", "error_message": message}


def _commands(body: Mapping[str, Any]) -> dict[str, list[Command]]:
    found = body.get("batch_commands")
    if not isinstance(found, dict) or not all(
        isinstance(commands, list) and all(isinstance(one, dict) for one in commands) for commands in found.values()
    ):
        raise HTTPException(400, "batch_commands: Expected a dictionary of lists of commands.")
    return found
