"""Energy commands as the engine obeys them: the posts for one asset, and the same commands in a batch."""

from datetime import datetime
from enum import Enum

from pipelines.errors import RejectedError
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.engine.pending import Pending
from pipelines.sandbox.exchange.engine.twin import Asset
from pipelines.sandbox.exchange.faults import Rule
from pipelines.sandbox.exchange.visit import Visit
from pipelines.sandbox.exchange.wire.commands import IncorrectRequest, keyed_energies, single_energy

MISSED = "Market cycle already finished."


class Order(Enum):
    """The commands: name in answers, key of the body, what it says."""

    SINGLE = ("set_energy_forecast", "energy_Wh", "A forecast for the next slot, in Wh, repeated until another comes")
    FORECAST = ("set_energy_forecast", "energy_forecast", "Forecasts by slot, in kWh")
    MEASUREMENT = ("set_energy_measurement", "energy_measurement", "Measured energies by slot, in kWh")

    def __init__(self, command: str, key: str, summary: str) -> None:
        self.command = command
        self.key = key
        self.summary = summary


def pending(ctn: Ctn, asset: Asset, order: Order, visit: Visit, *, by: str) -> Pending:
    """A post, ready to be carried out now or at the next tick."""
    body = visit.body
    at = ctn.clock.now()

    def serve() -> dict[str, object]:
        answer = obey(ctn, asset, order, body, by=by, at=at, rule=visit.rule)
        visit.entry.answer = str(answer["status"])
        return answer

    def refuse() -> dict[str, object]:
        visit.entry.answer = "error"
        return missed(asset, order, body)

    return Pending(to=asset.uuid, serve=serve, refuse=refuse)


def obey(
    ctn: Ctn,
    asset: Asset,
    order: Order,
    body: object,
    *,
    by: str,
    at: datetime,
    rule: Rule | None = None,
) -> dict[str, object]:
    """Carry a command out and answer as the engine does: `ready` means buffered, not applied.

    Args:
        ctn: the network.
        asset: for which.
        order: which command.
        body: what the client sent: the command's one key, and transaction_id where it likes.
        by: user name.
        at: when it was posted, aware.
        rule: of a fault that may change or drop the energies.
    """
    answer: dict[str, object] = {"command": order.command, "status": "ready"}
    try:
        _buffer(ctn, asset, order, body, by=by, at=at, rule=rule)
    except IncorrectRequest as error:
        answer = {"command": order.command, "status": "error", "error": str(error)}
    except RejectedError as error:
        words = f"Error when handling {order.command} on area {asset.name}. {error}"
        answer = {"command": order.command, "status": "error", "error_message": words}
    answer["transaction_id"] = body.get("transaction_id") if isinstance(body, dict) else None
    return answer


def missed(asset: Asset, order: Order, body: object) -> dict[str, object]:
    """What is told of a command that still waited when the market cycle came: no transaction_id, as the engine does."""
    words = f"Error when handling {order.command} on area {asset.name} with arguments {body}.{MISSED}"
    return {"command": order.command, "status": "error", "error_message": words}


def _buffer(ctn: Ctn, asset: Asset, order: Order, body: object, *, by: str, at: datetime, rule: Rule | None) -> None:
    scale, dropped = (rule.scale, rule.drops) if rule else (1.0, False)
    if order is Order.SINGLE:
        energy_kwh = single_energy(body, order.command)
        if not dropped:
            ctn.market.repeated_forecast(asset.uuid, energy_kwh * scale, by=by, at=at)
        return
    energies = keyed_energies(body, order.command, order.key, at.date())
    if not dropped:
        take = ctn.market.forecast if order is Order.FORECAST else ctn.market.measurement
        take(asset.uuid, {slot: energy_kwh * scale for slot, energy_kwh in energies.items()}, by=by, at=at)
