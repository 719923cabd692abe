"""What the engine tells its listeners as time goes by (gsy-e, redis_connections/aggregator.py, external_strategies).

An aggregator hears of a slot's start, of every tenth of the slot, of trades and of the end, each time with the grid
tree, in which only its own assets show more than their name. An asset's own listeners hear the same of their asset
alone, and only while it is registered and has selected no aggregator. A market's listeners hear of the end.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from pipelines.sandbox.exchange.engine.orders import Order, Side, Trade
from pipelines.sandbox.exchange.engine.tallies import CT_PER_EUR, DIGITS, Cleared, bill, market_bills, rate_stats
from pipelines.sandbox.exchange.engine.trading import Aggregator
from pipelines.sandbox.exchange.engine.twin import Asset
from pipelines.sandbox.exchange.wire.clearing import NEITHER, PRODUCERS, fee_ct, last_cleared, nodes
from pipelines.sandbox.exchange.wire.energies import used_kwh

if TYPE_CHECKING:
    from pipelines.sandbox.exchange.ctn import Ctn

TOLD_EVERY_PERCENT = 10
"""Of the slot: DISPATCH_EVENT_TICK_FREQUENCY_PERCENT of gsy-e."""

WIRE_TIME = "%Y-%m-%dT%H:%M"
ANONYMOUS, NONE = "anonymous", "None"


def tell_cycle(ctn: "Ctn", slot: datetime) -> None:
    """Tell that a market cycle has begun `slot`."""
    ctn.trading.book.turn(slot)
    ctn.trading.told_percent = 0
    _tell(ctn, "market", {"slot_completion": "0%", "market_slot": slot.strftime(WIRE_TIME)})


def tell_tick(ctn: "Ctn", slot: datetime, completion_percent: int) -> None:
    """Tell that so much of `slot` is over, if a further tenth is."""
    if completion_percent - completion_percent % TOLD_EVERY_PERCENT > ctn.trading.told_percent:
        ctn.trading.told_percent = completion_percent - completion_percent % TOLD_EVERY_PERCENT
        progress = {"slot_completion": f"{completion_percent}%", "market_slot": slot.strftime(WIRE_TIME)}
        _tell(ctn, "tick", progress)


def tell_finish(ctn: "Ctn") -> None:
    """Tell everyone that the exchange ends."""
    selections = ctn.trading.selections()
    for uuid in ctn.hub.listened_to():
        if uuid in ctn.trading.aggregators:
            if selections[uuid]:
                ctn.hub.tell(uuid, _to_aggregator(ctn, "finish", {}))
        elif uuid in ctn.twin.markets:
            ctn.hub.tell(uuid, {"event": "finish"})
        elif _hears_directly(ctn.twin.assets.get(uuid)):
            ctn.hub.tell(uuid, {"event": "finish", "area_uuid": uuid})


def tell_trades(ctn: "Ctn", trades: list[Trade]) -> None:
    """Tell the two sides of each trade, or their aggregators."""
    for_aggregator: dict[str, list[dict[str, object]]] = {}
    for trade in trades:
        for order in (trade.bid, trade.offer):
            asset = ctn.twin.assets[order.asset]
            if asset.aggregator is not None:
                for_aggregator.setdefault(asset.aggregator, []).append(_trade(ctn, trade, order))
            elif asset.registered:
                ctn.hub.tell(asset.uuid, _direct_trade(ctn, trade, order))
    listened = set(ctn.hub.listened_to())
    for uuid, told in for_aggregator.items():
        if uuid in listened:
            tree = _Tree(ctn).seen_by(uuid)
            ctn.hub.tell(uuid, _to_aggregator(ctn, "trade", {"trade_list": told, **tree}))


def tell_selection(ctn: "Ctn", aggregator: Aggregator, uuid: str, *, selected: bool) -> None:
    """Tell an aggregator that an asset or market has selected it, or no longer does."""
    ctn.hub.tell(aggregator.uuid, selection(aggregator, uuid, selected=selected))


def selection(aggregator: Aggregator, uuid: str, *, selected: bool) -> dict[str, object]:
    """The event of `tell_selection`. GSy's client reads `device_uuid` of it."""
    event = "selected_by_device" if selected else "unselected_by_device"
    return {"event": event, "aggregator_uuid": aggregator.uuid, "device_uuid": uuid}


