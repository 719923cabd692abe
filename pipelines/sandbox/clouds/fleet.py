"""The devices all emulators serve, and what each has measured: energy of spans and states of registers.

Energy is linear inside a quarter hour. Nothing is told that the device's cloud can't know yet: every question names the
sandbox's present time.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from pipelines.sandbox.clouds.defects import (
    Defect,
    Drop,
    Frozen,
    Hole,
    Negative,
    Offline,
    Reset,
    Revise,
    Rollover,
    Spike,
)
from pipelines.slots import slot_floor

QUARTER = timedelta(minutes=15)

USED_H = 400
"""A register starts as after so many hours at rated power, plus something of the device's own. Ours."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Unit:
    """One device (or a whole site, where the vendor tells nothing smaller)."""

    device: str
    """Serial number or id, as the vendor writes it; no two units of a fleet share one."""

    name: str
    kind: str
    """`meter`, `pv`, `battery`, `charger`, `heat_pump` or `site`."""

    site: str
    """The home or plant it belongs to, by the vendor's id."""

    rated_power_kw: float
    energy_wh: Mapping[str, Sequence[float]]
    """Channel -> energy of each quarter hour.

    Channels are `import`, `export`, `production`, `consumption`, `charge` and `discharge`.
    """

    first: datetime
    """Start of the first quarter hour, aware."""


class Fleet:
    """Every vendor's units and the defects in force."""

    def __init__(self, units: Mapping[str, tuple[Unit, ...]]) -> None:
        """Take vendor -> its units.

        Raises:
            ValueError: two units share a device id.
        """
        self.units = dict(units)
        self.defects: tuple[Defect, ...] = ()
        self._by_device = {unit.device: unit for vendor in self.units.values() for unit in vendor}
        self._by_vendor = {(vendor, one.device): one for vendor, own in self.units.items() for one in own}
        if len(self._by_device) != sum(len(vendor) for vendor in self.units.values()):
            raise ValueError("two units of the fleet share a device id")
        self._channels = {
            (unit.device, channel): _Channel(unit, channel)
            for unit in self._by_device.values()
            for channel in unit.energy_wh
        }

    def of(self, vendor: str) -> tuple[Unit, ...]:
        """The vendor's units, in a fixed order; none for a vendor without any."""
        return self.units.get(vendor, ())

    def unit(self, vendor: str, device: str) -> Unit | None:
        """The vendor's unit with this id."""
        return self._by_vendor.get((vendor, device))

    def replace_defects(self, defects: Iterable[Defect]) -> None:
        """Put these defects in the place of the old ones.

        Raises:
            ValueError: one names a device or channel that the fleet doesn't have; then the old ones stay.
        """
        new = tuple(defects)
        for defect in new:
            unit = self._by_device.get(defect.device)
            if unit is None or (defect.channel is not None and defect.channel not in unit.energy_wh):
                raise ValueError(f"the fleet has no {defect.device} with channel {defect.channel or 'any'}")
        touched = {defect.device for defect in (*self.defects, *new)}
        self.defects = new
        for (device, channel), served in self._channels.items():
            if device in touched:
                served.suffer(d for d in new if d.device == device and d.channel in {None, channel})

    def energy_wh(self, unit: Unit, channel: str, start: datetime, end: datetime, now: datetime) -> float | None:
        """Energy of the span [start, end) in Wh, as the vendor would tell it at `now`.

        None where a part of the span isn't known: to come, held back by an offline gateway, in a hole, before the
        first or after the last value.
        """
        return self._channels[unit.device, channel].energy_wh(start, end, now)

    def register_wh(self, unit: Unit, channel: str, instant: datetime, now: datetime) -> float | None:
        """State of the channel's cumulative register at `instant` in Wh, as told at `now`; None as for energies."""
        return self._channels[unit.device, channel].register_wh(instant, now)

    def last_seen(self, unit: Unit, now: datetime) -> datetime | None:
        """Stamp of the unit's newest value that is known at `now`; None before the first."""
        seen = [self._channels[unit.device, channel].newest(now) for channel in unit.energy_wh]
        return max((instant for instant in seen if instant is not None), default=None)


