"""The digital twin: one simulation's areas, markets and assets, and what changes of them while it runs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import select

from pipelines.gsy_files.tree import Area
from pipelines.sandbox.exchange.ledger import Ledger
from pipelines.sandbox.exchange.tables import ASSET

LIVE_TYPES = frozenset({"Load", "PV"})
"""Types of the registry that have a live strategy; for every other one live data is taken and ignored
(gsy-e, `models/leaves.py`)."""


@dataclass(slots=True, kw_only=True)
class Asset:
    """A leaf of the tree."""

    uuid: str
    name: str
    type: str
    market: str
    """uuid of the area it stands in."""

    live: bool = True
    """The live switch."""

    registered: bool = False
    aggregator: str | None = None
    """uuid of the aggregator that speaks for it."""

    @property
    def takes_live_data(self) -> bool:
        """Whether what is posted for it can count."""
        return self.live and self.type in LIVE_TYPES

    @property
    def trades_by_template(self) -> bool:
        """Whether the exchange bids for it: not once it is registered or has selected an aggregator.

        Source: gsy-e, `external_strategies/__init__.py`, should_use_default_strategy.
        """
        return not (self.registered or self.aggregator)


@dataclass(slots=True, kw_only=True)
class MarketArea:
    """An inner node of the tree: a market, with its grid fee."""

    uuid: str
    name: str
    fee_const: float = 0.0
    """ct/kWh."""

    fee_percent: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The simulation's."""

    slot_length: timedelta = timedelta(minutes=15)
    tick_length: timedelta = timedelta(seconds=15)
    spot_market_type: int = 2
    """1 one-sided, 2 two-sided, 3 coefficients."""

    grid_fee_type: int = 1
    """1: fee_const counts, 2: fee_percent."""

    feed_in_tariff_rate: float = 8.0
    """ct/kWh; ours."""

    market_maker_rate: float = 30.0
    """ct/kWh; ours."""


@dataclass(kw_only=True)
class Twin:
    """One simulation. Every node of `tree` has a uuid of its own."""

    simulation: str
    name: str
    tree: Area
    settings: Settings = field(default_factory=Settings)
    assets: dict[str, Asset] = field(init=False)
    """By uuid."""

    markets: dict[str, MarketArea] = field(init=False)
    """By uuid."""

    def __post_init__(self) -> None:
        """Part the tree into markets and assets."""
        self.assets, self.markets = {}, {}
        for parent, area in _with_parents(self.tree):
            uuid = area.uuid or ""
            if area.is_market:
                self.markets[uuid] = MarketArea(uuid=uuid, name=area.name, fee_const=area.fee_const or 0.0)
            else:
                self.assets[uuid] = Asset(
                    uuid=uuid,
                    name=area.name,
                    type=area.type,
                    market=parent,
                    live=area.live is not False,
                    registered=area.registered,
                )

    def restore(self, ledger: Ledger) -> None:
        """Take over what had changed when the ledger's file was last open."""
        with ledger.reading() as connection:
            for row in connection.execute(select(ASSET)):
                if (asset := self.assets.get(row.uuid)) is not None:
                    asset.live, asset.registered, asset.aggregator = row.live, row.registered, row.aggregator

    def keep(self, ledger: Ledger, asset: Asset) -> None:
        """Write down what has changed of an asset."""
        ledger.put(
            ASSET,
            [
                {
                    "uuid": asset.uuid,
                    "name": asset.name,
                    "live": asset.live,
                    "registered": asset.registered,
                    "aggregator": asset.aggregator,
                }
            ],
        )


def _with_parents(tree: Area) -> Iterator[tuple[str, Area]]:
    waiting = [("", tree)]
    while waiting:
        parent, area = waiting.pop()
        yield parent, area
        waiting.extend((area.uuid or "", child) for child in reversed(area.children))
