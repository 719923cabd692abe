"""Rows leave a community's database and the community lives on: pages, feeds and decisions are as they were."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import func, select

from pipelines.store import SlotEnergyRow, SubmissionRow, table_of
from tests.flows.places import FIRST_RUN, SLOT, Place
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
    # The footer tells when which commands ran last.
    return re.sub(r"<footer.*?</footer>", "", written, flags=re.DOTALL)


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