def device_info(ctn: "Ctn", asset: Asset, used: float) -> dict[str, float]:
    """What an asset still needs or has in the slot that runs.

    Args:
        ctn: the network.
        asset: the asset.
        used: kWh the exchange uses for it in this slot.
    """
    book = ctn.trading.book
    (bought_kwh, spent_ct), (sold_kwh, earned_ct) = (book.traded(asset.uuid, side) for side in (Side.BID, Side.OFFER))
    in_bids, in_offers = book.open_kwh(asset.uuid, Side.BID), book.open_kwh(asset.uuid, Side.OFFER)
    info: dict[str, float] = {}
    if asset.type in NEITHER:
        # No battery is modelled: it holds nothing and takes nothing.
        info = dict.fromkeys(("energy_to_sell", "energy_to_buy", "free_storage", "used_storage"), 0.0)
    if asset.type not in PRODUCERS:
        needs = {} if asset.type in NEITHER else {"energy_requirement_kWh": max(used - bought_kwh, 0.0)}
        info |= {**needs, "energy_active_in_bids": in_bids}
    if asset.type in PRODUCERS or asset.type in NEITHER:
        has = {} if asset.type in NEITHER else {"available_energy_kWh": max(used - sold_kwh, 0.0)}
        info |= {**has, "energy_active_in_offers": in_offers}
    info |= {"energy_traded": bought_kwh + sold_kwh, "total_cost": spent_ct + earned_ct}
    return {name: round(value, DIGITS) for name, value in info.items()}


def _tell(ctn: "Ctn", event: str, progress: Mapping[str, object]) -> None:
    listened = ctn.hub.listened_to()
    selections = ctn.trading.selections()
    aggregators = [uuid for uuid in listened if uuid in ctn.trading.aggregators and selections[uuid]]
    assets = [asset for uuid in listened if _hears_directly(asset := ctn.twin.assets.get(uuid)) and asset]
    if not aggregators and not assets:
        return
    tree = _Tree(ctn)
    for uuid in aggregators:
        ctn.hub.tell(uuid, _to_aggregator(ctn, event, {**progress, **tree.seen_by(uuid)}))
    for asset in assets:
        own = {"event": event, "area_uuid": asset.uuid, "device_info": tree.info(asset)}
        ctn.hub.tell(asset.uuid, {**(tree.market(asset) if event == "market" else progress), **own})


def _hears_directly(asset: Asset | None) -> bool:
    return asset is not None and asset.registered and asset.aggregator is None


def _to_aggregator(ctn: "Ctn", event: str, body: Mapping[str, object]) -> dict[str, object]:
    every = 100 / TOLD_EVERY_PERCENT
    return {**body, "event": event, "num_ticks": every, "simulation_id": ctn.twin.simulation}


