"""Huawei FusionSolar, northbound interface (SmartPVMS): lifetime registers of inverters, grid meters and batteries.

From the vendor's interface reference V6 (2022-06) and from what public clients send and read. Two ways to a register:

- getDevRealKpi tells it as it is now, for a hundred devices at once. Items have no stamp: the answer's `currentTime` is
  theirs. What a device without connection shows is old, so it is no reading.
- getDevHistoryKpi tells it every five minutes, for ten devices at once, once a minute and a few dozen times a day. A
  backfill has nothing else; a live run repairs with it what the first way left out, as far as the day's requests last.

`day_cap` isn't read: after midnight it may still hold yesterday's energy. Nor is `ch_discharge_power`, which is in W
where all other power is in kW. How many rows an answer must have nobody can know: an inverter sends none at night.
"""

from datetime import timedelta

from pipelines.collect.cloud.budget import Limit
from pipelines.collect.cloud.vendor import Vendor
from pipelines.collect.source import Channel
from pipelines.collect.vendors.fusionsolar.session import (
    DAY,
    FIVE_MINUTES,
    HISTORY_EXTRA,
    LONGEST,
    STEP,
    FusionSolarSession,
)
from pipelines.frames import Kind


def _channel(register: str, says: str) -> Channel:
    return Channel(register=register, kind=Kind.REGISTER, unit="kWh", says=says)


VENDOR = Vendor(
    title="Huawei FusionSolar",
    secret="the northbound user's system code",  # noqa: S106 - tells what it is
    open=FusionSolarSession,
    channels={
        "production": _channel("production", "lifetime yield of an inverter (total_cap)"),
        "import": _channel("import", "drawn from the grid, of a grid meter or power sensor (active_cap)"),
        "export": _channel("export", "fed into the grid, of a grid meter or power sensor (reverse_active_cap)"),
        "charge": _channel("charge", "charged into a battery (charge_cap)"),
        "discharge": _channel("discharge", "discharged from a battery (discharge_cap)"),
    },
    longest_window=LONGEST,
    step=STEP,
    overlap=timedelta(hours=2),
    memory=LONGEST,
    url="https://eu5.fusionsolar.huawei.com/thirdData",
    needs=("username",),
    limits=(
        Limit(name="login", most=5, per=timedelta(minutes=10), says="logins; the vendor's", every=False),
        Limit(name="stations", most=24, per=DAY, says="pages of the list of plants; ours", every=False),
        Limit(name="device_list", most=24, per=DAY, says="requests of the list of devices; the vendor's", every=False),
        Limit(
            name="real_kpi",
            most=1,
            per=FIVE_MINUTES,
            says="present readings; the vendor's: one for each hundred devices of a type, set from the list of devices",
            every=False,
        ),
        Limit(
            name="history",
            most=HISTORY_EXTRA + 1,
            per=DAY,
            says="histories; the vendor's: one for each ten devices and 24, set from the list of devices",
            every=False,
        ),
        Limit(
            name="history_minute", most=1, per=timedelta(minutes=1), says="histories at once; the vendor's", every=False
        ),
    ),
)
