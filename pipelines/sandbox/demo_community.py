"""The community of the demo: the 36 assets of SimBench's LV1.111 on two days of October 2016.

Its power is in `data/simbench`, with origin and licence. This module says who the assets are, where their
meters would be read, and writes the community file and the exchange's simulation config that fit together.
`meter_replay` fills the meter database that the file describes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid5

import polars as pl

from pipelines.community import AssetType
from pipelines.frames import INSTANT

DATA = Path(__file__).parent / "data" / "simbench"

SLOT = timedelta(minutes=15)

FIRST_SLOT = datetime(2016, 10, 28, 20, tzinfo=UTC)
"""Start of the first quarter hour in the data: 22:00 in Berlin, two hours before the Saturday."""

TIME_ZONE = "Europe/Berlin"
COMMUNITY_NAME = "LV1.111 community"
SIMULATION_UUID = "96c6f75c-cfc3-5337-8400-9890af617cc6"
"""uuid5 of https://www.simbench.net/LV1.111. The other uuids are derived from it, the same on every machine."""

METER_OBIS = "1-0:1.8.0"
"""Import register, IEC 62056-6-1; the meters write it with the storage number `*255` behind."""

GATEWAY = "gateway-1"


@dataclass(frozen=True, kw_only=True)
class DemoAsset:
    """One asset and the place of its readings."""

    simbench_id: str
    """Column of the power data."""

    name: str
    type: AssetType
    number: int
    rated_power_kw: float
    """SimBench's nominal power. No power of the whole year 2016 exceeds it."""

    home: int
    """Number of its home: the SimBench node it is connected to, named after that node's household load."""

    @property
    def asset_id(self) -> str:
        """The uuid the exchange knows it by."""
        return _uuid(self.simbench_id)

    @property
    def device(self) -> str:
        """Serial number of its meter (in the form of DIN 43863-5), its inverter's or the gateway's name."""
        if self.type is AssetType.LOAD:
            return f"1DMO{self.number:010d}"
        return f"INV-{self.number:02d}" if self.type is AssetType.PV else GATEWAY

    @property
    def register(self) -> str:
        """Name of its channel at the gateway: `heat_pump_14`."""
        return f"{self.type.value}_{self.number}"

    @property
    def column(self) -> str:
        """Its column in the gateway's table: `hp14_kw`."""
        return f"{'hp' if self.type is AssetType.HEAT_PUMP else 'ev'}{self.number}_kw"


@cache
def demo_assets() -> tuple[DemoAsset, ...]:
    """The 13 loads, 8 heat pumps, 7 chargers and 8 PV plants, in this order."""
    rows = pl.read_csv(DATA / "assets.csv").to_dicts()
    homes = {row["node"]: _number(row) for row in rows if row["kind"] == "load"}
    titles = {"load": "Load", "heat_pump": "Heat pump", "ev_charger": "EV charger", "pv": "PV"}
    return tuple(
        DemoAsset(
            simbench_id=row["asset_id"],
            name=f"{title} {_number(row)}",
            type=AssetType(kind),
            number=_number(row),
            rated_power_kw=row["p_nom_kW"],
            home=homes[row["node"]],
        )
        for kind, title in titles.items()
        for row in sorted(rows, key=_number)
        if row["kind"] == kind
    )


@cache
def power_kw() -> pl.DataFrame:
    """Mean power of every quarter hour in kW.

    Returns:
        `slot_start` (UTC) and a column per asset, named by its SimBench id. The data's own stamps are naive and
        repeat on the clock-change night, so the instants are counted from its row numbers.
    """
    frame = pl.read_parquet(DATA / "power_kw.parquet").sort("row")
    quarters = pl.col("row") - pl.col("row").first()
    start = (pl.lit(FIRST_SLOT, dtype=INSTANT) + quarters * pl.duration(minutes=15)).alias("slot_start")
    return frame.select(start, *(asset.simbench_id for asset in demo_assets()))


