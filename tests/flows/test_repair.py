"""`slotfeed reconcile --repair` as its user runs it, against an exchange that refuses and forgets."""

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

import flows.reconcile
from flows.session import tell_nobody
from pipelines.frames import State
from pipelines.store import SubmissionRow, table_of
from tests.flows.places import FIRST_RUN, SLOT, Place
from tests.reliability.invariants import check_all
from tests.reliability.invariants import told as breaches
from tests.reliability.sight import seen

Command = Callable[..., tuple[int, str]]
MINUTE = timedelta(minutes=1)
PATIENCE_S = 120


def faults(place: Place, *rules: dict[str, Any]) -> None:
    place.exchange.put("/sandbox/faults", json=list(rules)).raise_for_status()


def measurements(place: Place, asset: str) -> list[tuple[str, int]]:
    """State and number of repairs of an asset's measurements, oldest slot first."""
    row = table_of(SubmissionRow).c
    query = select(row.state, row.resends).where(row.asset_id == asset, row.quantity == "measurement")
    with place.store() as store, store.reading() as connection:
        return [(state, resends) for state, resends in connection.execute(query.order_by(row.slot_start))]


def live_with_faults(
    place: Place, slotfeed: Command, *, slots: int, forgets: frozenset[int] = frozenset()
) -> tuple[str, str]:
    """One asset's posts are refused in the third and fourth slot, another's are forgotten in `forgets`."""
    place.write_file(protocol="sdk")
    refused, forgotten = (asset.uuid for asset in place.community.assets[:2])
    for number in range(slots):
        at = FIRST_RUN + number * SLOT
        place.live_until(at)
        rules: list[dict[str, Any]] = []
        if number in {2, 3}:
            rules.append({"do": "status", "status": 403, "asset": refused, "path": "energy"})
        if number in forgets:
            rules.append({"do": "drop", "asset": forgotten, "path": "energy"})
        faults(place, *rules)
        slotfeed("feed", "--at", at.isoformat())
    return refused, forgotten


def test_repair_sends_again_gives_up_and_says_what_is_left(place: Place, slotfeed: Command) -> None:
    refused, forgotten = live_with_faults(place, slotfeed, slots=5, forgets=frozenset({2}))
    names = [asset.name for asset in place.community.assets[:2]]
    at = FIRST_RUN + 5 * SLOT + MINUTE
    place.live_until(at)

    status, told = slotfeed("reconcile", "--at", at.isoformat())
    assert status == 0, told
    assert "nothing was changed; slotfeed reconcile --repair would send 4 values again" in told, told
    assert f"{names[0]}, refused: 2 slots" in told
    assert f"over by now, later slots agree: {names[1]} missing (1 slot)" in told
    assert f"missing {names[1]}: 1 slot" in told
    before = measurements(place, refused), measurements(place, forgotten)
    assert [state for state, _ in before[0]].count(State.REJECTED) == 2

    status, told = slotfeed("reconcile", "--repair", "--at", at.isoformat())
    assert status == 0, told
    assert "set back to be sent again: 4 values" in told
    assert "the exchange took 4 values and refused 0" in told
    assert {state for state, _ in measurements(place, refused)} == {State.ACCEPTED}
    assert sum(resends for _, resends in measurements(place, refused)) == 2
    assert sum(resends for _, resends in measurements(place, forgotten)) == 2

    status, told = slotfeed("reconcile", "--repair", "--at", at.isoformat())
    assert (status, "nothing was to be sent again or given up" in told) == (0, True), told

    # Half a day later no result changes any more: what the market counted there stays, and is said so.
    late = at + timedelta(hours=14)
    place.live_until(late)
    status, told = slotfeed("reconcile", "--repair", "--end", at.isoformat(), "--at", late.isoformat())
    assert "closed as lost: 3 slots" in told, told
    assert "No discrepancy is open" in told
    _, told = slotfeed("status", "--json")
    assert '"lost_discrepancies": 3' in told
    slotfeed("report", "--output", place.folder / "r.html")
    page = (place.folder / "r.html").read_text()
    assert "3 slots lost at the exchange" in page
    assert "the exchange takes no forecast for a slot that has begun: the market counted 0.00 Wh" in page
    with place.store() as store:
        assert breaches(check_all(seen(place, store, kills=0))) == ""


def test_a_repair_killed_before_it_has_sent_is_finished_by_the_next_feed(place: Place, slotfeed: Command) -> None:
    refused, _ = live_with_faults(place, slotfeed, slots=3)
    at = FIRST_RUN + 3 * SLOT + MINUTE
    place.live_until(at)
    faults(place, {"do": "delay", "path": "measurement", "seconds": 60.0})
    program = [sys.executable, "-c", "from flows.cli import main; main()"]
    process = subprocess.Popen(
        [*program, "reconcile", "--repair", "--at", at.isoformat()],
        cwd=place.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    deadline = time.monotonic() + PATIENCE_S
    while not any(state in {State.PENDING, State.SENDING} for state, _ in measurements(place, refused)):
        assert process.poll() is None, process.communicate()[0].decode()
        assert time.monotonic() < deadline, "nothing was set back"
        time.sleep(0.05)
    process.kill()
    process.communicate()
    faults(place)

    later = at + SLOT
    place.live_until(later)
    status, told = slotfeed("feed", "--at", later.isoformat())
    assert status == 0, told
    assert {state for state, _ in measurements(place, refused)} == {State.ACCEPTED}
    with place.store() as store:
        assert breaches(check_all(seen(place, store, kills=1))) == ""


@pytest.mark.parametrize(("section", "acts"), [("", False), ("reconcile: {repair: true}\n", True)])
async def test_the_schedule_repairs_only_where_the_file_says_so(
    place: Place, monkeypatch: pytest.MonkeyPatch, section: str, acts: bool
) -> None:
    monkeypatch.setattr(flows.reconcile, "leave_reconcile", tell_nobody)
    place.file.write_text(place.file.read_text() + section)
    summary = await flows.reconcile.reconcile.fn(str(place.file), at=FIRST_RUN)
    assert summary["repair"]["acted"] is acts
    assert ("deliver" in summary) is acts
    # A person may say otherwise.
    summary = await flows.reconcile.reconcile.fn(str(place.file), at=FIRST_RUN, repair=not acts)
    assert summary["repair"]["acted"] is not acts


def test_again_needs_repair(place: Place, slotfeed: Command) -> None:
    status, told = slotfeed("reconcile", "--again")
    assert (status, "--again" in told) == (1, True)
    assert place.exchange.get("/sandbox/journal").json() == []
