"""The fleets the emulators serve: a part of the demo community, or as many devices as a benchmark wants.

Which asset is read where (the other loads and PV plants stay with the meter database of `meter_replay`):

    inexogy          Load 1 to 4
    solaredge        PV 1, PV 2: a site each
    victron_vrm      the PV plant and load of home 7: one site; beside it a site with a battery, which is no asset's
    fusionsolar      PV 6, PV 7 and Load 8: two inverters and a grid meter, which only tests read there
    home_assistant   every EV charger and heat pump
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import cycle, islice
from uuid import UUID, uuid5

from pipelines.community import AssetType
from pipelines.sandbox.clouds.fleet import Fleet, Unit
from pipelines.sandbox.demo_community import FIRST_SLOT, SIMULATION_UUID, DemoAsset, demo_assets, power_kw

WH_PER_KW = 250
"""Energy of a quarter hour at 1 kW."""

INEXOGY, SOLAREDGE, VICTRON, FUSIONSOLAR, HOME_ASSISTANT = (
    "inexogy",
    "solaredge",
    "victron_vrm",
    "fusionsolar",
    "home_assistant",
)

FLOW_HOME = 7
BATTERY_HOME = 12
"""Homes with a load and a PV plant; the battery of the second is made up."""

BATTERY_KWH, BATTERY_KW = 10.0, 5.0

_BALANCE = ("import", "export", "production", "consumption", "charge", "discharge")

_DEVICE: Mapping[str, Callable[[str], str]] = {
    INEXOGY: lambda key: uuid5(UUID(SIMULATION_UUID), f"meter {key}").hex,
    SOLAREDGE: lambda key: str(2_051_000 + int(key)),
    VICTRON: lambda key: str(151_000 + int(key)),
    FUSIONSOLAR: lambda key: str(1_000_000_033_554_400 + int(key)),
    HOME_ASSISTANT: lambda key: f"sensor.{key}_energy",
}
"""Device ids in each vendor's own form; what they are made from is a number or a name."""


def demo_fleet(*, first: datetime = FIRST_SLOT, quarter_hours: int | None = None) -> Fleet:
    """The units of the demo community.

    Args:
        first: start of the first quarter hour, aware; the data's own by default.
        quarter_hours: how many; the two days of the data by default, which are repeated where it is more.
    """
    return Fleet(_units(first, quarter_hours))


def grown_fleet(devices: int, *, first: datetime = FIRST_SLOT, quarter_hours: int | None = None) -> Fleet:
    """So many units at every vendor: the demo's, again and again under other ids.

    Args:
        devices: units per vendor.
        first: see `demo_fleet`.
        quarter_hours: see `demo_fleet`.
    """
    return Fleet(
        {
            vendor: tuple(_copy(vendor, number, unit) for number, unit in enumerate(islice(cycle(units), devices)))
            for vendor, units in _units(first, quarter_hours).items()
        }
    )


def assignments() -> dict[str, tuple[str, str, str]]:
    """Name of the demo asset -> the vendor, device and channel it is read from. An asset not named is read elsewhere.

    The grid meter at FusionSolar is left out: history of two kinds of devices takes two requests, which must be a
    minute apart, and a replay doesn't wait.
    """
    return {
        asset.name: (vendor, device, channel)
        for asset, vendor, device, channel in _assigned()
        if (vendor, channel) != (FUSIONSOLAR, "import")
    }


def _assigned() -> Iterator[tuple[DemoAsset, str, str, str]]:
    for asset in demo_assets():
        match asset.type, asset.number:
            case AssetType.LOAD, 1 | 2 | 3 | 4:
                yield asset, INEXOGY, _DEVICE[INEXOGY](str(asset.number)), "import"
            case AssetType.PV, 1 | 2:
                yield asset, SOLAREDGE, _DEVICE[SOLAREDGE](str(asset.number)), "production"
            case AssetType.LOAD, _ if asset.home == FLOW_HOME:
                yield asset, VICTRON, _DEVICE[VICTRON](str(FLOW_HOME)), "consumption"
            case AssetType.PV, _ if asset.home == FLOW_HOME:
                yield asset, VICTRON, _DEVICE[VICTRON](str(FLOW_HOME)), "production"
            case AssetType.PV, 6 | 7:
                yield asset, FUSIONSOLAR, _DEVICE[FUSIONSOLAR](str(asset.number)), "production"
            case AssetType.LOAD, 8:
                yield asset, FUSIONSOLAR, _DEVICE[FUSIONSOLAR](str(100 + asset.number)), "import"
            case ((AssetType.EV_CHARGER | AssetType.HEAT_PUMP), _):
                yield asset, HOME_ASSISTANT, _DEVICE[HOME_ASSISTANT](asset.register), "consumption"


