"""Bids and offers as an aggregator orders them in a batch, in the engine's words (gsy-e, external_strategies)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from pipelines.errors import RejectedError
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.engine.orders import TOLERANCE_KWH, Order, Side, Trade
from pipelines.sandbox.exchange.engine.twin import Asset
from pipelines.sandbox.exchange.wire.clearing import NEITHER, PRODUCERS
from pipelines.sandbox.exchange.wire.commands import slot_time

HIGHEST = 1e12
"""Of an order's energy and price; ours."""

_KEYS = frozenset(
    {"type", "transaction_id", "price", "energy", "replace_existing", "time_slot", "attributes", "requirements"}
)

Command = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One of the commands."""

    side: Side
    told: str
    """Its name in answers, which isn't always that of the order."""

    failing: str
    """How the engine begins its refusal."""


KINDS: Mapping[str, Kind] = {
    name: kind
    for side in Side
    for name, kind in (
        (f"{side}", Kind(side=side, told=f"{side}", failing=f"Error when handling {side} create")),
        (f"delete_{side}", Kind(side=side, told=f"{side}_delete", failing=f"Error when handling {side} delete")),
        (f"list_{side}s", Kind(side=side, told=f"list_{side}s", failing=f"Error when listing {side}s")),
    )
}
"""By the `type` that a client writes."""


def knows(asset: Asset, side: Side) -> bool:
    """Whether the asset's strategy has orders of this side: loads buy, producers sell, the others do both."""
    if asset.type in NEITHER or asset.type == "SmartMeter":
        return True
    return (asset.type in PRODUCERS) is (side is Side.OFFER)


class Desk:
    """Serves the orders of one batch."""

    def __init__(self, ctn: Ctn, used_kwh: Callable[[Asset], float]) -> None:
        """Take what an asset uses in the slot that runs, which bounds its orders."""
        self._ctn = ctn
        self._used_kwh = used_kwh
        self.trades: list[Trade] = []
        """What the orders have made so far."""

    def obey(self, asset: Asset, command: Command) -> dict[str, object]:
        """Carry an order out.

        Args:
            asset: whose strategy knows the order (`knows`).
            command: its `type` is one of `KINDS`.

        Returns:
            What its answer holds beside the usual.

        Raises:
            RejectedError: the engine would refuse it.
        """
        name, book = command["type"], self._ctn.trading.book
        side = KINDS[name].side
        self._check_slot(command)
        if name.startswith("list"):
            standing = book.open_orders(asset.uuid, side)
            return {f"{side}_list": [{"id": o.id, "price": o.price_ct, "energy": o.energy_kwh} for o in standing]}
        if name.startswith("delete"):
            # The engine reads `bid` and `offer`, GSy's client writes `bid_id` and `offer_id`: here both count.
            order_id = command.get(side) or command.get(f"{side}_id")
            return {f"deleted_{side}s": book.delete(asset.uuid, side, order_id)}
        order, replacing = self._order(asset, side, command), command.get("replace_existing") is not False
        self.trades += book.post(order, replace_existing=replacing)
        return {side.value: order.words(replace_existing=replacing), "market_type": "Spot Market", "message": ""}

    def _order(self, asset: Asset, side: Side, command: Command) -> Order:
        energy_kwh, price_ct = _number(command, "energy"), _number(command, "price")
        if command.keys() - _KEYS or energy_kwh <= 0:
            raise RejectedError("an order has these keys alone, and energy above 0")
        book = self._ctn.trading.book
        taken_kwh, _ = book.traded(asset.uuid, side)
        if command.get("replace_existing") is False:
            taken_kwh += book.open_kwh(asset.uuid, side)
        if energy_kwh + taken_kwh > self._used_kwh(asset) + TOLERANCE_KWH:
            raise RejectedError("more than the asset needs or has")
        return Order(
            id=str(uuid4()),
            side=side,
            asset=asset.uuid,
            trader=asset.name,
            slot=self._ctn.market.slot,
            energy_kwh=energy_kwh,
            price_ct=price_ct,
            original_price_ct=price_ct,
            created_at=self._ctn.clock.now(),
            attributes=command.get("attributes"),
            requirements=command.get("requirements"),
        )

    def _check_slot(self, command: Command) -> None:
        """Only the running slot is traded: there are no future or settlement markets here."""
        wanted = command.get("time_slot")
        if wanted is None:
            return
        if not isinstance(wanted, str) or slot_time(wanted, self._ctn.clock.now().date()) != self._ctn.market.slot:
            raise RejectedError(f"Timeslot {wanted} is not currently in the spot, future or settlement markets")


def _number(command: Command, key: str) -> float:
    value = command.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < HIGHEST:
        raise RejectedError(f"{key} is no number that isn't negative")
    return float(value)
