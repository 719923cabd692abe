"""Bids and offers of the slot that runs, and the trades they make: a small stand-in for the engine's spot market.

Ours, and simpler than the engine: one book for the whole community, grid fees don't decide who meets whom, and an order
meets the standing ones the moment it is posted. As in the engine's two-sided market the bid's rate is paid.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from heapq import heapify, heappop, heappush
from itertools import count
from uuid import uuid4

from pipelines.errors import RejectedError

TOLERANCE_KWH = 0.00002
"""The engine's FLOATING_POINT_TOLERANCE."""

MOST_ORDERS = 1000
"""Open orders of one asset; ours, so that a client that never deletes can't fill the memory."""

SLOTS_KEPT = 2
"""Trades are kept of the running slot and the one before."""


class Side(StrEnum):
    """What an order is."""

    BID = "bid"
    OFFER = "offer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A bid or an offer."""

    id: str
    side: Side
    asset: str
    """uuid."""

    trader: str
    """The asset's name."""

    slot: datetime
    energy_kwh: float
    price_ct: float
    """For all of the energy."""

    created_at: datetime
    original_price_ct: float
    attributes: object = None
    requirements: object = None

    @property
    def rate_ct(self) -> float:
        """ct/kWh."""
        return self.price_ct / self.energy_kwh

    def words(self, *, replace_existing: bool) -> str:
        """The order as the engine's answers carry it: a JSON string (gsy_framework/data_classes.py)."""
        who = "buyer" if self.side is Side.BID else "seller"
        return json.dumps(
            {
                "id": self.id,
                "creation_time": self.created_at.isoformat(),
                "time_slot": self.slot.isoformat(),
                "original_price": self.original_price_ct,
                "price": self.price_ct,
                "energy": self.energy_kwh,
                "energy_rate": self.rate_ct,
                "attributes": self.attributes,
                "requirements": self.requirements,
                who: self.trader,
                "replace_existing": replace_existing,
                "type": self.side.capitalize(),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A bid and an offer that met."""

    id: str
    bid: Order
    offer: Order
    energy_kwh: float
    rate_ct: float
    at: datetime
    residuals: Mapping[Side, str]
    """Id of what is left of the bid or the offer, where something is."""

    @property
    def price_ct(self) -> float:
        """For all of the energy, without fees."""
        return self.rate_ct * self.energy_kwh


class Book:
    """The orders of one slot at a time."""

    def __init__(self) -> None:
        self._slot: datetime | None = None
        self._orders: dict[str, dict[str, Order]] = {}
        self._by_id: dict[str, Order] = {}
        self._best: dict[Side, list[tuple[float, int, str]]] = {side: [] for side in Side}
        """Heaps with the best rate on top, of equals the oldest. What is gone stays in until it surfaces."""

        self._entered = count()
        self._traded: dict[tuple[str, Side], tuple[float, float]] = {}
        self._trades: dict[datetime, list[Trade]] = {}

    def turn(self, slot: datetime) -> None:
        """Begin the slot, unless it runs already: what is open of an earlier one is void."""
        if slot != self._slot:
            self._slot = slot
            self._orders.clear()
            self._by_id.clear()
            self._best = {side: [] for side in Side}
            self._traded.clear()
            self._trades[slot] = []
            for old in sorted(self._trades)[:-SLOTS_KEPT]:
                del self._trades[old]

    def post(self, order: Order, *, replace_existing: bool) -> list[Trade]:
        """Enter an order, in place of all of its asset's of the same side or beside them.

        Returns:
            The trades it made, the best counterpart first.

        Raises:
            RejectedError: the asset has too many open ones.
        """
        own = self._orders.setdefault(order.asset, {})
        if replace_existing:
            for standing in self.open_orders(order.asset, order.side):
                self._drop(standing)
        if len(own) >= MOST_ORDERS:
            raise RejectedError(f"{order.trader} has {MOST_ORDERS} open orders: delete some first")
        self._enter(order)
        return self._match(order)

    def delete(self, asset: str, side: Side, order_id: str | None) -> list[str]:
        """Take back one order, or all of this side.

        Returns:
            Ids of those taken back.

        Raises:
            RejectedError: the asset has no such order.
        """
        standing = [one.id for one in self.open_orders(asset, side)]
        if order_id is not None and order_id not in standing:
            raise RejectedError(f"{side.capitalize()}_id is not associated with any posted {side}.")
        gone = standing if order_id is None else [order_id]
        for one in gone:
            self._drop(self._by_id[one])
        return gone

    def open_orders(self, asset: str, side: Side) -> list[Order]:
        """The asset's open orders, the oldest first."""
        return [one for one in self._orders.get(asset, {}).values() if one.side is side]

    def open_kwh(self, asset: str, side: Side) -> float:
        """Energy in the asset's open orders."""
        return sum(one.energy_kwh for one in self.open_orders(asset, side))

    def traded(self, asset: str, side: Side) -> tuple[float, float]:
        """What the asset has bought or sold in the slot that runs: kWh, and ct without fees."""
        return self._traded.get((asset, side), (0.0, 0.0))

    def trades(self, slot: datetime) -> list[Trade]:
        """What was traded in the slot; of a slot longer ago nothing is known."""
        return self._trades.get(slot, [])

    def _match(self, order: Order) -> list[Trade]:
        made: list[Trade] = []
        rest: Order | None = order
        while rest is not None and (counterpart := self._counterpart(rest)) is not None:
            bid, offer = (rest, counterpart) if rest.side is Side.BID else (counterpart, rest)
            energy_kwh = min(bid.energy_kwh, offer.energy_kwh)
            rests = {one.side: self._cut(one, energy_kwh) for one in (bid, offer)}
            trade = Trade(
                id=str(uuid4()),
                bid=bid,
                offer=offer,
                energy_kwh=energy_kwh,
                rate_ct=bid.rate_ct,
                at=order.created_at,
                residuals={side: left.id for side, left in rests.items() if left is not None},
            )
            made.append(trade)
            for one in (bid, offer):
                kwh, ct = self.traded(one.asset, one.side)
                self._traded[one.asset, one.side] = kwh + energy_kwh, ct + trade.price_ct
            rest = rests[order.side]
        self._trades.setdefault(order.slot, []).extend(made)
        return made

    def _counterpart(self, order: Order) -> Order | None:
        """The best order on the other side that fits and isn't the asset's own; of equals the oldest."""
        heap = self._best[Side.OFFER if order.side is Side.BID else Side.BID]
        own: list[tuple[float, int, str]] = []
        found: Order | None = None
        while heap and found is None:
            standing = self._by_id.get(heap[0][2])
            if standing is None:
                heappop(heap)
            elif (standing.rate_ct - order.rate_ct) * (1 if order.side is Side.BID else -1) > 0:
                break
            elif standing.asset == order.asset:
                own.append(heappop(heap))
            else:
                found = standing
        for entry in own:
            heappush(heap, entry)
        return found

    def _cut(self, order: Order, energy_kwh: float) -> Order | None:
        """Take energy out of an order; what is left stays open under an id of its own."""
        self._drop(order)
        left_kwh = order.energy_kwh - energy_kwh
        if left_kwh <= TOLERANCE_KWH:
            return None
        rest = replace(order, id=str(uuid4()), energy_kwh=left_kwh, price_ct=order.rate_ct * left_kwh)
        self._enter(rest)
        return rest

    def _enter(self, order: Order) -> None:
        self._orders.setdefault(order.asset, {})[order.id] = order
        self._by_id[order.id] = order
        heap = self._best[order.side]
        heappush(heap, (order.rate_ct if order.side is Side.OFFER else -order.rate_ct, next(self._entered), order.id))
        if len(heap) > 2 * len(self._by_id) + MOST_ORDERS:
            # Whoever replaces an order over and over leaves its shells behind.
            heap[:] = [entry for entry in heap if entry[2] in self._by_id]
            heapify(heap)

    def _drop(self, order: Order) -> None:
        del self._orders[order.asset][order.id], self._by_id[order.id]
