"""Invariants 1 and 2: what was damaged on purpose is named, and nothing else."""

import pytest

from pipelines.store import DiscrepancyRow, SlotEnergyRow, SubmissionRow, insert_rows
from tests.flows.places import SLOT
from tests.reliability.damage import Copy, at, broken, by_place, forecast, measurement, where
from tests.reliability.invariants import Invariant, told


def test_a_submission_that_is_gone(damaged: Copy) -> None:
    key = forecast(damaged)
    damaged.drop(SubmissionRow, **where(key))
    found = broken(damaged)
    assert by_place(found) == at(key, 1, 5)
    assert "never planned: it is lost" in told(found)


@pytest.mark.parametrize("state", ["pending", "sending", "superseded", "vanished"])
def test_a_submission_without_final_state(damaged: Copy, state: str) -> None:
    key = forecast(damaged)
    damaged.edit(SubmissionRow, {"state": state}, **where(key))
    assert by_place(broken(damaged)) == at(key, 1)
    # While runs may still come, waiting is no loss.
    damaged.more["settled"] = False
    assert bool(broken(damaged)) is (state not in {"pending", "sending"})


def test_two_final_states(sdk: Copy) -> None:
    key = measurement(sdk)
    (row,) = sdk.rows(SubmissionRow, **where(key))
    sdk.again(SubmissionRow, row, id=None, version=1)
    found = broken(sdk)
    assert by_place(found) == at(key, 1)
    assert f"row {row['id']}, version 0" in told(found)


def test_accepted_but_never_posted(damaged: Copy) -> None:
    key = forecast(damaged)
    damaged.journal.remove(damaged.entry(key))
    assert by_place(broken(damaged)) == at(key, 1)


def test_a_measurement_that_was_never_planned(sdk: Copy) -> None:
    key = measurement(sdk)
    sdk.drop(SubmissionRow, **where(key))
    sdk.journal.remove(sdk.entry(key))
    assert by_place(broken(sdk)) == at(key, 1)


LEDGERS = {
    "rest": ("repeated", "UPDATE repeated SET energy_kwh = energy_kwh * ? WHERE asset = ? AND from_slot_s = ?"),
    "sdk": ("applied", "UPDATE applied SET energy_kwh = energy_kwh * ? WHERE asset = ? AND slot_s = ?"),
}
"""Table in which the exchange keeps what it applied, and how a value in it is changed."""


@pytest.mark.parametrize("factor", [1 + 1e-6, 0.0])
def test_the_exchange_applied_something_else(damaged: Copy, factor: float) -> None:
    key = forecast(damaged)
    table, statement = LEDGERS[damaged.origin.community.exchange.protocol]
    damaged.edit_ledger(statement, factor, key[0], key[1].timestamp())
    found = broken(damaged)
    assert by_place(found) == at(key, 2)
    assert f"exchange's ledger, table {table}" in told(found)
    # What reconciliation has listed is no breach: the user knows.
    listed = {"expected_wh": 1.0, "exchange_wh": 2.0, "diagnosis": "differs", "evidence": "", "repair": ""}
    with damaged.store.writing() as connection:
        insert_rows(connection, DiscrepancyRow, [{**where(key), **listed, "opened_at": key[1], "run_id": "r"}])
    assert broken(damaged) == []


def test_the_exchange_holds_nothing(sdk: Copy) -> None:
    key = forecast(sdk)
    sdk.edit_ledger(
        "DELETE FROM applied WHERE asset = ? AND slot_s = ? AND quantity = 'forecast'", key[0], key[1].timestamp()
    )
    found = broken(sdk)
    assert by_place(found) == at(key, 2)
    assert "holds nothing" in told(found)


def test_a_value_that_changed_after_it_was_sent(damaged: Copy) -> None:
    key = forecast(damaged)
    (row,) = damaged.rows(SubmissionRow, **where(key))
    damaged.edit(SubmissionRow, {"energy_wh": row["energy_wh"] + 1}, **where(key))
    found = broken(damaged)
    assert by_place(found) == at(key, 2, 5)
    # Unlike what was posted, what was applied and what was measured.
    assert len([v for v in found if v.invariant is Invariant.LAST_VERSION_HOLDS]) == 3


def test_an_older_version_after_a_newer_one(sdk: Copy) -> None:
    key = measurement(sdk)
    (row,) = sdk.rows(SubmissionRow, **where(key))
    sdk.edit(SubmissionRow, {"version": 1}, **where(key))
    sdk.again(SubmissionRow, row, id=None, state="superseded", energy_wh=row["energy_wh"] + 8)
    entry = sdk.entry(key)
    ((slot, energy_kwh),) = entry["body"]["energy_measurement"].items()
    older = {**entry, "seq": 9_999, "body": {"energy_measurement": {slot: energy_kwh + 0.008}}}
    # In its order it is right.
    sdk.journal.insert(sdk.journal.index(entry), older)
    assert broken(sdk) == []
    sdk.journal.remove(older)
    sdk.journal.append(older)
    found = broken(sdk)
    assert by_place(found) == at(key, 2)
    assert "version 0 after version 1 [journal entry 9999]" in told(found)


def test_a_correction_that_never_went_out(sdk: Copy) -> None:
    key = measurement(sdk)
    (row,) = sdk.rows(SlotEnergyRow, asset_id=key[0], slot_start=key[1])
    sdk.again(SlotEnergyRow, row, version=1, energy_wh=row["energy_wh"] + 3, created_at=key[1] + 2 * SLOT)
    assert by_place(broken(sdk)) == at(key, 2) | {(6, *key[:2], None)}


def test_a_batch_whose_answer_is_an_error(batch: Copy) -> None:
    key = forecast(batch)
    entry = batch.entry(key)
    entry["answers"] = {**entry["answers"], key[0]: ["error"]}
    found = broken(batch)
    assert by_place(found) == at(key, 1)
    assert "accepted, but no post for it was taken" in told(found) or "confirmed, but no post" in told(found)


def test_a_batch_of_which_the_exchange_threw_one_assets_values_away(batch: Copy) -> None:
    key = forecast(batch)
    entry = batch.entry(key)
    entry["fault"], entry["fault_meets"] = "drop", [key[0]]
    # The journal tells of no value that was kept; the ledger's is the right one.
    assert broken(batch) == []
    batch.edit_ledger(
        "DELETE FROM applied WHERE asset = ? AND slot_s = ? AND quantity = 'forecast'", key[0], key[1].timestamp()
    )
    assert by_place(broken(batch)) == at(key, 2)
