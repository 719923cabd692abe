"""Invariants 3, 4 and 5: what was damaged on purpose is named, and nothing else."""

from datetime import timedelta

import pytest

from pipelines.store import SubmissionRow
from tests.flows.places import SLOT
from tests.reliability.damage import Copy, at, broken, by_place, forecast, measurement, where
from tests.reliability.invariants import told


@pytest.mark.parametrize(
    ("before_slot", "words"),
    [(timedelta(seconds=29), "deadline"), (SLOT - timedelta(seconds=9), "before its window opens")],
)
def test_a_post_outside_its_window(rest: Copy, before_slot: timedelta, words: str) -> None:
    key = forecast(rest)
    entry = rest.entry(key)
    entry["at"] = (key[1] - before_slot).isoformat()
    found = broken(rest)
    assert by_place(found) == at(key, 3)
    assert words in told(found)
    assert f"journal entry {entry['seq']}" in told(found)


def test_a_post_after_its_slot_began(sdk: Copy) -> None:
    key = forecast(sdk)
    sdk.entry(key)["at"] = (key[1] + timedelta(seconds=1)).isoformat()
    assert by_place(broken(sdk)) == at(key, 3)


def test_a_measurement_before_its_slot_was_over(sdk: Copy) -> None:
    key = measurement(sdk)
    sdk.entry(key)["at"] = (key[1] + SLOT - timedelta(seconds=1)).isoformat()
    assert by_place(broken(sdk)) == at(key, 3)


def test_a_late_value_drives_the_slot_after(rest: Copy) -> None:
    key = forecast(rest)
    after = (key[0], key[1] + SLOT, "forecast")
    rest.entry(key)["at"] = (key[1] + timedelta(seconds=20)).isoformat()
    found = broken(rest)
    assert by_place(found) == at(key, 1) | at(after, 3, 5)
    assert "the value of the slot before" in told(found)


def test_the_market_began_earlier_than_its_clock_told(rest: Copy) -> None:
    key = forecast(rest)
    rest.entry(key)["at"] = (key[1] - timedelta(seconds=35)).isoformat()
    assert broken(rest) == []
    rest.more["lead"] = timedelta(seconds=7)
    assert at(key, 3) <= by_place(broken(rest))


@pytest.mark.parametrize("column", ["sent_at", "closes_at"])
def test_an_outbox_that_says_so_itself(damaged: Copy, column: str) -> None:
    key = forecast(damaged)
    damaged.edit(SubmissionRow, {column: key[1]}, **where(key))
    assert by_place(broken(damaged)) == at(key, 3)


@pytest.mark.parametrize("kills", [0, 1])
def test_more_repeats_than_kills(damaged: Copy, kills: int) -> None:
    key = forecast(damaged)
    entry = damaged.entry(key)
    damaged.more["kills"] = kills
    damaged.journal += [{**entry, "seq": 9_000 + n} for n in range(kills)]
    assert broken(damaged) == []
    damaged.journal.append({**entry, "seq": 9_999})
    found = broken(damaged)
    assert by_place(found) == at(key, 4)
    assert "journal entry 9999" in told(found)
    # Where the reply never came back, sending again is right.
    damaged.journal[-1]["fault"] = "lose_reply"
    assert broken(damaged) == []


def test_a_repair_may_repeat_a_value_once(damaged: Copy) -> None:
    key = forecast(damaged)
    entry = damaged.entry(key)
    damaged.journal.append({**entry, "seq": 9_998})
    assert by_place(broken(damaged)) == at(key, 4)
    damaged.edit(SubmissionRow, {"resends": 1}, **where(key))
    assert broken(damaged) == []
    damaged.journal.append({**entry, "seq": 9_999})
    assert by_place(broken(damaged)) == at(key, 4)


def test_another_asset(rest: Copy) -> None:
    key = forecast(rest)
    entry = rest.entry(key)
    # One whose own post comes later, so that its value holds in the end.
    later = next(e for e in rest.journal[rest.journal.index(entry) + 1 :] if "set_energy_forecast" in e["path"])
    entry["path"] = entry["path"].replace(key[0], later["asset"])
    found = broken(rest)
    assert by_place(found) == at(key, 1) | at((later["asset"], *key[1:]), 5)
    assert f"it is the value of asset {key[0]}" in told(found)