def registry_json(*, base_url: str = "http://127.0.0.1:8000") -> dict[str, Any]:
    """The simulation config as the exchange lets users download it, for this community.

    Heat pumps and chargers are loads there: the exchange takes live data for loads and PV alone.

    Args:
        base_url: of the exchange; the config tells clients where to connect.
    """
    homes = {asset.home for asset in demo_assets()}
    address = urlsplit(base_url)
    websocket = f"{'wss' if address.scheme == 'https' else 'ws'}://{address.netloc}/external-ws"
    return {
        "username": "demo",
        "name": COMMUNITY_NAME,
        "uuid": SIMULATION_UUID,
        "domain_name": base_url,
        "web_socket_domain_name": websocket,
        "global_settings": {
            "start_date": "2016-10-29",
            "spot_market_type": "2",
            "slot_length": "0:15:00",
            "grid_fee_type": "1",
            "tick_length": "0:00:15",
            "progress_info": {"eta_seconds": 0, "elapsed_time_seconds": 0, "percentage_completed": 0},
            "slot_length_realtime": "0:00:00",
        },
        "registry": _area("Grid", [_area(COMMUNITY_NAME, [_home(number) for number in sorted(homes)])]),
    }


AGGREGATOR = "Demo aggregator"
"""Sends for all assets where the protocol is batch."""


def community_yaml(
    *,
    base_url: str,
    meter_url: str,
    database: str,
    protocol: str = "rest",
    clouds: Mapping[str, str] | None = None,
    assigned: Mapping[str, tuple[str, str, str]] | None = None,
) -> str:
    """The community file, written as a user would.

    Args:
        base_url: of the exchange.
        meter_url: SQLAlchemy URL of the meter database, without password.
        database: SQLAlchemy URL of slotfeed's own database.
        protocol: how the exchange is spoken to; see `pipelines.community.ExchangeSection`.
        clouds: vendor -> address of its cloud; without, every asset is read from the meter database.
        assigned: asset -> the vendor, device and channel that measure it. An asset not named stays with the database.
    """
    assigned = assigned if clouds and assigned else {}
    of_gateway = [a for a in demo_assets() if a.device == GATEWAY and a.name not in assigned]
    columns = "\n".join(f"      {a.column}: {a.register}" for a in of_gateway)
    head = HEAD.format(
        name=COMMUNITY_NAME,
        simulation=SIMULATION_UUID,
        zone=TIME_ZONE,
        base_url=json.dumps(base_url),
        meter_url=json.dumps(meter_url),
        database=json.dumps(database),
        protocol=protocol if protocol != "batch" else f"batch\n  aggregator: {AGGREGATOR}",
        obis=METER_OBIS,
    )
    gateway = GATEWAY_SECTION.format(meter_url=json.dumps(meter_url), columns=columns) if of_gateway else ""
    accounts = CLOUDS_HEAD + "".join(_account(*each) for each in clouds.items()) if clouds else ""
    assets = "".join(_asset_section(asset, assigned.get(asset.name)) for asset in demo_assets())
    return f"{head}{gateway}{accounts}\nassets:\n{assets}"


