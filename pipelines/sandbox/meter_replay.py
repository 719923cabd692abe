"""The meter database of the demo community, filled only as far as the time that is replayed.

Three tables, as such communities keep them:

    smart_meter_register   one row a meter and quarter hour: the import register, at an instant in epoch seconds
    inverter_log           one row an inverter and quarter hour: energy of the span that starts at a naive local stamp
    gateway_power          one row a quarter hour: a column of mean power per device, of the span that ends at the stamp

A row stands in the database from the instant it is known: a register at its own, a span at its end.
"""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    func,
    insert,
    select,
)
from sqlalchemy.dialects import sqlite

from pipelines.community import AssetType
from pipelines.sandbox.demo_community import (
    FIRST_SLOT,
    GATEWAY,
    METER_OBIS,
    SLOT,
    TIME_ZONE,
    DemoAsset,
    demo_assets,
    power_kw,
)
from pipelines.slots import slot_floor

WH_PER_KW = 250.0
"""Energy of a quarter hour at 1 kW."""

TRUE_VALUE = "220"
"""MSCONS QTY 6063: a value as measured, no substitute."""

REGISTER_STEP_KWH = 1e-8
"""What the last digit of the registers stands for. SimBench's power has six decimals, so a quarter hour of it
is a whole number of these steps and no energy is lost to rounding."""

STEPS_PER_MICRO_KW = 25
"""1e-6 kW for a quarter hour, in steps of the register."""

ABSURD = 1.2
"""A spike must exceed the rated power this many times: below, it could pass for real."""

METADATA = MetaData()

# Text like 2016-10-30 02:00:00; SQLAlchemy's own would write six zeros behind it, which no inverter does.
SQLITE_STAMP = sqlite.DATETIME(truncate_microseconds=True)  # type: ignore[no-untyped-call]

SMART_METER_REGISTER = Table(
    "smart_meter_register",
    METADATA,
    Column("meter_id", String(14), primary_key=True),
    Column("obis", String(20), primary_key=True),
    Column("read_at", BigInteger, primary_key=True, autoincrement=False),
    Column("value_kwh", Double, nullable=False),
    Column("status", String(4), nullable=False),
    Column("received_at", BigInteger, nullable=False),
)

INVERTER_LOG = Table(
    "inverter_log",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("inverter", String(20), nullable=False),
    Column("local_time", DateTime().with_variant(SQLITE_STAMP, "sqlite"), nullable=False),
    Column("energy_wh", Double, nullable=False),
    Index("ix_inverter_log", "inverter", "local_time"),
)

GATEWAY_POWER = Table(
    "gateway_power",
    METADATA,
    Column("gateway", String(20), primary_key=True),
    # SQLite has no type that keeps an offset; as text in UTC the stamps still sort by time.
    Column("ts", DateTime(timezone=True).with_variant(String(25), "sqlite"), primary_key=True),
    *(Column(asset.column, Double) for asset in demo_assets() if asset.device == GATEWAY),
)