class _Channel:
    """One channel: the energy counted since the first quarter hour, and what is told of it."""

    def __init__(self, unit: Unit, channel: str) -> None:
        self._energy_wh = unit.energy_wh[channel]
        self._first = unit.first
        self._last = unit.first + QUARTER * len(self._energy_wh)
        # A meter that never counted anything in a direction shows 0 there.
        used_wh = USED_H * 1000 * unit.rated_power_kw + zlib.crc32(f"{unit.device}/{channel}".encode()) % 100_000
        self._offset_wh = float(round(used_wh)) if any(self._energy_wh) else 0.0
        self.suffer(())

    def suffer(self, defects: Iterable[Defect]) -> None:
        """Let these defects be in force, and no others."""
        found = sorted(defects, key=lambda d: d.what)
        self._defective = bool(found)
        energy_wh = list(self._energy_wh)
        for defect in found:
            if isinstance(defect, Negative) and 0 <= (number := self._number(defect.at)) < len(energy_wh):
                energy_wh[number] = defect.wh
        # A list, not an array: single numbers are asked for, and those come out of a list sooner.
        self._counted_wh = [0.0, *accumulate(energy_wh)]
        self._offline = [d for d in found if isinstance(d, Offline)]
        self._holes = [d for d in found if isinstance(d, Hole)]
        self._frozen = [d for d in found if isinstance(d, Frozen)]
        self._still = sorted((d for d in found if isinstance(d, Hole | Frozen)), key=lambda d: d.start, reverse=True)
        self._scaled = [
            (span, span + QUARTER, d.factor, None)
            for d in found
            if isinstance(d, Spike)
            for span in [slot_floor(d.at, QUARTER)]
        ] + [(d.start, d.end, d.factor, d.since) for d in found if isinstance(d, Revise)]
        self._resets = sorted((d for d in found if isinstance(d, Reset)), key=lambda d: d.at)
        self._shown = [d for d in found if isinstance(d, Drop | Rollover | Spike)]

    def energy_wh(self, start: datetime, end: datetime, now: datetime) -> float | None:
        if start > end:
            raise ValueError(f"energy_wh: the span ends at {end}, before its start {start}")
        if not self._knows(end, now):
            return None
        before, after = self._counted(start), self._counted(end)
        if before is None or after is None:
            return None
        energy_wh = after - before
        if not self._defective:
            return energy_wh
        if any(hole.start < end and start < hole.end for hole in self._holes):
            return None
        for scaled_start, scaled_end, factor, since in self._scaled:
            if since is None or since <= now:
                inside = self._between(max(start, scaled_start), min(end, scaled_end))
                energy_wh += (factor - 1) * inside
        return energy_wh

    def register_wh(self, instant: datetime, now: datetime) -> float | None:
        if not self._knows(instant, now) or (counted := self._counted(instant)) is None:
            return None
        register_wh = self._offset_wh + counted
        if not self._defective:
            return register_wh
        if any(hole.start < instant < hole.end for hole in self._holes):
            return None
        for reset in self._resets:
            if reset.at <= instant:
                register_wh = reset.to_wh + counted - (self._counted(reset.at) or 0.0)
        for defect in self._shown:  # in the order drop, rollover, spike
            match defect:
                case Rollover():
                    register_wh %= defect.at_wh
                case Spike() if slot_floor(defect.at, QUARTER) <= instant < slot_floor(defect.at, QUARTER) + QUARTER:
                    register_wh *= defect.factor
                case Drop() if defect.start <= instant < defect.end:
                    register_wh = 0.0
        return register_wh

    def newest(self, now: datetime) -> datetime | None:
        """Stamp of the newest value known at `now`."""
        stamp = min(now, self._last)
        for gap in self._offline:
            if gap.start <= now < gap.end:
                stamp = min(stamp, gap.start)
        for still in self._still:  # from the last to the first, so that one that begins in another is followed back
            if still.start < stamp < still.end:
                stamp = still.start
        return stamp if stamp >= self._first else None

    def _knows(self, instant: datetime, now: datetime) -> bool:
        if instant > now or not self._offline:
            return instant <= now
        return not any(gap.start <= now < gap.end and gap.start < instant for gap in self._offline)

    def _number(self, instant: datetime) -> int:
        return (instant - self._first) // QUARTER

    def _between(self, start: datetime, end: datetime) -> float:
        return (self._counted(end) or 0.0) - (self._counted(start) or 0.0) if start < end else 0.0

    def _counted(self, instant: datetime) -> float | None:
        """Energy since the first quarter hour; None before it and after the last."""
        for frozen in self._frozen:
            if frozen.start <= instant < frozen.end:
                instant = frozen.start
        place = (instant - self._first) / QUARTER
        if not 0 <= place <= len(self._counted_wh) - 1:
            return None
        number = int(place)
        counted_wh = self._counted_wh[number]
        if part := place - number:
            counted_wh += part * (self._counted_wh[number + 1] - counted_wh)
        return counted_wh
