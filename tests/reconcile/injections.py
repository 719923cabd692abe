"""A community of 36 real assets before an exchange, and what is done to its values on the way, kind by kind.

Nothing here comes from the code under test: an injection changes the exchange's side of a clean day.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from pipelines.reconcile.diagnose import Surroundings
from tests.simbench_year import slot_energy

SLOT = timedelta(minutes=15)
DAY = timedelta(days=1)
SLOTS = 96
Series = list[float | None]


@dataclass
class Side:
    """One asset: 96 slots of evidence, then the 96 slots of the day that is looked at."""

    asset: str
    wanted: list[float]
    last_week: list[float]
    after: list[float]
    """Wanted in the slots that follow."""

    held: Series = field(default_factory=list)
    state: list[str] = field(default_factory=list)
    unknown: str = ""
    kind: str = ""

    def __post_init__(self) -> None:
        self.held = list(self.wanted)
        self.state = ["confirmed"] * SLOTS + ["accepted"] * SLOTS


@dataclass(frozen=True)
class Injection:
    """What is done to one asset, and the diagnosis that is right."""

    right: str
    do: Callable[[Side, random.Random, bool], None]


def on_the_wire(energy_wh: float) -> float:
    """Through kWh and back, rounded as the exchange's results are (8 decimals)."""
    return round(energy_wh / 1000, 8) * 1000


def read_day(day: datetime) -> list[Side]:
    """All assets on the UTC day that starts at `day`, clean."""
    frame = slot_energy(day - 8 * DAY, day + 2 * DAY)
    sides = []
    for (asset,), rows in frame.group_by("asset_id", maintain_order=True):
        values = rows["energy_wh"].to_list()
        week, own = values[SLOTS : 2 * SLOTS], values[7 * SLOTS : 9 * SLOTS]
        sides.append(Side(str(asset), own, week, values[9 * SLOTS :]))
    return sides


def evidence(sides: list[Side], day: datetime) -> pl.DataFrame:
    """As `diagnose` takes it."""
    rows = []
    for side in sides:
        for number in range(2 * SLOTS):
            held = side.held[number]
            slot = day - DAY + number * SLOT
            wanted, state = side.wanted[number], side.state[number]
            rows.append(
                {
                    "asset_id": side.asset,
                    "slot_start": slot,
                    "wanted_wh": wanted,
                    "exchange_wh": None if held is None else on_the_wire(held),
                    "carried_wh": wanted,
                    "carried_from": slot,
                    "state": state,
                    "attempts": 0 if state == "expired" else 1,
                    "error": "too late" if state == "expired" else "",
                }
            )
    schema = {"slot_start": pl.Datetime("us", "UTC"), "exchange_wh": pl.Float64(), "wanted_wh": pl.Float64()}
    close = (pl.col("wanted_wh") - pl.col("exchange_wh")).abs() <= 0.02
    return pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None).with_columns(
        agrees=close.fill_null(value=False), compared=pl.lit(value=True)
    )