def _units(first: datetime, quarter_hours: int | None) -> dict[str, tuple[Unit, ...]]:
    energy_wh = _profiles(quarter_hours)
    found: dict[str, list[Unit]] = {vendor: [] for vendor in _DEVICE}
    for asset, vendor, device, channel in _assigned():
        if vendor == VICTRON:
            continue
        own = energy_wh[asset.name]
        found[vendor].append(
            Unit(
                device=device,
                name=asset.name,
                kind=_KINDS[asset.type],
                # SolarEdge tells the energy of a site, and one inverter stands in each.
                site=device if vendor == SOLAREDGE else f"home-{asset.home}",
                rated_power_kw=asset.rated_power_kw,
                energy_wh={channel: own} | ({"export": [0.0] * len(own)} if channel == "import" else {}),
                first=first,
            )
        )
    found[VICTRON] = [_home(FLOW_HOME, energy_wh, first), _home(BATTERY_HOME, energy_wh, first, battery=True)]
    return {vendor: tuple(units) for vendor, units in found.items()}


_KINDS = {
    AssetType.LOAD: "meter",
    AssetType.PV: "pv",
    AssetType.EV_CHARGER: "charger",
    AssetType.HEAT_PUMP: "heat_pump",
}


def _home(number: int, energy_wh: Mapping[str, Sequence[float]], first: datetime, *, battery: bool = False) -> Unit:
    """A site of which the balance is known; its production and consumption are one PV plant and one load."""
    assets = {a.type: a for a in demo_assets() if a.home == number and a.type in {AssetType.LOAD, AssetType.PV}}
    production, consumption = (energy_wh[assets[kind].name] for kind in (AssetType.PV, AssetType.LOAD))
    device = _DEVICE[VICTRON](str(number))
    return Unit(
        device=device,
        name=f"Home {number}" + (" with battery" if battery else ""),
        kind="site",
        site=device,
        rated_power_kw=max(asset.rated_power_kw for asset in assets.values()),
        energy_wh=_balance(production, consumption, battery=battery),
        first=first,
    )


def _balance(production: Sequence[float], consumption: Sequence[float], *, battery: bool) -> dict[str, Sequence[float]]:
    """The channels of a site in Wh; a lossless battery takes what is left over and gives what is missing."""
    found: dict[str, list[float]] = {channel: [] for channel in _BALANCE}
    stored_wh, capacity_wh = 0.0, 1000 * BATTERY_KWH if battery else 0.0
    most_wh = BATTERY_KW * WH_PER_KW
    for produced, consumed in zip(production, consumption, strict=True):
        surplus = max(produced - consumed, 0.0)
        missing = max(consumed - produced, 0.0)
        charge = min(surplus, most_wh, capacity_wh - stored_wh)
        discharge = min(missing, most_wh, stored_wh)
        stored_wh += charge - discharge
        quarter = (missing - discharge, surplus - charge, produced, consumed, charge, discharge)
        for channel, energy_wh in zip(_BALANCE, quarter, strict=True):
            found[channel].append(energy_wh)
    return dict(found)


def _profiles(quarter_hours: int | None) -> dict[str, list[float]]:
    """Asset name -> energy of each quarter hour in Wh."""
    frame = power_kw()
    found = {}
    for asset in demo_assets():
        own = [WH_PER_KW * power for power in frame[asset.simbench_id]]
        found[asset.name] = own if quarter_hours is None else list(islice(cycle(own), quarter_hours))
    return found


def _copy(vendor: str, number: int, unit: Unit) -> Unit:
    key = f"copy_{number + 1}" if vendor == HOME_ASSISTANT else str(1000 + number)
    device = _DEVICE[vendor](key)
    site = device if unit.site == unit.device else f"home-{1000 + number}"
    return replace(unit, device=device, site=site, name=f"{unit.name} ({number + 1})")
