"""Step 4: what was due lately, and what the exchange made of it."""

from datetime import timedelta

import pytest

from pipelines.commission.names import Mark, Standing
from pipelines.store import RunRow, Store, table_of
from tests.commission.history import NOON, SLOT, History, Walker, community, energies


def step_4(history: History) -> Standing:
    (one,) = Walker(history, community(("A", "load")))().standings
    return one.steps[3]


@pytest.mark.parametrize(
    ("state", "error", "cause", "told"),
    [
        (
            "rejected",
            "no such device",
            "refused",
            "the exchange refused slot Mon 02 Mar 2026 13:00 CET: no such device",
        ),
        ("expired", "window closed", "late", "slot Mon 02 Mar 2026 13:00 CET wasn't sent in time: window closed"),
        ("pending", "", "late", "slot Mon 02 Mar 2026 13:00 CET wasn't sent in time"),
    ],
)
def test_the_newest_slot_that_failed_blocks(sqlite_store: Store, state: str, error: str, cause: str, told: str) -> None:
    history = History(sqlite_store)
    history.day("a", energies(20))
    history.submitted("a", [NOON - SLOT], [5.0])
    history.submitted("a", [NOON], [5.0], state=state, error=error)
    # A walk a minute later, in the slot.
    (one,) = Walker(history, community(("A", "load")))(now=NOON + timedelta(minutes=1)).standings
    found = one.steps[3]
    assert (found.mark, found.cause, found.told) == (Mark.BLOCKED, cause, told)


def test_one_that_failed_an_hour_ago_is_waited_out(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    history.day("a", energies(20))
    history.submitted("a", [NOON - 2 * SLOT], [5.0], state="expired")
    history.submitted("a", [NOON - SLOT], [5.0], state="accepted")
    found = step_4(history)
    assert (found.mark, found.told) == (
        Mark.WAITS,
        "the exchange took 3 of the last 4 slots; 4 in a row are asked",
    )


def test_a_newer_version_counts_and_a_superseded_one_doesnt(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    history.day("a", energies(20))
    history.submitted("a", [NOON - 2 * SLOT], [5.0], state="rejected")
    history.submitted("a", [NOON - 2 * SLOT], [6.0], version=1, state="confirmed")
    history.submitted("a", [NOON - 2 * SLOT], [7.0], version=2, state="superseded")
    assert step_4(history).mark is Mark.STANDS


def test_what_isnt_due_yet_says_nothing(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    history.day("a", energies(20))
    history.submitted("a", [NOON + SLOT], [5.0], state="pending")
    assert step_4(history).mark is Mark.STANDS


def test_feeds_that_stopped_are_told_with_the_last_slot(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    history.day("a", energies(20), end=NOON - timedelta(hours=3))
    found = step_4(history)
    assert (found.mark, found.cause, found.since) == (
        Mark.BLOCKED,
        "nothing is sent any more",
        NOON - timedelta(hours=3, minutes=15),
    )


def test_before_the_first_feed_nothing_is_wrong(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    assert step_4(history).told == "nothing was sent yet: no slot was measured whole in time"
    with sqlite_store.writing() as connection:
        connection.execute(table_of(RunRow).delete())
    found = step_4(history)
    assert (found.mark, found.told) == (Mark.WAITS, "nothing was sent yet: no feed has run")
    assert "slotfeed feed" in found.remedy
    (one,) = Walker(history, community(("A", "load")))().standings
    assert one.steps[2].told == "nothing was collected yet: no feed has run"