HEAD = """\
# A low-voltage grid with 13 homes: their loads, heat pumps, car chargers and PV plants.
# Power by SimBench (LV1.111, scenario 2), ODbL 1.0.
community:
  name: {name}
  simulation_uuid: {simulation}   # after /results/ in the address of the exchange's page
  slot_length: 15                 # minutes
  time_zone: {zone}        # of the reports

# User name and password: SLOTFEED_EXCHANGE_USERNAME and SLOTFEED_EXCHANGE_PASSWORD.
exchange:
  base_url: {base_url}
  protocol: {protocol}

database: {database}

sources:
  # These three are never late by more than an hour, so only the last hour is read again (overlap, in minutes).
  # Smart meters: the state of the import register at every quarter hour.
  smart_meters:
    type: meter_database
    url: {meter_url}
    table: smart_meter_register
    columns:
      meter: meter_id
      time: read_at
      register: obis
      value: value_kwh
      quality: status
      ingested_at: received_at
    time_type: epoch_s
    overlap: 60
    register_map: {{"{obis}*255": "{obis}"}}
    # Status codes of MSCONS.
    quality_map: {{"220": MEASURED, "67": SUBSTITUTED, "201": ESTIMATED, "Z18": PROVISIONAL, "Z30": MISSING}}

  # Inverters: energy of the quarter hour that begins at the stamp. They write local time without its offset;
  # the log's id tells 02:00 from 02:00 on the night when summer time ends.
  inverters:
    type: meter_database
    url: {meter_url}
    table: inverter_log
    columns: {{meter: inverter, time: local_time, value: energy_wh, tie_breaker: id}}
    time_type: naive
    time_zone: {zone}
    overlap: 60
"""

GATEWAY_SECTION = """\

  # The gateway of the heat pumps and chargers: mean power of the quarter hour that ends at the stamp, a column each.
  gateway:
    type: meter_database
    url: {meter_url}
    table: gateway_power
    columns: {{meter: gateway, time: ts}}
    time_type: timestamptz
    overlap: 60
    wide:
{columns}
"""

CLOUDS_HEAD = """\

  # Vendor clouds. The password, key or token of each is SLOTFEED_SOURCE_<NAME>_PASSWORD; how often it may be asked,
  # how late its values come and what they mean is known of each vendor.
"""

ACCOUNT_SETTINGS = {"inexogy": "username: demo, overlap: 60", "fusionsolar": "username: demo"}
REGISTER_OF_CHANNEL = {("home_assistant", "consumption"): "energy"}


def _account(vendor: str, url: str) -> str:
    settings = ", ".join(filter(None, (f"type: {vendor}, url: {json.dumps(url)}", ACCOUNT_SETTINGS.get(vendor))))
    return f"  {vendor}: {{{settings}}}\n"


def _asset_section(asset: DemoAsset, measured_by: tuple[str, str, str] | None) -> str:
    if measured_by is not None:
        vendor, device, channel = measured_by
        register = REGISTER_OF_CHANNEL.get((vendor, channel), channel)
        stream = f'source: {vendor}, device: "{device}", register: {register}'
    elif asset.type is AssetType.LOAD:
        stream = f'source: smart_meters, device: {asset.device}, register: "{METER_OBIS}", kind: register, unit: kWh'
    elif asset.type is AssetType.PV:
        stream = f"source: inverters, device: {asset.device}, kind: interval, unit: Wh, label: start, interval: 15"
    else:
        stream = f"source: gateway, device: {GATEWAY}, register: {asset.register}"
        stream += ", kind: power, unit: kW, label: end, interval: 15"
    return (
        f"  - name: {asset.name}\n"
        f"    uuid: {asset.asset_id}\n"
        f"    type: {asset.type.value}\n"
        f"    rated_power_kw: {asset.rated_power_kw}\n"
        f"    streams:\n"
        f"      - {{{stream}}}\n"
    )


def _number(row: dict[str, Any]) -> int:
    return int(row["asset_id"].rsplit("_", 1)[1])


def _uuid(name: str) -> str:
    return str(uuid5(UUID(SIMULATION_UUID), name))


def _node(name: str, kind: str, uuid: str, *, registered: bool | None) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "uuid": uuid,
        "attributes": None,
        "registered": registered,
        "aggregator_name": None,
    }


def _area(name: str, children: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return _node(name, "Area", _uuid(name), registered=None) | {"children": list(children)}


def _home(number: int) -> dict[str, Any]:
    return _area(
        f"Home {number}",
        (
            _node(asset.name, "PV" if asset.type is AssetType.PV else "Load", asset.asset_id, registered=True)
            for asset in demo_assets()
            if asset.home == number
        ),
    )