class _Tree:
    """The grid at one moment, for any number of listeners."""

    def __init__(self, ctn: "Ctn") -> None:
        self._ctn = ctn
        self._used = used_kwh(ctn, ctn.market.slot)
        self._last: Cleared = last_cleared(ctn)

    def info(self, asset: Asset) -> dict[str, float]:
        return device_info(self._ctn, asset, self._used[asset.uuid])

    def seen_by(self, aggregator: str) -> dict[str, object]:
        """Grid tree and rates, with the details of this aggregator's assets alone."""
        told: dict[str, dict[str, object]] = {}
        root: dict[str, object] = {}
        for parent, area in nodes(self._ctn.twin.tree):
            uuid = area.uuid or ""
            asset = self._ctn.twin.assets.get(uuid)
            node: dict[str, object] = {"area_name": area.name}
            if asset is None:
                node |= self._market(uuid)
                node["children"] = told[uuid] = {}
            elif asset.aggregator == aggregator:
                node |= self._asset(asset)
            (root if parent is None else told[parent.uuid or ""])[uuid] = node
        settings = self._ctn.twin.settings
        return {
            "grid_tree": root,
            "feed_in_tariff_rate": settings.feed_in_tariff_rate,
            "market_maker_rate": settings.market_maker_rate,
        }

    def market(self, asset: Asset) -> dict[str, object]:
        """What a registered asset's own listeners are told when a slot begins."""
        ctn, slot = self._ctn, self._ctn.market.slot.strftime(WIRE_TIME)
        return {
            "name": ctn.twin.markets[asset.market].name,
            "id": asset.market,
            "start_time": slot,
            "duration_min": ctn.market.slot_length.seconds // 60,
            "time_slots": [slot],
            "type_name": "Spot Market",
            "market_slot": slot,
            "slot_completion": "0%",
            "device_bill": self._bill(asset),
            "last_market_maker_rate": ctn.twin.settings.market_maker_rate,
            "last_market_stats": rate_stats(self._last.tallies[asset.market]),
        }

    def _market(self, uuid: str) -> dict[str, object]:
        market, tally = self._ctn.twin.markets[uuid], self._last.tallies[uuid]
        fee = market.fee_const if self._ctn.twin.settings.grid_fee_type == 1 else market.fee_percent
        return {
            "last_market_bill": market_bills(tally),
            "last_market_stats": rate_stats(tally),
            "last_market_fee": fee,
            "current_market_fee": fee,
        }

    def _asset(self, asset: Asset) -> dict[str, object]:
        tally = self._last.tallies[asset.uuid]
        traded = {
            "energy_traded": round(tally.bought_kwh + tally.sold_kwh, DIGITS),
            "total_cost": round(tally.spent_ct + tally.earned_ct, DIGITS),
        }
        return {
            "asset_info": self.info(asset),
            "last_slot_asset_info": traded,
            "asset_bill": self._bill(asset),
        }

    def _bill(self, asset: Asset) -> dict[str, object]:
        tally = self._last.tallies[asset.uuid]
        return {
            **bill(tally),
            "total_energy": round(tally.bought_kwh - tally.sold_kwh, DIGITS),
            "total_cost": round((tally.spent_ct - tally.earned_ct) / CT_PER_EUR, DIGITS),
            "market_fee": round(tally.fees_ct / CT_PER_EUR, DIGITS),
            "type": asset.type,
        }


def _trade(ctn: "Ctn", trade: Trade, own: Order) -> dict[str, object]:
    """A trade as one side's aggregator is told it: the other side has no name."""
    per_kwh = fee_ct(ctn, ctn.twin.assets[trade.bid.asset], trade.rate_ct)
    buys = own.side is Side.BID
    return {
        "event": "trade",
        "asset_id": own.asset,
        "trade_id": trade.id,
        "time": trade.at.isoformat(),
        "trade_price": round(trade.price_ct, DIGITS),
        "traded_energy": round(trade.energy_kwh, DIGITS),
        "total_fee": round(per_kwh * trade.energy_kwh, DIGITS),
        "local_market_fee": round(per_kwh, DIGITS),
        "attributes": own.attributes,
        "seller": ANONYMOUS if buys else own.trader,
        "buyer": own.trader if buys else ANONYMOUS,
        "seller_origin": ANONYMOUS if buys else own.trader,
        "buyer_origin": own.trader if buys else ANONYMOUS,
        "bid_id": own.id if buys else NONE,
        "offer_id": NONE if buys else own.id,
        "residual_bid_id": trade.residuals.get(Side.BID, NONE) if buys else NONE,
        "residual_offer_id": NONE if buys else trade.residuals.get(Side.OFFER, NONE),
    }


def _direct_trade(ctn: "Ctn", trade: Trade, own: Order) -> dict[str, object]:
    asset, buys = ctn.twin.assets[own.asset], own.side is Side.BID
    fee = fee_ct(ctn, ctn.twin.assets[trade.bid.asset], trade.rate_ct) * trade.energy_kwh
    return {
        "device_info": device_info(ctn, asset, used_kwh(ctn, ctn.market.slot)[asset.uuid]),
        "event": "trade",
        "trade_id": trade.id,
        "time": trade.at.isoformat(),
        "trade_price": round(trade.price_ct, DIGITS),
        "traded_energy": round(trade.energy_kwh, DIGITS),
        "fee_price": round(fee, DIGITS),
        "area_uuid": asset.uuid,
        "seller": ANONYMOUS if buys else own.trader,
        "buyer": own.trader if buys else ANONYMOUS,
        "residual_id": trade.residuals.get(own.side, NONE),
        "event_type": "buy" if buys else "sell",
        "bid_id" if buys else "offer_id": own.id,
    }
