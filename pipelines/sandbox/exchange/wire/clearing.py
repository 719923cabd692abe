"""What was traded in a slot, for the statistics that events and batch commands tell.

A small stand-in for the engine's market, ours: assets that trade by template share the community's own production pro
rata, at the middle between feed-in tariff and market maker rate; what production can't cover is deficit, for no grid
sells. Assets that trade by themselves have what their orders made of it, and those that don't order have nothing.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from pipelines.sandbox.exchange.engine.tallies import Cleared, Tally
from pipelines.sandbox.exchange.engine.twin import Asset, Settings
from pipelines.sandbox.exchange.wire.energies import used_kwh

if TYPE_CHECKING:
    from pipelines.gsy_files.tree import Area
    from pipelines.sandbox.exchange.ctn import Ctn

PRODUCERS = frozenset({"PV", "WindTurbine", "CommercialProducer", "FiniteDieselGenerator"})
"""Types whose energy is sold; that of storages and of the grid itself counts as nothing, of all others it is bought."""

NEITHER = frozenset({"Storage", "ScmStorage", "InfiniteBus", "MarketMaker"})


def last_cleared(ctn: "Ctn") -> Cleared:
    """The slot before the one that runs; worked out when it is first asked for."""
    slot = ctn.market.slot - ctn.market.slot_length
    if ctn.trading.cleared is None or ctn.trading.cleared.slot != slot:
        ctn.trading.cleared = clear(ctn, slot)
    return ctn.trading.cleared


def clear(ctn: "Ctn", slot: datetime) -> Cleared:
    """Trade the slot. Who trades by template is taken as it stands now."""
    used = used_kwh(ctn, slot)
    tallies = {uuid: Tally() for uuid in (*ctn.twin.assets, *ctn.twin.markets)}
    for uuid, asset in ctn.twin.assets.items():
        if asset.type in PRODUCERS:
            tallies[uuid].offered_kwh = used[uuid]
        elif asset.type not in NEITHER:
            tallies[uuid].wanted_kwh = used[uuid]
    rate_ct = middle_rate_ct(ctn.twin.settings)
    traders = [
        (tallies[uuid], fee_ct(ctn, asset, rate_ct))
        for uuid, asset in ctn.twin.assets.items()
        if asset.trades_by_template
    ]
    _share(traders, rate_ct)
    for trade in ctn.trading.book.trades(slot):
        buyer = ctn.twin.assets[trade.bid.asset]
        tallies[buyer.uuid].buy(trade.energy_kwh, trade.rate_ct, fee_ct(ctn, buyer, trade.rate_ct))
        tallies[trade.offer.asset].sell(trade.energy_kwh, trade.rate_ct)
    for parent, area in reversed(nodes(ctn.twin.tree)):
        if parent is not None:
            tallies[parent.uuid or ""].add(tallies[area.uuid or ""])
    return Cleared(slot=slot, tallies=tallies)


def middle_rate_ct(settings: Settings) -> float:
    """ct/kWh between feed-in tariff and market maker rate."""
    return (settings.feed_in_tariff_rate + settings.market_maker_rate) / 2


def fee_ct(ctn: "Ctn", buyer: Asset, rate_ct: float) -> float:
    """Grid fee per kWh of a purchase at this rate: that of the market the buyer stands in (ours)."""
    market = ctn.twin.markets[buyer.market]
    by_type = {1: market.fee_const, 2: market.fee_percent / 100 * rate_ct}
    return by_type.get(ctn.twin.settings.grid_fee_type, 0.0)


def nodes(tree: "Area") -> list[tuple["Area | None", "Area"]]:
    """Every area with the one it stands in, a parent before its children."""
    found: list[tuple[Area | None, Area]] = [(None, tree)]
    for _, area in found:
        found.extend((area, child) for child in area.children)
    return found


def _share(traders: list[tuple[Tally, float]], rate_ct: float) -> None:
    wanted_kwh = sum(one.wanted_kwh for one, _ in traders)
    offered_kwh = sum(one.offered_kwh for one, _ in traders)
    traded_kwh = min(wanted_kwh, offered_kwh)
    if traded_kwh > 0:
        for one, fee in traders:
            one.buy(one.wanted_kwh / wanted_kwh * traded_kwh, rate_ct, fee)
            one.sell(one.offered_kwh / offered_kwh * traded_kwh, rate_ct)
