"""What the exchange's engine does with live data: buffers it, applies it at the market cycle, forgets the rest.

No HTTP and no clock: `advance` is told the time. The rules are those seen in gsy-e at ab358e7
(`external_strategies/forecast_mixin.py`, `load.py`, `pv.py`):

- What arrives during slot S is looked at once, at the market cycle that begins S+1. A forecast counts if its slot
  is S+1 or later, a measurement if its slot is S or earlier. The rest vanishes without a word.
- A slot is looked up exactly, so a forecast for a minute off the grid is found by none. Such a measurement doesn't
  count either.
- A slot without a forecast is 0.0: nothing is carried over.
- A value without slot time drives the slot that begins next, and is repeated in every later one until another comes
  (gsy-e before f4cba761c). Where a slot has a forecast of its own, that one counts.
- While the live switch is off, what is posted is taken and ignored; the uploaded profile drives the asset.

What is buffered lives in memory and ends with the process; what counts stands in the ledger.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pipelines.sandbox.exchange.engine.history import History, Posted
from pipelines.sandbox.exchange.engine.twin import Twin
from pipelines.sandbox.exchange.ledger import Ledger
from pipelines.slots import slot_floor


@dataclass(slots=True)
class _Buffer:
    """What one asset was told in the running slot."""

    forecasts: dict[datetime, Posted] = field(default_factory=dict)
    measurements: dict[datetime, Posted] = field(default_factory=dict)
    repeated: Posted | None = None


class Market:
    """The assets of one simulation and the slot that runs.

    Commands take an asset's uuid and raise KeyError for one that isn't in the simulation.
    """

    def __init__(self, twin: Twin, ledger: Ledger, start: datetime) -> None:
        """Open the market in the slot that holds `start`, an aware instant."""
        self._assets = twin.assets
        self.slot_length = twin.settings.slot_length
        self._slot = slot_floor(start, self.slot_length)
        self._buffers: dict[str, _Buffer] = {}
        self._history = History(ledger, twin, self._slot)

    @property
    def slot(self) -> datetime:
        """Start of the slot that runs."""
        return self._slot

    def advance(self, to: datetime) -> None:
        """Let time run to `to`, through every market cycle on the way. An earlier instant changes nothing.

        Whatever is buffered is settled by the first cycle, so the later ones have nothing to do and a year
        costs no more than a slot.
        """
        latest = slot_floor(to, self.slot_length)
        if latest <= self._slot:
            return
        begins = self._slot + self.slot_length
        forecasts, measurements, repeated = [], [], []
        for uuid, buffer in self._buffers.items():
            if self._assets[uuid].takes_live_data:
                forecasts += [(uuid, slot, p) for slot, p in buffer.forecasts.items() if slot >= begins]
                measurements += [(uuid, slot, p) for slot, p in buffer.measurements.items() if slot < begins]
                if buffer.repeated is not None:
                    repeated.append((uuid, begins, buffer.repeated))
        self._buffers = {}
        self._history.keep(latest, forecasts=forecasts, measurements=measurements, repeated=repeated)
        self._slot = latest

    def forecast(self, asset: str, energies_kwh: Mapping[datetime, float], *, by: str, at: datetime) -> None:
        """Buffer forecasts by slot; for a slot named twice the last value counts.

        Args:
            asset: uuid.
            energies_kwh: by start of the slot.
            by: user name of who posted it.
            at: when it was posted, aware.
        """
        self._buffer(asset).forecasts.update({s: Posted(e, by, at) for s, e in energies_kwh.items()})

    def measurement(self, asset: str, energies_kwh: Mapping[datetime, float], *, by: str, at: datetime) -> None:
        """Buffer measured energies by slot; see `forecast`."""
        self._buffer(asset).measurements.update({s: Posted(e, by, at) for s, e in energies_kwh.items()})

    def repeated_forecast(self, asset: str, energy_kwh: float, *, by: str, at: datetime) -> None:
        """Buffer a forecast without slot time; the last one of a slot counts."""
        self._buffer(asset).repeated = Posted(energy_kwh, by, at)

    def switch(self, asset: str, *, live: bool) -> None:
        """Turn an asset's live switch; it counts from the next slot on."""
        if live != self._assets[asset].live:
            self._history.switch(self._assets[asset], live=live, begins=self._slot + self.slot_length)

    def upload(self, asset: str, text: str, unit: str, *, by: str, at: datetime) -> None:
        """Take an uploaded profile, as `profile_reader` reads it; it counts from the next slot on.

        Raises:
            ValueError: the exchange can't read it; holds its words.
        """
        self._history.upload(
            self._assets[asset], text, unit, begins=self._slot + self.slot_length, posted=Posted(0.0, by, at)
        )

    def furnish(self, asset: str, text: str, unit: str, *, by: str, at: datetime) -> None:
        """Give an asset the profile that it starts with, unless it has been given one before; see `upload`."""
        if not self._history.has_profile(asset):
            self._history.upload(self._assets[asset], text, unit, begins=self._slot, posted=Posted(0.0, by, at))

    def profile(self, asset: str, start: datetime, end: datetime) -> dict[datetime, float]:
        """Energies the exchange used, in kWh, for the slots in [start, end) that have begun, of the last 90 days."""
        first = slot_floor(start, self.slot_length)
        first = first if first == start else first + self.slot_length
        return self._history.used(self._assets[asset], first, min(end, self._slot + self.slot_length))

    def posted(
        self, asset: str, start: datetime, end: datetime, *, quantity: str = "forecast"
    ) -> dict[datetime, Posted]:
        """What counted for the slots in [start, end), and who posted it.

        Args:
            asset: uuid.
            start: aware.
            end: aware, itself not included.
            quantity: `forecast` (those with slot time) or `measurement`, which no answer of the exchange shows.
        """
        return self._history.applied(self._assets[asset].uuid, quantity, start, end)

    def _buffer(self, asset: str) -> _Buffer:
        if (buffer := self._buffers.get(asset)) is None:
            if asset not in self._assets:
                raise KeyError(asset)
            buffer = self._buffers[asset] = _Buffer()
        return buffer
