"""What the exchange's engine does with live data: buffers it, applies it at the market cycle, forgets the rest.

Pure: no HTTP and no clock; `advance` is told the time. The rules are those seen in gsy-e at ab358e7
(`external_strategies/forecast_mixin.py`, `load.py`, `pv.py`):

- What arrives during slot S is looked at once, at the market cycle that begins S+1. A forecast counts if its slot
  is S+1 or later, a measurement if its slot is S or earlier. The rest vanishes without a word.
- A slot is looked up exactly, so a forecast for a minute off the grid is found by none. Such a measurement doesn't
  count either.
- A slot without a forecast is 0.0: nothing is carried over.
- A value without slot time drives the slot that begins next, and is repeated in every later one until another comes
  (gsy-e before f4cba761c). Where a slot has a forecast of its own, that one counts.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pipelines.slots import slot_floor, slots_between

LIVE_TYPES = frozenset({"Load", "PV"})
"""Types of the registry that have a live strategy; for every other one live data is taken and ignored."""


@dataclass(slots=True)
class _Asset:
    """What one asset was told, and what of it counts. Energies in kWh."""

    live: bool
    new_forecasts: dict[datetime, float] = field(default_factory=dict)
    new_measurements: dict[datetime, float] = field(default_factory=dict)
    new_repeated: float | None = None
    forecasts: dict[datetime, float] = field(default_factory=dict)
    measurements: dict[datetime, float] = field(default_factory=dict)
    repeated_from: list[datetime] = field(default_factory=list)
    repeated: list[float] = field(default_factory=list)

    def market_cycle(self, begins: datetime, length: timedelta) -> None:
        """Apply what was buffered during the slot before `begins`, and clear the buffers."""
        for slot, energy_kwh in self.new_forecasts.items():
            if slot >= begins:
                self.forecasts[slot] = energy_kwh
        for slot, energy_kwh in self.new_measurements.items():
            if slot < begins and slot == slot_floor(slot, length):
                self.measurements[slot] = energy_kwh
        if self.new_repeated is not None:
            self.repeated_from.append(begins)
            self.repeated.append(self.new_repeated)
        self.new_forecasts, self.new_measurements, self.new_repeated = {}, {}, None

    def used_kwh(self, slot: datetime) -> float:
        """What the exchange traded with in the slot."""
        if (energy_kwh := self.forecasts.get(slot)) is not None:
            return energy_kwh
        latest = bisect_right(self.repeated_from, slot)
        return self.repeated[latest - 1] if latest else 0.0


class Market:
    """The assets of one simulation and the slot that runs. Every asset exists from the market's start.

    Commands take an asset's uuid and raise KeyError for one that isn't in the simulation.
    """

    def __init__(self, slot_length: timedelta, start: datetime, assets: Mapping[str, str]) -> None:
        """Open the market in the slot that holds `start`.

        Args:
            slot_length: divides the hour.
            start: aware instant.
            assets: uuid -> type as the registry writes it.
        """
        self._length = slot_length
        self._start = slot_floor(start, slot_length)
        self._slot = self._start
        self._assets = {uuid: _Asset(live=kind in LIVE_TYPES) for uuid, kind in assets.items()}
        self._told: set[str] = set()

    @property
    def slot(self) -> datetime:
        """Start of the slot that runs."""
        return self._slot

    def advance(self, to: datetime) -> None:
        """Let time run to `to`, through every market cycle on the way. An earlier instant changes nothing.

        Whatever is buffered is settled by the first cycle, so the later ones have nothing to do and a year
        costs no more than a slot.
        """
        latest = slot_floor(to, self._length)
        if latest <= self._slot:
            return
        for uuid in self._told:
            self._assets[uuid].market_cycle(self._slot + self._length, self._length)
        self._told.clear()
        self._slot = latest

    def forecast(self, asset: str, energies_kwh: Mapping[datetime, float]) -> None:
        """Buffer forecasts by slot; for a slot named twice the last value counts."""
        if (state := self._assets[asset]).live:
            state.new_forecasts.update(energies_kwh)
            self._told.add(asset)

    def measurement(self, asset: str, energies_kwh: Mapping[datetime, float]) -> None:
        """Buffer measured energies by slot."""
        if (state := self._assets[asset]).live:
            state.new_measurements.update(energies_kwh)
            self._told.add(asset)

    def repeated_forecast(self, asset: str, energy_kwh: float) -> None:
        """Buffer a forecast without slot time; the last one of a slot counts."""
        if (state := self._assets[asset]).live:
            state.new_repeated = energy_kwh
            self._told.add(asset)

    def profile(self, asset: str, start: datetime, end: datetime) -> dict[datetime, float]:
        """Forecasts the exchange used, in kWh, for the slots in [start, end) that have begun."""
        state = self._assets[asset]
        first = slot_floor(start, self._length)
        first = max(first if first == start else first + self._length, self._start)
        last = min(end, self._slot + self._length)
        return {slot: state.used_kwh(slot) for slot in slots_between(first, last, self._length)}

    def measured(self, asset: str) -> dict[datetime, float]:
        """Measurements that counted, in kWh. No answer of the exchange shows them."""
        return dict(self._assets[asset].measurements)