class MeterReplay:
    """Fills the meter database as time goes by.

    How far it is filled is read from the database itself, so another process can take over. Only
    spikes live in this object: declare them again after a restart.
    """

    def __init__(self, url: str) -> None:
        """Open the database; nothing is written yet.

        Args:
            url: SQLAlchemy URL, SQLite or PostgreSQL.
        """
        self._engine = create_engine(url)
        self._power = {name: column.to_list() for name, column in power_kw().to_dict().items()}
        self._registers = {asset.name: _register_kwh(asset) for asset in demo_assets() if asset.type is AssetType.LOAD}
        self._spikes: dict[tuple[str, datetime], float] = {}

    def create(self) -> None:
        """Make the tables where they are missing."""
        METADATA.create_all(self._engine)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def position(self) -> datetime | None:
        """The instant up to which the database is filled; None: it holds no row."""
        with self._engine.connect() as connection:
            return _position(connection)

    def advance(self, to: datetime) -> int:
        """Insert all that became known since the last call and until `to`, in one transaction.

        Args:
            to: aware; rows of later instants stay out of the database.

        Returns:
            Number of rows inserted.

        Raises:
            ValueError: `to` is naive.
        """
        if to.tzinfo is None:
            raise ValueError(f"advance: {to} is naive; give an aware instant")
        last = min(slot_floor(to, SLOT), FIRST_SLOT + SLOT * len(self._power["slot_start"]))
        meters: list[dict[str, Any]] = []
        inverters: list[dict[str, Any]] = []
        gateways: list[dict[str, Any]] = []
        with self._engine.begin() as connection:
            done = _position(connection)
            instant = FIRST_SLOT if done is None else done + SLOT
            while instant <= last:
                meters += self._meter_rows(instant)
                if instant > FIRST_SLOT:
                    inverters += self._inverter_rows(instant - SLOT)
                    gateways.append(self._gateway_row(instant - SLOT))
                instant += SLOT
            for table, rows in ((SMART_METER_REGISTER, meters), (INVERTER_LOG, inverters), (GATEWAY_POWER, gateways)):
                if rows:
                    connection.execute(insert(table), rows)
        return len(meters) + len(inverters) + len(gateways)

    def spike(self, name: str, at: datetime, factor: float) -> None:
        """Make one reading absurd when it is inserted: its true value times `factor`.

        Args:
            name: of a PV plant, charger or heat pump: assets whose meter reports spans.
            at: an instant in the quarter hour of the reading.
            factor: large enough that the reading is far beyond the rated power.

        Raises:
            ValueError: no such asset or reading, the reading stands in the database already, or it
                would not be absurd; the message says which.
        """
        asset = next((a for a in demo_assets() if a.name == name and a.type is not AssetType.LOAD), None)
        if asset is None:
            raise ValueError(f"spike: '{name}' is no PV plant, charger or heat pump of the demo community")
        slot = slot_floor(at, SLOT)
        reading = f"spike: {name}, {slot:%Y-%m-%d %H:%M} UTC"
        if slot not in self._power["slot_start"]:
            raise ValueError(f"{reading}: the data have no such quarter hour")
        done = self.position()
        if done is not None and slot < done:
            raise ValueError(f"{reading}: stands in the database already; declare it before advancing to its end")
        power, limit = self._true_kw(asset, slot), ABSURD * asset.rated_power_kw
        if not power * factor > limit:
            raise ValueError(
                f"{reading}: {power} kW times {factor} is not beyond {limit} kW, {ABSURD} times the rated power; "
                "take a larger factor, or a quarter hour with power"
            )
        self._spikes[asset.name, slot] = factor

    def _true_kw(self, asset: DemoAsset, slot: datetime) -> float:
        power: float = self._power[asset.simbench_id][_index(slot)]
        return power

    def _reported_kw(self, asset: DemoAsset, slot: datetime) -> float:
        return self._true_kw(asset, slot) * self._spikes.get((asset.name, slot), 1.0)

    def _meter_rows(self, instant: datetime) -> list[dict[str, Any]]:
        epoch_s = int(instant.timestamp())
        return [
            {
                "meter_id": asset.device,
                "obis": f"{METER_OBIS}*255",
                "read_at": epoch_s,
                "value_kwh": self._registers[asset.name][_index(instant)],
                "status": TRUE_VALUE,
                "received_at": epoch_s,
            }
            for asset in demo_assets()
            if asset.type is AssetType.LOAD
        ]

    def _inverter_rows(self, slot: datetime) -> list[dict[str, Any]]:
        local = slot.astimezone(ZoneInfo(TIME_ZONE)).replace(tzinfo=None, fold=0)
        return [
            {
                "inverter": asset.device,
                "local_time": local,
                "energy_wh": self._reported_kw(asset, slot) * WH_PER_KW,
            }
            for asset in demo_assets()
            if asset.type is AssetType.PV
        ]

    def _gateway_row(self, slot: datetime) -> dict[str, Any]:
        end = slot + SLOT
        stamp = end.isoformat(sep=" ") if self._engine.dialect.name == "sqlite" else end
        columns = {a.column: self._reported_kw(a, slot) for a in demo_assets() if a.device == GATEWAY}
        return {"gateway": GATEWAY, "ts": stamp, **columns}


def truth() -> pl.DataFrame:
    """The energy that really flowed, of every asset and slot: what must arrive at the exchange.

    Returns:
        `asset_id` (exchange uuid), `name`, `slot_start` (UTC), `energy_wh`: mean power in kW times 250.
    """
    energy = power_kw().select("slot_start", *(pl.col(a.simbench_id) * WH_PER_KW for a in demo_assets()))
    return pl.concat(
        energy.select(
            asset_id=pl.lit(asset.asset_id),
            name=pl.lit(asset.name),
            slot_start="slot_start",
            energy_wh=asset.simbench_id,
        )
        for asset in demo_assets()
    )


def _position(connection: Connection) -> datetime | None:
    # The meters write at every instant and all tables are filled in one transaction, so theirs speaks for all.
    newest = connection.execute(select(func.max(SMART_METER_REGISTER.c.read_at))).scalar_one()
    return None if newest is None else datetime.fromtimestamp(newest, UTC)


def _index(slot: datetime) -> int:
    return (slot - FIRST_SLOT) // SLOT


def _register_kwh(asset: DemoAsset) -> list[float]:
    """States of the register at the start of every quarter hour and at the end of the last, in kWh.

    It starts as after 400 h at nominal power, and differently for every meter.
    """
    micro_kw = [round(power * 1e6) for power in power_kw()[asset.simbench_id]]
    steps = [round((400 * asset.rated_power_kw + 37.25 * asset.number) / REGISTER_STEP_KWH)]
    for power in micro_kw:
        steps.append(steps[-1] + STEPS_PER_MICRO_KW * power)
    # Divided, not multiplied: the quotient of two exact numbers is the double nearest to the decimal state.
    return [step / 1e8 for step in steps]
