"""Which asset of the demo community is read at which vendor, and that the vendor tells the asset's true energy."""

from collections import Counter
from datetime import timedelta
from itertools import accumulate

import polars as pl
import pytest

from pipelines.sandbox.clouds.demo import assignments, demo_fleet, grown_fleet
from pipelines.sandbox.demo_community import FIRST_SLOT, demo_assets, power_kw
from pipelines.sandbox.meter_replay import truth

END = FIRST_SLOT + timedelta(hours=51)


def test_every_assigned_channel_tells_the_energy_of_its_asset() -> None:
    assert Counter(vendor for vendor, _, _ in assignments().values()) == {
        "inexogy": 4,
        "solaredge": 2,
        "victron_vrm": 2,
        "fusionsolar": 2,
        "home_assistant": 15,
    }
    fleet = demo_fleet()
    true_wh = dict(truth().group_by("name").agg(pl.col("energy_wh").sum()).iter_rows())
    for name, (vendor, device, channel) in assignments().items():
        unit = fleet.unit(vendor, device)
        assert unit is not None, f"{vendor} has no {device} for {name}"
        assert fleet.energy_wh(unit, channel, FIRST_SLOT, END, END) == pytest.approx(true_wh[name], rel=1e-12)


def test_sites_balance_in_every_quarter_hour_and_one_has_a_battery() -> None:
    plain, stored = demo_fleet().of("victron_vrm")
    assert sum(plain.energy_wh["charge"]) == sum(plain.energy_wh["discharge"]) == 0
    assert sum(stored.energy_wh["charge"]) > 1000
    given = zip(stored.energy_wh["charge"], stored.energy_wh["discharge"], strict=True)
    state_wh = list(accumulate(charge - discharge for charge, discharge in given))
    assert min(state_wh) >= -1e-6, "nothing is given that wasn't taken"
    assert max(state_wh) == pytest.approx(10_000), "it is full once"
    for unit in (plain, stored):
        for n in range(power_kw().height):
            flow = {channel: energy[n] for channel, energy in unit.energy_wh.items()}
            assert min(flow.values()) >= 0
            supply = flow["production"] + flow["import"] + flow["discharge"]
            assert supply == pytest.approx(flow["consumption"] + flow["export"] + flow["charge"])


def test_grown_fleet_has_so_many_devices_at_every_vendor_on_the_days_asked_for() -> None:
    first = END
    fleet = grown_fleet(50, first=first, quarter_hours=300)
    assert {vendor: len(units) for vendor, units in fleet.units.items()} == dict.fromkeys(demo_fleet().units, 50)
    unit = fleet.of("inexogy")[5]
    assert unit.device != fleet.of("inexogy")[1].device
    end = first + 300 * timedelta(minutes=15)
    assert fleet.last_seen(unit, END + timedelta(days=30)) == end
    # Load 2 again; after two days and three hours its profile begins anew.
    column = next(asset.simbench_id for asset in demo_assets() if asset.name == "Load 2")
    own = [250 * power for power in power_kw()[column]]
    assert list(unit.energy_wh["import"]) == own + own[:96]
