"""What the exchange used in one slot, of all assets at once: for events and clearing, which ask at every slot."""

import json
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from pipelines.sandbox.exchange.tables import PROFILE, RUN, SWITCHED

if TYPE_CHECKING:
    from pipelines.sandbox.exchange.ctn import Ctn

_USED = text(
    "SELECT uuids.value, COALESCE("
    "(SELECT energy_kwh FROM applied WHERE asset = uuids.value AND quantity = 'forecast' AND slot_s = :slot_s),"
    "(SELECT energy_kwh FROM repeated WHERE asset = uuids.value AND from_slot_s <= :slot_s"
    " ORDER BY from_slot_s DESC LIMIT 1)) FROM json_each(:uuids) AS uuids"
)
"""One look into each index per asset, where `History.used` asks six times."""


def used_kwh(ctn: "Ctn", slot: datetime) -> dict[str, float]:
    """What the exchange used in `slot`: uuid of every asset -> kWh. The same numbers as `Market.profile` gives."""
    slot_s = int(slot.timestamp())
    assets = ctn.twin.assets
    with ctn.ledger.reading() as connection:
        up = select(RUN.c.from_slot_s).where(RUN.c.from_slot_s <= slot_s, RUN.c.to_slot_s >= slot_s)
        if connection.execute(up).first() is None:
            return dict.fromkeys(assets, 0.0)
        # Few assets have a past of switches and profiles; they are asked one by one.
        special = {uuid for row in (SWITCHED, PROFILE) for uuid in connection.execute(select(row.c.asset)).scalars()}
        plain = [uuid for uuid, one in assets.items() if uuid not in special and one.takes_live_data]
        found = connection.execute(_USED, {"slot_s": slot_s, "uuids": json.dumps(plain)}).all()
    used = dict.fromkeys(assets, 0.0)
    used.update((uuid, energy_kwh) for uuid, energy_kwh in found if energy_kwh is not None)
    for uuid in special & assets.keys():
        used[uuid] = used_of(ctn, uuid, slot)
    return used


def used_of(ctn: "Ctn", asset: str, slot: datetime) -> float:
    """Of one asset, in kWh; 0 where the slot has not begun or is forgotten."""
    return ctn.market.profile(asset, slot, slot + ctn.market.slot_length).get(slot, 0.0)
