"""Faults of the exchange and of those who write to it."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from expectations.names import Check
from tests.validate.seeded.seeder import Fault
from tests.validate.seeded.world import NOW, Meter

Pair = dict[str, Any]


def _foreign(pair: Pair, meter: Meter, chance: random.Random) -> Pair:
    return {"tried": False, "exchange_wh": chance.uniform(0.61, 0.99) * meter.rated_wh + 0.37}


AT_EXCHANGE: list[tuple[str, Check, Callable[[Pair, Meter, random.Random], Pair]]] = [
    ("exchange lost it", Check.EXCHANGE_PRESENT, lambda *_: {"exchange_wh": None}),
    (
        "exchange changed it",
        Check.EXCHANGE_EQUAL,
        lambda pair, meter, chance: {"exchange_wh": pair["sent_wh"] + chance.uniform(0.05, 0.2) * meter.rated_wh},
    ),
    ("foreign value", Check.EXCHANGE_UNASKED, _foreign),
    (
        "foreign unit",
        Check.EXCHANGE_DEMAND,
        lambda pair, meter, _: {"exchange_wh": 1000 * (pair["sent_wh"] + meter.rated_wh / 100)},
    ),
    ("exchange negative", Check.EXCHANGE_SOUND, lambda pair, *_: {"exchange_wh": -1.0 - pair["sent_wh"]}),
    ("never read back", Check.READ_BACK_FRESH, lambda *_: {"read": False}),
    (
        "no cause",
        Check.DIFFERENCE_EXPLAINED,
        lambda pair, *_: {"exchange_wh": pair["sent_wh"] + 5.0, "listed": False},
    ),
]
"""Kind, the check meant for it, and what it changes between the two sides."""


def seed_exchange(faults: list[Fault], meters: list[Meter], pairs: dict[tuple[str, datetime], Pair]) -> None:
    """Faults of the exchange and of those who write to it.

    Args:
        faults: are appended to.
        meters: all.
        pairs: (asset, slot) -> `sent_wh`, `exchange_wh`, `tried`, `listed`, `read`; changed.
    """
    chance = random.Random(9)  # noqa: S311
    by_id = {meter.asset_id: meter for meter in meters}
    # Every other slot, so that no fault is another's neighbour.
    places = [key for key in pairs if key[1].minute in {0, 30} and key[1] < NOW - timedelta(hours=16)]
    free = chance.sample(places, 20 * len(AT_EXCHANGE))
    for n, (kind, check, change) in enumerate(AT_EXCHANGE):
        for asset_id, slot in free[20 * n : 20 * (n + 1)]:
            pair = pairs[asset_id, slot]
            pair |= change(pair, by_id[asset_id], chance)
            faults.append(Fault(kind=kind, check=check, subject=f"{asset_id}/forecast", first=slot, last=slot))
