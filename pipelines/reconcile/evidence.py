"""Both sides beside each other: what should stand in each slot, and what the exchange holds."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain

import polars as pl
from sqlalchemy import Connection

from pipelines.community import Community
from pipelines.exchange import PROTOCOLS
from pipelines.exchange.results import ReadBack
from pipelines.frames import INSTANT
from pipelines.reconcile.expected import expected, slot_grid, with_key
from pipelines.reconcile.same import matches
from pipelines.reconcile.standing import HELD, PAIRS_AT_ONCE, live_assets, read_before, submitted
from pipelines.slots import Abilities

EVIDENCE = timedelta(days=1)
"""A diagnosis looks so far back behind the window: patterns show over a day."""


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Reads one stretch of slots after another, of the assets that could be read back."""

    connection: Connection
    community: Community
    read: ReadBack

    @property
    def abilities(self) -> Abilities:
        """Of the protocol that carried the values."""
        return PROTOCOLS[self.community.exchange.protocol].abilities

    def window(self, start: datetime, end: datetime) -> pl.DataFrame:
        """The slots of [start, end) that were read back just now; of each it is known what the exchange holds.

        Returns:
            `expected`, with exchange_wh (null: it has no value), agrees and compared; asset by asset.
        """
        return self._beside(_told(self.read), start, end).with_columns(compared=pl.lit(value=True))

    def earlier(self, start: datetime, end: datetime, *, only: list[str] | None) -> pl.DataFrame:
        """The same of slots that earlier reconciliations have read; `compared` tells which.

        Args:
            start: slot boundary.
            end: slot boundary.
            only: of these assets; None: of all.
        """
        before = read_before(self.connection, assets=self._assets(only), start=start, end=end)
        read = before.with_columns(compared=pl.lit(value=True))
        return self._beside(read, start, end, only).with_columns(pl.col("compared").fill_null(value=False))

    @cached_property
    def _live(self) -> pl.DataFrame:
        return live_assets(self.connection, self.community)

    def _assets(self, only: list[str] | None) -> list[str]:
        """The live ones that could be read, or some of them."""
        live = self._live["asset_id"].to_list()
        chosen = set(live if only is None else only)
        return [asset for asset in live if asset in chosen and asset not in self.read.failed]

    def _beside(
        self, held: pl.DataFrame, start: datetime, end: datetime, only: list[str] | None = None
    ) -> pl.DataFrame:
        assets = self._assets(only)
        slots = max(1, (end - start) // self.community.slot_length)
        size = max(1, PAIRS_AT_ONCE // slots)
        portions = [assets[begin : begin + size] for begin in range(0, len(assets), size)] or [[]]
        return pl.concat([self._portion(held, start, end, some) for some in portions], rechunk=False)

    def _portion(self, held: pl.DataFrame, start: datetime, end: datetime, assets: list[str]) -> pl.DataFrame:
        live = self._live.filter(pl.col("asset_id").is_in(assets))
        grid = slot_grid(live, start=start, end=end, length=self.community.slot_length)
        sent = submitted(self.connection, assets, start=start, end=end, abilities=self.abilities)
        return (
            expected(grid, sent, abilities=self.abilities)
            .join(with_key(held, grid).drop("asset_id", "slot_start"), on="key", how="left", maintain_order="left")
            .drop("key")
            .with_columns(agrees=matches("wanted_wh", "exchange_wh"))
        )


def _told(read: ReadBack) -> pl.DataFrame:
    """What was read, as HELD. Each instant is made into a number once, however many assets have a value for it."""
    profiles = read.energy_wh
    instants = sorted(set(chain.from_iterable(profiles.values())))
    number = {instant: place for place, instant in enumerate(instants)}
    lengths = pl.Series([len(profile) for profile in profiles.values()], dtype=pl.UInt32)
    assets = pl.DataFrame({"asset_id": pl.Series(list(profiles), dtype=pl.String), "slots": lengths})
    places = pl.Series([number[slot] for profile in profiles.values() for slot in profile], dtype=pl.UInt32)
    values = list(chain.from_iterable(profile.values() for profile in profiles.values()))
    return pl.DataFrame(
        {
            "asset_id": assets.select(pl.col("asset_id").repeat_by("slots").explode())["asset_id"].drop_nulls(),
            "slot_start": pl.Series(instants, dtype=INSTANT).gather(places),
            "exchange_wh": values,
        },
        schema=HELD,
    )
