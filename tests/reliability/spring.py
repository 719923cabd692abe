"""The demo's meters on another day: the night on which summer time begins, for days of 92 quarter hours."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx

from pipelines.sandbox.demo_community import FIRST_SLOT, TIME_ZONE, registry_json
from pipelines.sandbox.exchange.process import exchange_process
from pipelines.sandbox.meter_replay import MeterReplay, truth
from tests.flows.places import MIDNIGHT, PASSWORD, SLOT, USERNAME, Place, living_in
from tests.reliability.matrix import Life
from tests.reliability.template import open_template

SPRING_MIDNIGHT = datetime(2016, 3, 26, 23, tzinfo=UTC)
"""Start of the local day, in Berlin, that has 23 hours."""

EARLIER = MIDNIGHT - SPRING_MIDNIGHT
LAST = FIRST_SLOT + timedelta(hours=51)


class SpringMeters(MeterReplay):
    """The replay's rows, so much earlier: true instants are moved, and local stamps are those of that night."""

    def __init__(self, folder: Path) -> None:
        """Make the whole replay beside it, to take rows from."""
        self._origin = folder / "replay.sqlite"
        self._file = folder / "meters.sqlite"
        super().__init__(f"sqlite:///{self._file}")
        with contextlib.closing(MeterReplay(f"sqlite:///{self._origin}")) as whole:
            whole.create()
            whole.advance(LAST)
        self._told = datetime.min.replace(tzinfo=UTC)

    def advance(self, to: datetime) -> int:
        """Tell what became known since the last call and until `to`, in the spring."""
        since, self._told = self._told, to
        with contextlib.closing(sqlite3.connect(self._origin)) as origin:
            registers = origin.execute("SELECT * FROM smart_meter_register").fetchall()
            inverters = origin.execute("SELECT inverter, energy_wh FROM inverter_log ORDER BY inverter, id").fetchall()
            gateways = origin.execute("SELECT * FROM gateway_power").fetchall()
        shift_s = int(EARLIER.total_seconds())
        moved = [(*row[:2], row[2] - shift_s, *row[3:5], row[5] - shift_s) for row in registers]
        moved = [row for row in moved if since < datetime.fromtimestamp(row[2], UTC) <= to]
        spans = [
            (end, inverter, energy_wh)
            for (inverter, energy_wh), end in zip(inverters, _ends(inverters), strict=True)
            if since < end <= to
        ]
        ends = [(datetime.fromisoformat(row[1]) - EARLIER, row) for row in gateways]
        with contextlib.closing(sqlite3.connect(self._file)) as target, target:
            target.executemany("INSERT INTO smart_meter_register VALUES (?, ?, ?, ?, ?, ?)", moved)
            target.executemany(
                "INSERT INTO inverter_log (inverter, local_time, energy_wh) VALUES (?, ?, ?)",
                [(inverter, _local(end - SLOT), energy_wh) for end, inverter, energy_wh in sorted(spans)],
            )
            for end, row in ends:
                if since < end <= to:
                    values = (row[0], end.isoformat(sep=" "), *row[2:])
                    target.execute(f"INSERT INTO gateway_power VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608
        return len(moved) + len(spans)


def _ends(inverters: list[tuple[str, float]]) -> Iterator[datetime]:
    """End of each span, in the spring: every inverter's rows follow each other without a gap."""
    before, end = "", FIRST_SLOT
    for inverter, _ in inverters:
        end = end + SLOT if inverter == before else FIRST_SLOT - EARLIER + SLOT
        before = inverter
        yield end


def _local(moment: datetime) -> str:
    return f"{moment.astimezone(ZoneInfo(TIME_ZONE)):%Y-%m-%d %H:%M:%S}"


def spring_truth() -> dict[tuple[str, datetime], float]:
    """What really flowed."""
    return {(asset, slot - EARLIER): wh for asset, _, slot, wh in truth().iter_rows()}


@contextlib.contextmanager
def open_spring(folder: Path, outside: Path) -> Iterator[Life]:
    """The demo's community before the spring's midnight."""
    registry, ledger = outside / "registry.json", outside / "exchange.sqlite"
    registry.write_text(json.dumps(registry_json()))
    start = SPRING_MIDNIGHT - SLOT + timedelta(minutes=2)
    with (
        exchange_process(
            registry, username=USERNAME, password=PASSWORD, clock_start=start - SLOT, database=ledger
        ) as base_url,
        httpx.Client(base_url=base_url) as exchange,
        contextlib.closing(SpringMeters(folder)) as meters,
        open_template() as template,
    ):
        meters.create()
        place = Place(folder=folder, exchange=exchange, meters=meters, ledger=ledger)
        with living_in(place):
            yield Life(place, template, start - SLOT)
