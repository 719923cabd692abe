"""Invariants 6 and 7: what was damaged on purpose is named, and nothing else."""

from datetime import timedelta

import pytest

from pipelines.store import AssetRow, Cursor, GapRow, ReadingRow, SlotEnergyRow, SubmissionRow
from tests.flows.places import SLOT
from tests.reliability.damage import FIRST, Copy, broken, by_place, forecast
from tests.reliability.invariants import AtSource, Invariant, told

EVENING = FIRST - 4 * SLOT


def test_a_reading_that_is_cut(rest: Copy) -> None:
    asset, slot, _ = forecast(rest)
    (stream,) = (a.streams[0].stream_id for a in rest.origin.community.assets if a.asset_id == asset)
    cut = slot - 6 * SLOT
    rest.drop(ReadingRow, stream_id=stream, ts=cut)
    found = broken(rest)
    assert {(v.invariant, v.asset, v.stream, v.slot_start) for v in found} == {
        (Invariant.ENERGY_CONSERVED, asset, None, cut - SLOT),
        (Invariant.ENERGY_CONSERVED, asset, None, cut),
        (Invariant.CURSORS_BEHIND, None, stream, cut),
    }


def test_a_slot_that_is_off_by_a_millionth(rest: Copy) -> None:
    asset, slot, _ = forecast(rest)
    old = {"asset_id": asset, "slot_start": slot - 8 * SLOT}
    (row,) = rest.rows(SlotEnergyRow, **old)
    rest.edit(SlotEnergyRow, {"energy_wh": row["energy_wh"] * (1 + 1e-6)}, **old)
    found = broken(rest)
    assert by_place(found) == {(6, asset, old["slot_start"], None)}
    # Its readings say so, and what really flowed.
    assert len(found) == 2


def test_a_slot_that_was_never_made(rest: Copy) -> None:
    asset, slot, _ = forecast(rest)
    old = slot - 8 * SLOT
    rest.drop(SlotEnergyRow, asset_id=asset, slot_start=old)
    assert by_place(broken(rest)) == {(6, asset, old, None)}


def test_a_reading_of_another_value(rest: Copy) -> None:
    asset, slot, _ = forecast(rest)
    (stream,) = (a.streams[0].stream_id for a in rest.origin.community.assets if a.asset_id == asset)
    (row,) = rest.rows(ReadingRow, stream_id=stream, ts=slot - 6 * SLOT)
    rest.edit(ReadingRow, {"value": row["value"] + 0.01}, id=row["id"])
    found = broken(rest)
    assert {int(v.invariant) for v in found} == {6}
    assert f"row {row['id']}" in told(found)
    assert {v.slot_start for v in found} == {slot - 6 * SLOT, slot - 7 * SLOT}


@pytest.mark.parametrize(("verdict", "words"), [("new", "never judged"), ("quarantined", "its readings back 0")])
def test_a_reading_that_was_not_counted(rest: Copy, verdict: str, words: str) -> None:
    spans = [row for row in rest.rows(ReadingRow, kind="power") if row["ts"] == EVENING]
    row = max(spans, key=lambda row: row["value"])
    rest.edit(ReadingRow, {"verdict": verdict}, id=row["id"])
    found = broken(rest)
    assert {int(v.invariant) for v in found} == {6}
    assert {v.slot_start for v in found} == {EVENING}
    assert words in told(found)


def test_a_cursor_that_ran_ahead(rest: Copy) -> None:
    (cursor, *_) = rest.rows(Cursor)
    stream = cursor["stream_id"]
    rest.edit(Cursor, {"position": cursor["position"] + 2 * SLOT}, stream_id=stream)
    found = broken(rest)
    assert {(int(v.invariant), v.stream) for v in found} == {(7, stream)}
    assert "is not stored" in told(found)
    assert "where nothing is stored" in told(found)


def test_an_asset_that_counts_as_compared_past_a_slot_that_was_not(rest: Copy) -> None:
    key = forecast(rest)
    asset, slot, quantity = key
    where = {"asset_id": asset, "slot_start": slot, "quantity": quantity}
    rest.edit(SubmissionRow, {"state": "accepted"}, **where)
    rest.edit(AssetRow, {"compared_through": slot}, asset_id=asset)
    assert broken(rest) == []
    rest.edit(AssetRow, {"compared_through": slot + SLOT}, asset_id=asset)
    assert by_place(broken(rest)) == {(7, *key)}


def test_a_reading_that_came_behind_the_cursor(rest: Copy) -> None:
    key = forecast(rest)
    (stream,) = (a.streams[0].stream_id for a in rest.origin.community.assets if a.asset_id == key[0])
    late = AtSource(stream_id=stream, ts=key[1] - timedelta(hours=2, minutes=5), value=1.0)
    rest.more["at_source"] = [*rest.origin.at_source, late]
    found = broken(rest)
    assert [(int(v.invariant), v.stream, v.slot_start) for v in found] == [(7, stream, late.ts)]


def test_a_gap_that_is_remembered_is_no_loss(rest: Copy) -> None:
    asset, slot, _ = forecast(rest)
    (stream,) = (a.streams[0].stream_id for a in rest.origin.community.assets if a.asset_id == asset)
    late = AtSource(stream_id=stream, ts=slot - timedelta(hours=2, minutes=5), value=1.0)
    rest.more["at_source"] = [late]
    gap = {"stream_id": stream, "starts": late.ts - SLOT, "ends": late.ts + SLOT, "asked": 1}
    rest.again(GapRow, gap, found_at=slot, asked_at=slot)
    assert told(broken(rest)) == ""


def test_an_estimate_is_no_energy_out_of_nothing_but_a_measured_slot_is(rest: Copy) -> None:
    asset, slot, _ = forecast(rest)
    (newest, *_) = rest.rows(SlotEnergyRow, asset_id=asset, slot_start=slot - 8 * SLOT)
    before = newest["slot_start"] - timedelta(days=1)
    rest.again(SlotEnergyRow, newest, slot_start=before, method="like_day", quality="ESTIMATED", coverage=0.0)
    assert told(broken(rest)) == ""
    rest.edit(SlotEnergyRow, {"method": "register"}, asset_id=asset, slot_start=before)
    assert by_place(broken(rest)) == {(6, asset, before, None)}