def test_another_slot(sdk: Copy) -> None:
    key = forecast(sdk, 2)
    entry = sdk.entry(key)
    ((_, energy_kwh),) = entry["body"]["energy_forecast"].items()
    after = key[1] + SLOT
    entry["body"]["energy_forecast"] = {f"{after:%Y-%m-%dT%H:%M}": energy_kwh}
    found = broken(sdk)
    assert by_place(found) == at(key, 1) | at((key[0], after, "forecast"), 5)
    assert f"it is the value of slot {key[1]:%Y-%m-%d %H:%M} UTC" in told(found)


@pytest.mark.parametrize(("factor", "words"), [(0.001, "1000 times too small"), (1000, "1000 times too large")])
def test_another_unit(rest: Copy, factor: float, words: str) -> None:
    key = forecast(rest)
    rest.entry(key)["body"]["energy_Wh"] *= factor
    found = broken(rest)
    assert by_place(found) == at(key, 2, 5)
    assert words in told(found)


def test_another_simulation_and_a_body_of_another_form(damaged: Copy) -> None:
    key = forecast(damaged)
    entry = damaged.entry(key)
    simulation = damaged.origin.community.community.simulation_uuid
    entry["path"] = entry["path"].replace(simulation, "elsewhere")
    assert by_place(broken(damaged)) == at(key, 5)
    entry["body"] = {"power": 1}
    assert "its body is not the protocol's" in told(broken(damaged))


def test_a_batch_after_its_deadline(batch: Copy) -> None:
    key = forecast(batch)
    entry = batch.entry(key)
    entry["at"] = (key[1] - timedelta(seconds=29)).isoformat()
    # It carried every asset's value.
    assert by_place(broken(batch)) == {(3, asset, key[1], "forecast") for asset in entry["body"]["batch_commands"]}


def test_a_batch_that_left_again(batch: Copy) -> None:
    key = forecast(batch)
    entry = batch.entry(key)
    assets = list(entry["body"]["batch_commands"])
    batch.journal.append({**entry, "seq": 9_999})
    assert by_place(broken(batch)) == {(4, asset, key[1], "forecast") for asset in assets}
    # What was refused didn't arrive twice.
    entry["answers"] = {**entry["answers"], key[0]: ["error"]}
    assert by_place(broken(batch)) == {(4, asset, key[1], "forecast") for asset in assets if asset != key[0]}


def test_another_asset_of_a_batch(batch: Copy) -> None:
    key = forecast(batch)
    orders = batch.entry(key)["body"]["batch_commands"]
    other = next(asset for asset in orders if asset != key[0])
    orders[other], orders[key[0]] = orders[key[0]], orders[other]
    found = broken(batch)
    assert by_place(found) == at(key, 2, 5) | at((other, *key[1:]), 2, 5)
    assert f"it is the value of asset {key[0]}" in told(found)


@pytest.mark.parametrize("factor", [0.001, 1000])
def test_another_unit_in_a_batch(batch: Copy, factor: float) -> None:
    key = measurement(batch)
    values = batch.command(key)["energy_measurement"]
    (slot,) = values
    values[slot] *= factor
    assert by_place(broken(batch)) == at(key, 2, 5)


def test_a_batch_in_another_place_or_of_another_form(batch: Copy) -> None:
    entry = batch.entry(forecast(batch))
    assets, path = list(entry["body"]["batch_commands"]), entry["path"]
    entry["path"] = path.replace(batch.origin.community.community.simulation_uuid, "elsewhere")
    assert by_place(broken(batch)) == {(5, asset, forecast(batch)[1], "forecast") for asset in assets}
    entry["path"] = path
    entry["body"] = {"batch_commands": "…"}
    assert "its body is not the protocol's" in told(broken(batch))


def test_single_posts_in_a_world_of_batches(batch: Copy) -> None:
    key = forecast(batch)
    single = {"energy_forecast": batch.command(key)["energy_forecast"]}
    simulation = batch.origin.community.community.simulation_uuid
    path = f"/external-connection/api/{simulation}/{key[0]}/set-energy-forecast/"
    entry = batch.entry(key)
    batch.journal.append({**entry, "seq": 9_999, "path": path, "asset": key[0], "body": single, "answer": "error"})
    found = broken(batch)
    assert by_place(found) == at(key, 5)
    assert "not in protocol batch" in told(found)
