"""Assets walked from configured to proven, over histories whose outcome is known."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select

from pipelines.commission.around import Around
from pipelines.commission.keeping import Issued, keep_certificates
from pipelines.commission.names import Mark, Outcome, Terms
from pipelines.errors import Issue, Topic
from pipelines.store import CertificateRow, CommissionChangeRow, DiscrepancyRow, Store, table_of
from tests.commission.history import NOON, REST, SLOT, History, Walker, community, energies, told_of

CERTIFICATE = table_of(CertificateRow)
AWAY = Issue(where="exchange", field="base_url", problem="no answer", remedy="Try again")


def certificates(store: Store) -> list[Any]:
    with store.reading() as connection:
        return list(connection.execute(select(CERTIFICATE).order_by(CERTIFICATE.c.issued_at)))


def test_a_day_of_confirmed_slots_is_proven_and_its_certificate_says_what_was_compared(store: Store) -> None:
    history = History(store)
    start = history.day("flat", [0.0] * 40 + energies(56))
    # Within the exchange's tolerance, the largest of the day.
    history.held("flat", {start + 50 * SLOT: 110.0 + 0.0150, start + 60 * SLOT: 120.0 - 0.005})
    found = Walker(history, community(("Flat", "load"), ("Load", "load")))()
    assert told_of(found)["Flat"] == ("proven", "", "")
    assert told_of(found)["Load"] == ("blocked", "readings plausible", "no reading yet")
    (kept,) = certificates(store)
    document = kept.document
    assert (kept.asset_id, kept.slots, kept.period_start, kept.period_end) == ("flat", 96, start, start + 96 * SLOT)
    assert (kept.held_until, kept.ended_at, kept.issued_at) == (None, None, NOON)
    assert (document["slots"], document["slots_with_energy"], document["energies"]) == (96, 56, 56)
    assert document["largest_deviation_wh"] == pytest.approx(0.015, abs=1e-9)
    assert document["largest_deviation_slot"] == "2026-03-02T00:00Z"
    # 100 + ... + 155, and what the exchange held besides.
    assert document["energy_wh"] == pytest.approx(56 * 127.5 + 0.015 - 0.005)
    assert document["quality"] == {"MEASURED": 96}
    assert document["forecast"] == {"slots": 96, "mean_error_wh": 0.0, "mean_energy_wh": pytest.approx(7140 / 96)}
    assert document["measurements"] == {}
    assert found.standings[0].certificate == kept.number == document["number"]
    assert found.changed == {"flat"}


def test_every_step_tells_what_was_found(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    history.day("flat", energies(96))
    (one,) = Walker(history, community(("Flat", "load")), abilities=REST)().standings
    assert [(step.step.words, step.mark) for step in one.steps] == [
        (words, Mark.STANDS) for words in ("configured", "reachable", "readings plausible", "delivered", "confirmed")
    ]
    assert one.reached == 6
    assert certificates(sqlite_store)[0].document["measurements"] is None


def test_zeros_all_night_prove_nothing(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    history.day("pv", [0.0] * 96)
    history.day("steady", [50.0] * 96)
    history.day("three", [0.0] * 93 + [5.0, 6.0, 7.0])
    history.day("four", [0.0] * 92 + [5.0, 6.0, 7.0, 8.0])
    names = [(name, "load") for name in ("PV", "Steady", "Three", "Four")]
    found = told_of(Walker(history, community(*names))())
    assert found["PV"] == found["Steady"] == found["Three"] == ("collecting", "confirmed", "too little energy yet")
    assert found["Four"] == ("proven", "", "")


def test_a_car_that_charged_last_week_is_proven_over_the_time_since(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    week = [0.0] * 100 + energies(10) + [0.0] * 562
    start = history.day("car", week)
    assert told_of(Walker(history, community(("Car", "ev_charger")))())["Car"] == ("proven", "", "")
    (kept,) = certificates(sqlite_store)
    assert (kept.period_start, kept.slots) == (start, 672)
    assert kept.document["energies"] == 10


def test_what_differs_breaks_the_row_and_blocks_while_it_is_the_newest(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    start = history.day("a", energies(96))
    history.differs("a", start + 60 * SLOT, "late")
    history.day("b", energies(96))
    history.differs("b", start + 95 * SLOT, "sign")
    walk = Walker(history, community(("A", "load"), ("B", "load")))
    one, other = walk().standings
    assert told_of(walk()) == {"A": ("collecting", "confirmed", ""), "B": ("blocked", "confirmed", "sign")}
    assert one.before is not None
    assert one.before.told.startswith("35 of 96 slots in a row confirmed; the last")
    assert "the last that differed was Mon 02 Mar 2026 03:30 CET: late" in one.before.told
    assert other.before is not None
    assert (other.before.remedy, other.before.since) == ("mend sign", start + 95 * SLOT)
    assert "seen of sign" in other.before.told


def test_slots_in_which_the_engine_was_down_count_neither_way(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    start = history.day("a", energies(97))
    history.differs("a", start + 60 * SLOT, "no exchange result", held=None)
    assert told_of(Walker(history, community(("A", "load")))())["A"] == ("proven", "", "")
    (kept,) = certificates(sqlite_store)
    assert (kept.slots, kept.document["skipped"], kept.period_start) == (96, 1, start)
    # One slot fewer, and the row is too short.
    other = History(sqlite_store)
    other.day("b", energies(96))
    other.differs("b", start + 60 * SLOT, "no exchange result", held=None)
    assert told_of(Walker(other, community(("B", "load")))())["B"][0] == "collecting"


def test_slots_that_nobody_compared_break_the_row(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    end = NOON - 2 * SLOT
    history.day("a", energies(48), end=end)
    history.day("a", energies(48), end=end - 49 * SLOT)
    one = Walker(history, community(("A", "load")))().standings[0]
    assert one.outcome is Outcome.COLLECTING
    assert one.before is not None
    assert one.before.told.startswith("48 of 96 slots in a row confirmed")


def test_a_proven_asset_that_fails_is_suspended_until_it_is_proven_anew(store: Store) -> None:
    history = History(store)
    start = history.day("a", energies(96))
    walk = Walker(history, community(("A", "load")))
    number = walk().standings[0].certificate
    end = start + 96 * SLOT
    broken, later = end + 3 * SLOT, NOON + 2 * SLOT
    slots = [end + n * SLOT for n in range(4)]
    history.told("a", until=later)
    history.local("a", slots, energies(4))
    history.submitted("a", slots, energies(4))
    history.held("a", dict(zip(slots, energies(4), strict=True)))
    assert walk(now=later).standings[0].outcome is Outcome.PROVEN
    assert certificates(store)[0].checked_through == slots[-1] + SLOT

    history.differs("a", broken, "unit factor 1000")
    one = walk(now=later + SLOT).standings[0]
    assert (one.outcome, one.since, one.certificate) == (Outcome.SUSPENDED, broken, number)
    assert one.before is not None
    assert one.before.cause == "unit factor 1000"
    (kept,) = certificates(store)
    assert (kept.held_until, kept.ended_at) == (broken, later + SLOT)
    assert "unit factor 1000" in kept.ended_because

    # It stays suspended, since the same slot, while the next row is growing.
    again = walk(now=later + 2 * SLOT).standings[0]
    assert (again.outcome, again.since) == (Outcome.SUSPENDED, broken)
    slots = [broken + (n + 1) * SLOT for n in range(96)]
    history.local("a", slots, energies(96))
    history.submitted("a", slots, energies(96))
    history.held("a", dict(zip(slots, energies(96), strict=True)))
    healed = slots[-1] + 3 * SLOT
    history.told("a", until=healed)
    one = walk(now=healed).standings[0]
    assert (one.outcome, one.certificate == number) == (Outcome.PROVEN, False)
    old, new = certificates(store)
    assert (old.held_until, new.held_until, new.period_start) == (broken, None, slots[0])
    assert new.document["earlier_open"] == 1
    # What differed before its period doesn't break the new one.
    again = walk(now=healed + timedelta(minutes=5)).standings[0]
    assert (again.outcome, again.certificate) == (Outcome.PROVEN, new.number)


def test_what_broke_a_proof_while_nobody_looked_for_days_is_found(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    start = history.day("a", energies(96))
    walk = Walker(history, community(("A", "load")))
    walk()
    slots = [start + (96 + n) * SLOT for n in range(600)]
    history.local("a", slots, energies(600))
    history.submitted("a", slots, energies(600))
    history.held("a", dict(zip(slots, energies(600), strict=True)))
    for n in (9, 5, 7):
        history.differs("a", slots[n], "differs")
    now = slots[-1] + 3 * SLOT
    history.told("a", until=now)
    assert walk(now=now).standings[0].outcome is Outcome.SUSPENDED
    assert certificates(sqlite_store)[0].held_until == slots[5]
    # What followed was flawless for days: the next walk proves it anew.
    assert walk(now=now + SLOT).standings[0].outcome is Outcome.PROVEN


def test_a_reconciliation_that_stopped_proves_nothing_more(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    end = history.day("a", energies(96)) + 96 * SLOT
    walk = Walker(history, community(("A", "load")))
    walk()
    later = end + timedelta(hours=6, minutes=1)
    history.told("a", until=later)
    slots = [end + n * SLOT for n in range(24)]
    history.local("a", slots, energies(24))
    history.submitted("a", slots, energies(24), state="accepted")
    assert told_of(walk(now=later))["A"] == ("suspended", "confirmed", "not compared any more")
    assert certificates(sqlite_store)[0].held_until == end


def test_walking_again_leaves_the_same_rows(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    history.day("a", energies(96))
    history.day("b", energies(20))
    walk = Walker(history, community(("A", "load"), ("B", "load"), ("C", "load")))
    first = walk()
    again = walk(now=NOON + timedelta(minutes=5))
    assert again.summary.changes == 0
    assert [one.since for one in again.standings] == [one.since for one in first.standings] == [NOON] * 3
    assert [one.certificate for one in again.standings] == [one.certificate for one in first.standings]
    assert again.changed == frozenset()
    with sqlite_store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(CommissionChangeRow)).scalar_one() == 3
    (kept,) = certificates(sqlite_store)
    assert (kept.issued_at, kept.checked_at) == (NOON, NOON + timedelta(minutes=5))


def test_an_exchange_that_is_away_blocks_who_isnt_proven_and_takes_no_proof_away(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    history.day("a", energies(96))
    small = community(("A", "load"), ("B", "load"))
    walk = Walker(history, small)
    walk()
    history.day("b", energies(96))
    away = Around(exchange=[AWAY], exchange_answered=False)
    proven, unproven = walk(around=away, now=NOON + SLOT).standings
    assert (proven.outcome, unproven.outcome) == (Outcome.PROVEN, Outcome.BLOCKED)
    assert proven.trouble is not None
    assert proven.trouble.told == "exchange, `base_url`: no answer"
    assert unproven.before is not None
    assert (unproven.before.mark, unproven.before.remedy) == (Mark.UNASKED, "Try again")
    # What it answers counts at once.
    off = Issue(where="A", field="live", problem="off", remedy="On", topic=Topic.ASSET_SWITCH, concerns="a")
    answered = Around(exchange=[off])
    found = walk(around=answered, now=NOON + SLOT)
    assert told_of(found)["A"] == ("suspended", "reachable", "live switch off")
    assert told_of(found)["B"] == ("proven", "", "")


def test_a_certificate_over_fewer_slots_than_are_asked_gives_way_to_one_over_enough(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    history.day("a", energies(50))
    walk = Walker(history, community(("A", "load")))
    assert walk(terms=Terms(slots=8)).standings[0].outcome is Outcome.PROVEN
    assert told_of(walk(now=NOON + timedelta(minutes=1)))["A"] == ("collecting", "readings plausible", "")
    assert walk(terms=Terms(slots=40), now=NOON + timedelta(minutes=2)).standings[0].outcome is Outcome.PROVEN
    first, second = certificates(sqlite_store)
    assert (first.slots, first.ended_because, first.held_until) == (8, "", None)
    assert first.ended_at == NOON + timedelta(minutes=2)
    assert (second.slots, second.ended_at) == (40, None)


def test_of_two_walks_at_once_one_certificate_holds(store: Store) -> None:
    def issue(number: str) -> Issued:
        document = {"number": number, "slots": 96, "digest": "d"}
        return Issued(asset_id="a", document=document, period_start=NOON, period_end=NOON)

    for number in ("first", "second"):
        with store.writing() as connection:
            keep_certificates(connection, [issue(number)], now=NOON, run_id="r")
    assert [kept.number for kept in certificates(store)] == ["first"]


def test_questions_to_the_store_dont_grow_with_the_assets(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    names = [(f"A{n}", "load") for n in range(120)]
    for name, _ in names:
        history.day(name.lower(), energies(12))
    asked: list[str] = []

    @event.listens_for(sqlite_store.engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    counts = []
    for some in (names[:2], names[2:]):
        asked.clear()
        found = Walker(history, community(*some))(terms=Terms(slots=8))
        assert [one.outcome for one in found.standings] == [Outcome.PROVEN] * len(some)
        counts.append(len(asked))
    assert counts[0] == counts[1]


def test_only_asked_assets_are_walked(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    for name in ("a", "b"):
        history.day(name, energies(96))
    found = Walker(history, community(("A", "load"), ("B", "load")))(asset_ids=["b"])
    assert told_of(found) == {"B": ("proven", "", "")}
    assert [kept.asset_id for kept in certificates(sqlite_store)] == ["b"]


def test_a_discrepancy_that_was_mended_breaks_nothing(sqlite_store: Store) -> None:
    history = History(sqlite_store)
    start = history.day("a", energies(96))
    mended = start + 50 * SLOT
    history.differs("a", mended, "missing", held=150.0)
    closed: dict[str, Any] = {"asset_id": "a", "slot_start": mended, "quantity": "forecast", "closed_at": NOON}
    row = {"expected_wh": 150.0, "exchange_wh": 150.0, "diagnosis": "missing", "evidence": "", "repair": ""}
    history.put(DiscrepancyRow, [closed | row | {"opened_at": NOON, "run_id": "r"}])
    assert told_of(Walker(history, community(("A", "load")))())["A"] == ("proven", "", "")


@pytest.mark.parametrize("hours_ago", [15 * 24, 400 * 24])
def test_a_store_that_slept_for_weeks_is_told_so(sqlite_store: Store, hours_ago: int) -> None:
    history = History(sqlite_store)
    history.day("a", energies(96), end=NOON - timedelta(hours=hours_ago))
    history.told("a", until=NOON - timedelta(hours=hours_ago))
    one = Walker(history, community(("A", "load")))().standings[0]
    assert told_of(Walker(history, community(("A", "load")))())["A"][:2] == ("blocked", "readings plausible")
    assert one.before is not None
    since = datetime(2026, 3, 2, 12, tzinfo=NOON.tzinfo) - timedelta(hours=hours_ago)
    assert one.before.since == since


@pytest.mark.parametrize(("held", "listed"), [(151.0, False), (150.0, True)], ids=["other value", "listed"])
def test_a_confirmed_slot_that_holds_another_value_since_or_is_listed_counts_no_more(
    sqlite_store: Store, held: float, listed: bool
) -> None:
    history = History(sqlite_store)
    slot = history.day("a", energies(96)) + 50 * SLOT
    if listed:
        # A correction failed: the version before stands and is confirmed, and the slot stays a discrepancy.
        history.differs("a", slot, "refused", held=held)
    else:
        history.held("a", {slot: held})
    (one,) = Walker(history, community(("A", "load")))().standings
    assert one.outcome is Outcome.COLLECTING
    assert one.before is not None
    assert one.before.told.startswith("45 of 96 slots in a row confirmed")
    assert one.before.told.endswith("refused" if listed else "not confirmed")
