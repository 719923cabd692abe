"""What repairs leave, on the page: measurements that stand refused, and slots that are lost."""

from pathlib import Path

from pipelines.report.run import write_report
from pipelines.report.status import status
from pipelines.store import Store
from tests.report.days import submission_row
from tests.report.reading import section, text_of
from tests.report.weeks import END, NOW, SLOTS, START, Weeks, log_runs, weeks_of


def page_of(store: Store, weeks: Weeks, folder: Path) -> str:
    weeks.write(store)
    log_runs(store)
    path = write_report(store, weeks.community, start=START, end=END, now=NOW, path=folder / "report.html")
    return path.read_text(encoding="utf-8")


def problems(page: str) -> list[str]:
    return [text_of(part) for part in section(page, "wrong").split('<li class="problem')[1:]]


def test_lost_slots_are_told_with_their_energy_and_are_not_open(sqlite_store: Store, tmp_path: Path) -> None:
    weeks = weeks_of(6)
    lost = {"lost_at": END, "lost_reason": "the market counted 0.00 Wh", "diagnosis": "late", "exchange_wh": 0.0}
    for index in range(4):
        weeks.discrepancy(2, SLOTS[index], expected_wh=250.0, **lost)
    weeks.discrepancy(3, SLOTS[9], expected_wh=1000.0, **lost)
    page = page_of(sqlite_store, weeks, tmp_path)
    (told,) = problems(page)
    assert told.startswith("i Know Flat 2 and Flat 3: 5 slots lost at the exchange")
    assert "2.00 kWh that the market counted wrongly for good" in told
    table = text_of(section(page, "discrepancies"))
    assert "No discrepancies are open." in table
    assert "together they are 2.0 kWh apart" in table
    assert table.count("the market counted 0.00 Wh") == 5
    assert "nothing else differs, 5 are lost" in text_of(page)
    found = status(sqlite_store, weeks.community, start=START, end=END)
    assert (found.open_discrepancies, found.lost_discrepancies, found.lost_wh) == (0, 5, 2000.0)


def test_a_lost_slot_that_agrees_after_all_is_closed_and_one_that_differs_anew_is_open(
    sqlite_store: Store, tmp_path: Path
) -> None:
    weeks = weeks_of(6)
    lost = {"lost_at": SLOTS[20], "lost_reason": "so"}
    weeks.discrepancy(2, SLOTS[0], **lost, closed_at=SLOTS[30])
    weeks.discrepancy(2, SLOTS[1], **lost, opened_at=SLOTS[30])
    page_of(sqlite_store, weeks, tmp_path)
    found = status(sqlite_store, weeks.community, start=START, end=END)
    assert (found.open_discrepancies, found.closed_discrepancies, found.lost_discrepancies) == (1, {"late": 1}, 0)


def test_measurements_that_stand_refused_need_somebody(sqlite_store: Store, tmp_path: Path) -> None:
    weeks = weeks_of(6)
    for index in range(3):
        row = submission_row(weeks.uuid(4), SLOTS[index], 5.0, quantity="measurement", closes_at=None)
        weeks.submissions.append(row | {"state": "rejected", "error": "403: no connection"})
    # This one's newer version was taken.
    row = submission_row(weeks.uuid(5), SLOTS[7], 5.0, quantity="measurement", closes_at=None)
    weeks.submissions += [row | {"state": "rejected", "error": "403"}, row | {"version": 1, "state": "accepted"}]
    for one in weeks.submissions:
        one.setdefault("error", "")
    (told,) = problems(page_of(sqlite_store, weeks, tmp_path))
    assert told.startswith("✕ Act Flat 4: the exchange refuses measurements")
    assert "3 measurements that the exchange doesn't have" in told
    assert "403: no connection" in told
    assert "slotfeed reconcile --repair" in told
