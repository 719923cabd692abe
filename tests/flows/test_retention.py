"""Rows leave a community's database and the community lives on: pages, feeds and decisions are as they were."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from pipelines.community import AssetType
from pipelines.sandbox.demo_community import demo_assets
from pipelines.store import SlotEnergyRow, SubmissionRow, table_of
from tests.flows.places import FIRST_RUN, MIDNIGHT, SLOT, Place
from tests.reliability.invariants import check_all
from tests.reliability.invariants import told as breaches
from tests.reliability.sight import seen

Command = Callable[..., tuple[int, str]]


def live(place: Place, slotfeed: Command, number: int) -> None:
    at = FIRST_RUN + number * SLOT
    place.live_until(at)
    for command in ("feed", "reconcile"):
        status, told = slotfeed(command, "--at", at.isoformat())
        assert status == 0, told


def page(place: Place, slotfeed: Command) -> str:
    """The report of the first slots, without when it was made."""
    span = ("--start", FIRST_RUN.isoformat(), "--end", (FIRST_RUN + 4 * SLOT).isoformat())
    status, told = slotfeed("report", *span, "--output", place.folder / "r.html")
    assert status == 0, told
    written = (place.folder / "r.html").read_text()
    # The head tells when the page was made, the footer when which commands ran last.
    timeless, made = re.subn(r"<dt>As of</dt><dd>.*?</dd>|<footer.*?</footer>", "", written, flags=re.DOTALL)
    assert made == 2
    return timeless


def rows(place: Place) -> dict[str, int]:
    with place.store() as store, store.reading() as connection:
        return {
            model.__name__: connection.execute(select(func.count()).select_from(table_of(model))).scalar_one()
            for model in (SlotEnergyRow, SubmissionRow)
        }


def test_a_community_lives_on_without_its_old_rows(place: Place, slotfeed: Command, tmp_path: Path) -> None:
    for number in range(4):
        live(place, slotfeed, number)
    before, full = page(place, slotfeed), rows(place)
    status, told = slotfeed("retention", "run")
    assert (status, "Nothing to do" in told) == (0, True), told
    assert rows(place) == full
    place.file.write_text(f"{place.file.read_text()}\nretention: {{submissions_days: 120, readings_days: 120}}\n")
    status, told = slotfeed("retention", "run")
    assert status == 0, told
    left = rows(place)
    assert left["SlotEnergyRow"] < full["SlotEnergyRow"] / 2
    assert left["SubmissionRow"] < full["SubmissionRow"]
    assert page(place, slotfeed) == before
    status, told = slotfeed("retention", "status")
    assert (status, "slot_energy" in told) == (0, True), told
    # A feed goes on from what stays, and the rows that come back are those that left.
    live(place, slotfeed, 4)
    start, end = (f"{FIRST_RUN + days * timedelta(days=1):%Y-%m-%d}" for days in (-30, 3))
    status, told = slotfeed("retention", "restore", "--start", start, "--end", end)
    assert status == 0, told
    with place.store() as store:
        assert breaches(check_all(seen(place, store, kills=0))) == ""
    status, told = slotfeed("retention", "verify")
    assert (status, "All files are sound" in told) == (0, True), told
    next((tmp_path / "aged").rglob("*.parquet")).unlink()
    status, told = slotfeed("retention", "verify")
    assert (status, "put it back from a backup" in told) == (1, True), told


def test_a_register_that_is_corrected_late_goes_on_from_what_has_left(place: Place, slotfeed: Command) -> None:
    place.write_file(protocol="sdk")
    place.file.write_text(f"{place.file.read_text()}\nretention: {{submissions_days: 120, readings_days: 120}}\n")
    for number in range(5):
        live(place, slotfeed, number)
    status, told = slotfeed("retention", "run")
    assert status == 0, told
    load = next(one for one in demo_assets() if one.type is AssetType.LOAD)
    # Between the slots from 22:15 and from 22:30.
    read_at, more_wh = MIDNIGHT + 2 * SLOT, 40.0
    with closing(sqlite3.connect(place.folder / "meters.sqlite")) as meters, meters:
        corrected = meters.execute(
            "UPDATE smart_meter_register SET value_kwh = value_kwh + ? WHERE meter_id = ? AND read_at = ?",
            (more_wh / 1000, load.device, int(read_at.timestamp())),
        )
        assert corrected.rowcount == 1
    with place.store() as store, store.reading() as connection:
        aged = select(func.count()).select_from(table_of(SlotEnergyRow)).where(col(SlotEnergyRow.slot_start) < read_at)
        # Of each asset the newest alone.
        assert connection.execute(aged.where(col(SlotEnergyRow.asset_id) == load.asset_id)).scalar_one() == 0
    live(place, slotfeed, 5)
    row, slot = SubmissionRow, SlotEnergyRow
    with place.store() as store, store.reading() as connection:
        both = select(col(slot.slot_start), col(slot.version), col(slot.energy_wh)).order_by(
            col(slot.slot_start), col(slot.version)
        )
        energies = connection.execute(
            both.where(col(slot.asset_id) == load.asset_id, col(slot.slot_start).between(read_at - SLOT, read_at))
        ).all()
        sent = connection.execute(
            select(col(row.slot_start), col(row.state), col(row.energy_wh)).where(
                col(row.asset_id) == load.asset_id, col(row.quantity) == "measurement", col(row.version) == 1
            )
        ).all()
    [first, mended, second, mended_second] = [wh for _, _, wh in energies]
    assert [version for _, version, _ in energies] == [0, 1, 0, 1]
    assert (mended - first, mended_second - second) == (pytest.approx(more_wh), pytest.approx(-more_wh))
    assert sorted(sent) == [
        (read_at - SLOT, "accepted", pytest.approx(mended)),
        (read_at, "accepted", pytest.approx(mended_second)),
    ]
    start, end = (f"{FIRST_RUN + days * timedelta(days=1):%Y-%m-%d}" for days in (-30, 3))
    status, told = slotfeed("retention", "restore", "--start", start, "--end", end)
    assert status == 0, told
    # What was sent counts from the next market cycle on.
    place.exchange.put("/sandbox/clock", json={"now": (FIRST_RUN + 6 * SLOT).isoformat()}).raise_for_status()
    with place.store() as store:
        world = seen(place, store, kills=0)
        flowed = {(load.asset_id, read_at - SLOT): mended, (load.asset_id, read_at): mended_second}
        assert breaches(check_all(replace(world, truth={**world.truth, **flowed}))) == ""