def measured(sides: list[Side], day: datetime) -> pl.DataFrame:
    """Slot energies of the same day a week before, as the store has them."""
    week = [day - 7 * DAY + number * SLOT for number in range(SLOTS)]
    rows = [(side.asset, slot, wh) for side in sides for slot, wh in zip(week, side.last_week, strict=True)]
    schema = {"asset_id": pl.String(), "slot_start": pl.Datetime("us", "UTC"), "energy_wh": pl.Float64()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def around(sides: list[Side], *, sdk: bool) -> Surroundings:
    """The community's surroundings: Berlin, quarter hours."""
    return Surroundings(
        length=SLOT,
        time_zone="Europe/Berlin",
        zero_is_nothing=sdk,
        names={side.asset: side.asset for side in sides},
        unknown={side.asset: side.unknown for side in sides if side.unknown},
    )


def _nothing_arrives(side: Side, slots: list[int], *, sdk: bool) -> None:
    for slot in sorted(slots):
        side.held[slot] = 0.0 if sdk else side.held[slot - 1]


def _some_slots(dice: random.Random) -> list[int]:
    return [SLOTS + 3 + 11 * n + dice.randrange(8) for n in range(8)]


def _missing(side: Side, dice: random.Random, sdk: bool) -> None:
    _nothing_arrives(side, _some_slots(dice), sdk=sdk)


def _late(side: Side, dice: random.Random, sdk: bool) -> None:
    slots = _some_slots(dice)
    _nothing_arrives(side, slots, sdk=sdk)
    for slot in slots:
        side.state[slot] = "expired"


def _refused(side: Side, dice: random.Random, sdk: bool) -> None:
    slots = _some_slots(dice)
    _nothing_arrives(side, slots, sdk=sdk)
    for slot in slots:
        side.state[slot] = "rejected"


def _times(factor: float) -> Callable[[Side, random.Random, bool], None]:
    def do(side: Side, dice: random.Random, sdk: bool) -> None:
        side.held[SLOTS:] = [factor * value for value in side.wanted[SLOTS:]]

    return do


def _shift(*slots: int) -> Callable[[Side, random.Random, bool], None]:
    def do(side: Side, dice: random.Random, sdk: bool) -> None:
        k, known = dice.choice(slots), side.wanted + side.after
        side.held[SLOTS:] = [known[SLOTS + n - k] for n in range(SLOTS)]

    return do


def _shift_from_01_utc(side: Side, dice: random.Random, sdk: bool) -> None:
    side.held[SLOTS + 4 :] = [side.wanted[SLOTS + n - 4] for n in range(4, SLOTS)]


def _stop(side: Side, dice: random.Random, sdk: bool) -> None:
    if sdk:  # where 0 stands for nothing, a stream that stops leaves zeros: "missing"
        return
    first = SLOTS + dice.randrange(24, 48)
    side.held[first:] = [side.held[first - 1]] * (2 * SLOTS - first)


def _stuck(side: Side, dice: random.Random, sdk: bool) -> None:
    middle = SLOTS + dice.randrange(30, 60)
    side.held[middle : middle + 20] = [max(side.wanted)] * 20


def _profile(side: Side, dice: random.Random, sdk: bool) -> None:
    side.held[SLOTS:] = side.last_week


def _profile_of_elsewhere(side: Side, dice: random.Random, sdk: bool) -> None:
    factor = dice.uniform(0.7, 1.3)
    side.held[SLOTS:] = [factor * value + 0.01 * value**0.7 for value in side.last_week]


def _rounded(side: Side, dice: random.Random, sdk: bool) -> None:
    step = 100.0 if max(side.wanted) > 1500 else 10.0
    side.held[SLOTS:] = [round(value / step) * step for value in side.wanted[SLOTS:]]


def _unknown(side: Side, dice: random.Random, sdk: bool) -> None:
    side.held[SLOTS:] = [None] * SLOTS
    side.unknown = "404: no such asset"


def _foreign(side: Side, dice: random.Random, sdk: bool) -> None:
    for slot in dice.sample(range(SLOTS, 2 * SLOTS), 3):
        side.held[slot] = side.wanted[slot] + 17.77 + dice.random()


KINDS = {
    "missing": Injection("missing", _missing),
    "late": Injection("late", _late),
    "refused": Injection("refused", _refused),
    "counted twice": Injection("duplicated", _times(2)),
    "Wh as kWh": Injection("unit factor 1000", _times(1000)),
    "kWh as Wh": Injection("unit factor 1000", _times(0.001)),
    "power as energy": Injection("unit factor of the hour", _times(4)),
    "energy as power": Injection("unit factor of the hour", _times(0.25)),
    "sign turned": Injection("sign", _times(-1)),
    "1 to 3 slots off": Injection("shifted", _shift(-3, -2, -1, 1, 2, 3)),
    "an hour off": Injection("shifted by an hour", _shift(-4, 4)),
    "local time as UTC": Injection("shifted by the zone's offset", _shift(8)),
    "stream stopped": Injection("repeated value", _stop),
    "value stuck": Injection("repeated value", _stuck),
    "live switch off": Injection("live switch off", _profile),
    "foreign profile": Injection("live switch off", _profile_of_elsewhere),
    "rounded": Injection("rounding", _rounded),
    "unknown asset": Injection("unknown at exchange", _unknown),
    "foreign writer": Injection("differs", _foreign),
}
"""What is done to single assets."""


def swap(one: Side, other: Side) -> None:
    """What was sent for each stands with the other, from the day's start on."""
    one.held[SLOTS:], other.held[SLOTS:] = list(other.wanted[SLOTS:]), list(one.wanted[SLOTS:])


CLOCK = Injection("shifted since the clock change", _shift_from_01_utc)
