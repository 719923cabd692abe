"""What the exchange knows of trading beside the energies: aggregators, who selected whom, grid fees, the order book."""

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import delete, select

from pipelines.sandbox.exchange.engine.orders import Book
from pipelines.sandbox.exchange.engine.tallies import Cleared
from pipelines.sandbox.exchange.engine.twin import Asset, MarketArea, Twin
from pipelines.sandbox.exchange.ledger import Ledger, put
from pipelines.sandbox.exchange.tables import AGGREGATOR, ASSET, FEE


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregator:
    """Speaks for the assets and markets that have selected it."""

    uuid: str
    name: str
    username: str
    """Whose it is."""


class Trading:
    """State of one simulation; what must outlive a restart is in the ledger."""

    def __init__(self, twin: Twin, ledger: Ledger) -> None:
        """Take over what the ledger holds."""
        self._twin, self._ledger = twin, ledger
        self.book = Book()
        self.cleared: Cleared | None = None
        """Result of the last slot that anybody asked for."""

        self.told_percent = 0
        """How much of the running slot the listeners have been told is over."""

        self._market_aggregators: dict[str, str] = {}
        with ledger.reading() as connection:
            found = [Aggregator(uuid=r.uuid, name=r.name, username=r.username) for r in connection.execute(_BY_NAME)]
            for row in connection.execute(select(ASSET).where(ASSET.c.aggregator.is_not(None))):
                if row.uuid in twin.markets:
                    self._market_aggregators[row.uuid] = row.aggregator
            for row in connection.execute(select(FEE)):
                if (market := twin.markets.get(row.market)) is not None:
                    market.fee_const, market.fee_percent = row.fee_const or 0.0, row.fee_percent or 0.0
        self.aggregators = {one.uuid: one for one in found}

    def add(self, aggregator: Aggregator) -> None:
        """Enter a new aggregator."""
        row = {"uuid": aggregator.uuid, "name": aggregator.name, "username": aggregator.username}
        self._ledger.put(AGGREGATOR, [row])
        self.aggregators[aggregator.uuid] = aggregator

    def remove(self, aggregator: Aggregator) -> list[str]:
        """Delete an aggregator and free what had selected it.

        Returns:
            uuids of what is free now.
        """
        freed = self.selections()[aggregator.uuid]
        for uuid in freed:
            self.select(uuid, None)
        with self._ledger.writing() as connection:
            connection.execute(delete(AGGREGATOR).where(AGGREGATOR.c.uuid == aggregator.uuid))
        del self.aggregators[aggregator.uuid]
        return freed

    def node(self, uuid: str) -> Asset | MarketArea | None:
        """The asset or market of this uuid."""
        return self._twin.assets.get(uuid) or self._twin.markets.get(uuid)

    def selected_by(self, uuid: str) -> str | None:
        """The aggregator (uuid) that an asset or market has selected."""
        asset = self._twin.assets.get(uuid)
        return self._market_aggregators.get(uuid) if asset is None else asset.aggregator

    def selections(self) -> dict[str, list[str]]:
        """Aggregator -> the assets and markets that have selected it, in the tree's order; [] for any other key."""
        found: dict[str, list[str]] = defaultdict(list)
        for asset in self._twin.assets.values():
            if asset.aggregator is not None:
                found[asset.aggregator].append(asset.uuid)
        for market, aggregator in self._market_aggregators.items():
            found[aggregator].append(market)
        return found

    def select(self, uuid: str, aggregator: str | None) -> None:
        """Let an asset or market select an aggregator; None: free it."""
        if (asset := self._twin.assets.get(uuid)) is not None:
            asset.aggregator = aggregator
            self._twin.keep(self._ledger, asset)
            return
        market = self._twin.markets[uuid]
        self._market_aggregators.pop(uuid, None)
        if aggregator is not None:
            self._market_aggregators[uuid] = aggregator
        row = {"uuid": uuid, "name": market.name, "live": False, "registered": False, "aggregator": aggregator}
        self._ledger.put(ASSET, [row])

    def set_fee(self, market: MarketArea, *, fee_const: float | None, fee_percent: float | None) -> None:
        """Change a market's grid fee; what is None stays."""
        market.fee_const = market.fee_const if fee_const is None else fee_const
        market.fee_percent = market.fee_percent if fee_percent is None else fee_percent
        row = {"market": market.uuid, "fee_const": market.fee_const, "fee_percent": market.fee_percent}
        with self._ledger.writing() as connection:
            put(connection, FEE, [row])


_BY_NAME = select(AGGREGATOR).order_by(AGGREGATOR.c.name, AGGREGATOR.c.uuid)
