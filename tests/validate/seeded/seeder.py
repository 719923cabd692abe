"""Changes readings fault by fault, and remembers where the finding of each must stand."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from expectations.names import CHECKS, Check, Suite
from tests.validate.seeded.world import HISTORY_DAYS, MONTH_DAYS, PER_DAY, SLOT, Key, Meter, Row, at

HIGHEST = 1.15
"""Share of the rated power that no check of power is tripped by."""


FIRST_DAY, LAST_DAY = HISTORY_DAYS, HISTORY_DAYS + MONTH_DAYS - 1
Place = tuple[Meter, int]
"""An asset's day."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One instance, and where its finding must stand."""

    kind: str
    check: Check
    subject: str
    first: datetime | None
    """First instant of the finding's stamp; None: the reading has no stamp."""

    last: datetime | None

    @property
    def suite(self) -> Suite:
        return CHECKS[self.check].suite


class Seeder:
    """Readings of the month, changed fault by fault; no two faults share an asset's day."""

    def __init__(self, meters: list[Meter], rows: dict[Key, Row]) -> None:
        self.meters = meters
        self.rows = rows
        self.extra: list[Row] = []
        self.faults: list[Fault] = []
        self.chance = random.Random(5)  # noqa: S311 - repeatable, not secret
        self._taken: set[tuple[str, int]] = set()
        self._keys = {(stream, (ts - at(0)) // SLOT): (stream, ts) for stream, ts in rows}

    def all_rows(self) -> list[Row]:
        """What the sources tell, faults and all."""
        return [*self.rows.values(), *self.extra]

    def places(
        self, count: int, wanted: Callable[[Meter, int], bool], *, days: int = 1, ways: str = "interval parts power"
    ) -> Iterator[Place]:
        """Asset's days that nothing was seeded in yet, in random order, each asset as seldom as can be."""
        used: dict[str, int] = {}
        fitting = [
            (meter, day)
            for meter in self.meters
            for day in range(FIRST_DAY, LAST_DAY + 2 - days)
            if meter.way in ways.split() and wanted(meter, day)
        ]
        for _ in range(count):
            free = [
                (meter, day)
                for meter, day in fitting
                if not any((meter.asset_id, day + n) in self._taken for n in range(days))
            ]
            assert free, "no place is left for a fault"
            least = min(used.get(meter.asset_id, 0) for meter, _ in free)
            meter, day = self.chance.choice([place for place in free if used.get(place[0].asset_id, 0) == least])
            used[meter.asset_id] = used.get(meter.asset_id, 0) + 1
            self._taken |= {(meter.asset_id, day + n) for n in range(days)}
            yield meter, day

    def slot(self, length: int = 1) -> int:
        """A slot of the day, away from midnight."""
        return self.chance.randrange(8, 88 - length)

    def key(self, meter: Meter, day: int, slot: int, channel: str = "a") -> Key:
        """Of the reading that is of this slot."""
        return self._keys[meter.stream_id(channel), day * PER_DAY + slot]

    def row(self, meter: Meter, day: int, slot: int, channel: str = "a") -> Row:
        return self.rows[self.key(meter, day, slot, channel)]

    def drop(self, meter: Meter, day: int, slots: range, *, channels: list[str] | None = None) -> None:
        """Lose readings."""
        for slot in slots:
            for channel in channels or meter.streams():
                del self.rows[self.key(meter, day, slot, channel)]

    def set_share(self, meter: Meter, day: int, slot: int, share: float) -> None:
        """Let the asset's mean power in a slot be this share of its rated power."""
        channels = meter.streams()
        wh = share * meter.rated_wh / len(channels)
        for channel in channels:
            row = self.row(meter, day, slot, channel)
            row["value"] = round(4 * wh) if row["kind"] == "power" else round(wh)

    def scale(self, meter: Meter, day: int, factor: float) -> None:
        """Multiply a whole day, within what the asset can."""
        most = HIGHEST * meter.rated_wh / len(meter.streams())
        for slot in range(PER_DAY):
            for channel in meter.streams():
                row = self.row(meter, day, slot, channel)
                at_most = 4 * most if row["kind"] == "power" else most
                row["value"] = round(min(factor * row["value"], at_most))

    def expect_reading(self, kind: str, check: Check, stream_id: str, ts: datetime | None) -> None:
        """The finding stands at this very reading."""
        self.faults.append(Fault(kind=kind, check=check, subject=stream_id, first=ts, last=ts))

    def expect_slots(self, kind: str, check: Check, meter: Meter, day: int, slots: range) -> None:
        """A finding stands at one of these slots."""
        first, last = at(day, slots.start), at(day, slots.stop - 1)
        self.faults.append(Fault(kind=kind, check=check, subject=meter.asset_id, first=first, last=last))

    def expect_day(self, kind: str, check: Check, meter: Meter, day: int) -> None:
        """A finding stands in this day."""
        self.expect_slots(kind, check, meter, day, range(PER_DAY))
