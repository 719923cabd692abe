"""What is traded in a slot. The community: Flat (load), Roof (PV), Meter, in House in Grid."""

from typing import Any

import pytest

from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.engine.tallies import Cleared, dso_stats
from pipelines.sandbox.exchange.engine.twin import Settings
from pipelines.sandbox.exchange.wire.clearing import last_cleared
from pipelines.sandbox.exchange.wire.energies import used_kwh


async def cleared(exchange: Any, ctn: Ctn, load_kwh: float, pv_kwh: float) -> Cleared:
    await exchange.forecast("load", {"12:15": load_kwh})
    await exchange.forecast("pv", {"12:15": pv_kwh})
    await exchange.at("12:15")
    await exchange.at("12:30")
    return last_cleared(ctn)


@pytest.mark.parametrize(("load_kwh", "pv_kwh", "traded_kwh"), [(0.6, 0.4, 0.4), (0.3, 0.4, 0.3), (0.6, 0.0, 0.0)])
async def test_the_smaller_of_production_and_demand_is_traded(
    exchange: Any, ctn: Ctn, load_kwh: float, pv_kwh: float, traded_kwh: float
) -> None:
    found = await cleared(exchange, ctn, load_kwh, pv_kwh)
    flat, roof = found.tallies["load"], found.tallies["pv"]
    assert (flat.wanted_kwh, roof.offered_kwh) == (load_kwh, pv_kwh)
    assert flat.bought_kwh == pytest.approx(traded_kwh)
    assert roof.sold_kwh == pytest.approx(traded_kwh)
    # Half way between the feed-in tariff of 8 and the market maker's 30 ct/kWh.
    assert flat.spent_ct == pytest.approx(traded_kwh * 19)
    assert roof.earned_ct == pytest.approx(traded_kwh * 19)


async def test_production_is_shared_by_need(exchange: Any, ctn: Ctn) -> None:
    ctn.twin.assets["meter"].type = "Load"
    await exchange.forecast("meter", {"12:15": 0.3})
    found = await cleared(exchange, ctn, 0.9, 0.4)
    # 1.2 kWh are wanted and 0.4 are there: everyone has a third.
    assert found.tallies["load"].bought_kwh == pytest.approx(0.3)
    assert found.tallies["meter"].bought_kwh == pytest.approx(0.1)


async def test_registered_asset_without_orders_trades_nothing(exchange: Any, ctn: Ctn) -> None:
    await exchange.command("load", "register", {})
    found = await cleared(exchange, ctn, 0.6, 0.4)
    assert (found.tallies["load"].bought_kwh, found.tallies["pv"].sold_kwh) == (0.0, 0.0)
    assert found.tallies["load"].wanted_kwh == 0.6, "all of it is deficit"


async def test_a_grid_operator_is_told_of_fees_and_self_sufficiency(exchange: Any, ctn: Ctn) -> None:
    ctn.trading.set_fee(ctn.twin.markets["area-house"], fee_const=2.5, fee_percent=None)
    found = await cleared(exchange, ctn, 0.6, 0.4)
    told = dso_stats(found.tallies["area-house"])
    assert told["market_fee_revenue"] == pytest.approx(1.0)
    assert told["self_sufficiency"] == pytest.approx(0.4 / 0.6)
    assert told["self_consumption"] == pytest.approx(1.0)
    assert told["area_throughput"] == {"import": 0.0, "export": 0.0}
    assert dso_stats(found.tallies["meter"])["self_sufficiency"] is None


async def test_fees_in_percent_are_of_the_price(exchange: Any, ctn: Ctn) -> None:
    ctn.twin.settings = Settings(grid_fee_type=2)
    ctn.trading.set_fee(ctn.twin.markets["area-house"], fee_const=2.5, fee_percent=10.0)
    found = await cleared(exchange, ctn, 0.6, 0.4)
    assert found.tallies["load"].fees_ct == pytest.approx(0.4 * 1.9)


async def test_all_energies_at_once_are_those_told_one_by_one(exchange: Any, ctn: Ctn) -> None:
    await exchange.forecast("load", {"12:15": 0.6})
    await exchange.send_wh("pv", 250)
    await exchange.at("12:15")
    ctn.market.switch("load", live=False)
    for time in ("12:15", "12:30", "12:45"):
        await exchange.at(time)
        slot = ctn.market.slot
        one_by_one = {
            uuid: ctn.market.profile(uuid, slot, slot + ctn.market.slot_length)[slot] for uuid in ctn.twin.assets
        }
        assert used_kwh(ctn, slot) == one_by_one
        assert one_by_one == {"load": 0.6 if time == "12:15" else 0.0, "pv": 0.25, "meter": 0.0}
    before = ctn.market.slot - 50 * ctn.market.slot_length
    assert set(used_kwh(ctn, before).values()) == {0.0}
