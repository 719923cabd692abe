"""What the exchange holds after the last run, held against the registers themselves."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.benchmarks.feed_place import NOON, SLOT, Site, slot_wh, uuid_of

MEASURED, FORETOLD = NOON + SLOT, NOON + 3 * SLOT
"""The slot that ended just before the third run, and the one that comes after it. What is foretold is the same energy:
with a history of minutes, forecasts are the newest slot that was measured."""

LARGEST_DIFFERENCE_KWH = 1e-6


def hold(ledger: Path, site: Site) -> None:
    """Compare.

    Args:
        ledger: the exchange's own database.
        site: whose assets.

    Raises:
        RuntimeError: an asset's value is missing there, or another.
    """
    with closing(sqlite3.connect(ledger)) as connection:
        for quantity, slot in (("measurement", MEASURED), ("forecast", FORETOLD)):
            query = "SELECT asset, energy_kwh FROM applied WHERE quantity = ? AND slot_s = ?"
            there = dict(connection.execute(query, (quantity, int(slot.timestamp()))))
            for number in site.numbers:
                wanted, found = slot_wh(number, MEASURED) / 1000, there.get(uuid_of(number))
                if found is None or abs(found - wanted) > LARGEST_DIFFERENCE_KWH:
                    raise RuntimeError(f"asset {number}: the exchange holds {found} as {quantity}, not {wanted} kWh")
