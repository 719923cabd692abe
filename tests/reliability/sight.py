"""A place of the tests as the checker sees it."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.sandbox.demo_community import METER_OBIS, SLOT, TIME_ZONE, demo_assets
from pipelines.sandbox.meter_replay import truth
from pipelines.store import Store
from tests.flows.places import PASSWORD, Place
from tests.reliability.world import AtSource, World


def seen(place: Place, store: Store, **more: Any) -> World:
    """The demo's place, with all that its meters and its exchange hold now.

    Args:
        place: open.
        store: the community's, open.
        more: of the world; what was printed, kills.
    """
    return World(
        community=place.community,
        store=store,
        ledger=place.ledger,
        at_source=demo_readings(place.folder / "meters.sqlite"),
        truth={(asset, slot): wh for asset, _, slot, wh in truth().iter_rows()},
        places=[place.folder],
        secrets={"the exchange's password": PASSWORD},
        **{"journal": place.exchange.get("/sandbox/journal").json(), **more},
    )


def demo_readings(meters: Path) -> list[AtSource]:
    """All that stands in the replay's database, read a second time and in another way than by `collect`."""
    with closing(sqlite3.connect(meters)) as connection:
        connection.row_factory = sqlite3.Row
        registers = connection.execute("SELECT meter_id, read_at, value_kwh FROM smart_meter_register").fetchall()
        inverters = connection.execute(
            "SELECT inverter, local_time, energy_wh FROM inverter_log ORDER BY id"
        ).fetchall()
        gateways = connection.execute("SELECT * FROM gateway_power").fetchall()
    found = [
        AtSource(
            stream_id=f"smart_meters/{row['meter_id']}/{METER_OBIS}",
            ts=datetime.fromtimestamp(row["read_at"], UTC),
            value=row["value_kwh"] * 1000,
        )
        for row in registers
    ]
    before: dict[str, datetime] = {}
    for row in inverters:
        ts = _after(before.get(row["inverter"]), row["local_time"])
        before[row["inverter"]] = ts
        found.append(AtSource(stream_id=f"inverters/{row['inverter']}/-", ts=ts, value=row["energy_wh"]))
    columns = {asset.column: asset.register for asset in demo_assets()}
    for row in gateways:
        start = datetime.fromisoformat(row["ts"]).astimezone(UTC) - SLOT
        found += [
            AtSource(stream_id=f"gateway/{row['gateway']}/{columns[name]}", ts=start, value=row[name] * 1000)
            for name in row.keys()  # noqa: SIM118 - a row's values are what it iterates over
            if name in columns
        ]
    return found


def _after(before: datetime | None, local: str) -> datetime:
    """The instant of a naive local stamp; of two, the one after the row before."""
    naive = datetime.fromisoformat(local)
    first = naive.replace(tzinfo=ZoneInfo(TIME_ZONE), fold=0).astimezone(UTC)
    second = naive.replace(tzinfo=ZoneInfo(TIME_ZONE), fold=1).astimezone(UTC)
    return second if before is not None and first <= before else first
