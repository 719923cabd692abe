"""What the page says is wrong: the rows of the store become few problems in words."""

import re
from datetime import timedelta

import pytest

from pipelines.report.run import write_report
from pipelines.store import Store, finish_run, start_run
from tests.report.reading import section, text_of
from tests.report.weeks import END, NOW, SLOTS, START, log_runs, real_weeks, weeks_of


def written(store: Store, weeks, folder, **changed) -> str:
    arguments = {"start": START, "end": END, "now": NOW} | changed
    path = write_report(store, weeks.community, path=folder / "report.html", **arguments)
    return path.read_text(encoding="utf-8")


def problems(page: str) -> list[str]:
    """The problems' texts, in order."""
    return [text_of(part) for part in section(page, "wrong").split('<li class="problem')[1:]]


def test_all_of_it_on_both_databases(store: Store, tmp_path) -> None:
    told = real_weeks()
    told.write(store)
    log_runs(store)
    page = written(store, told, tmp_path)
    assert [one.split(" Since")[0].split(" Where")[0] for one in problems(page)] == [
        "✕ Act Flat 13: no readings since Wed 11 Mar 2026 07:00 CET (31 h)",
        "✕ Act Flat 11: more power than the rating allows",
        "✕ Act Flat 9: negative value of a one-way meter",
        "✕ Act Flat 20: the exchange has another value (differs)",
        "! Look Flat 25: the same value again and again",
        "! Look 2 assets: gaps in the readings",
        "! Look PV roof 2: at zero for long",
        "! Look Flat 21: outside the usual range",
        "! Look Flat 16, Flat 17, Flat 18 and 2 others: unusual energy of a day",
        "i Know Flat 33: not read back in time",
    ]
    # 124 slots of 13, 24 of 15 and 6 of 30.
    assert "Backed by readings 97.1 % 154 of 5,472 slots not whole" in text_of(section(page, "figures"))
    flat = text_of(section(page, "each").split("Flat 15</a>")[1])
    assert "128 measured, 12 substituted, 8 estimated and 4 missing 84.2 % 1 24 rows last value 26 % nearer" in flat


@pytest.fixture
def weeks():
    """Two days of six assets on which all went well."""
    return weeks_of(6)


def test_a_silent_meter_is_one_problem_however_many_slots_it_lacks(sqlite_store: Store, weeks, tmp_path) -> None:
    for slot in SLOTS[28:]:
        weeks.drop(weeks.slots, 3, slot)
        weeks.discrepancy(3, slot, diagnosis="no local value", expected_wh=None, exchange_wh=0.0)
    weeks.find(3, "slot_covered", range(28, 96), value=0.0, low=0.999)
    weeks.write(sqlite_store)
    found = problems(written(sqlite_store, weeks, tmp_path))
    assert len(found) == 1
    assert "✕ Act Flat 3: no readings since Wed 11 Mar 2026 07:00 CET (31 h)" in found[0]
    assert "124 slots of 1 asset" in found[0]
    assert "slotfeed backfill --start 2026-03-11 --end 2026-03-13" in found[0]


def test_meters_of_a_source_that_fell_silent_together_are_one_problem(sqlite_store: Store, weeks, tmp_path) -> None:
    for n in (1, 2, 4, 5):
        for slot in SLOTS[100:]:
            weeks.drop(weeks.slots, n, slot)
    for slot in SLOTS:
        weeks.drop(weeks.slots, 3, slot)
    weeks.write(sqlite_store)
    found = problems(written(sqlite_store, weeks, tmp_path))
    assert len(found) == 2
    assert "Flat 1, Flat 2, Flat 4 and 1 other: no readings since Thu 12 Mar 2026 01:00 CET (13 h)" in found[0]
    assert "208 slots of 4 assets" in found[0]
    assert "Flat 3: no reading ever (38 h)" in found[1]


def test_two_quiet_hours_are_no_silence_yet(sqlite_store: Store, weeks, tmp_path) -> None:
    for slot in SLOTS[-8:]:
        weeks.drop(weeks.slots, 3, slot)
    weeks.write(sqlite_store)
    (found,) = problems(written(sqlite_store, weeks, tmp_path))
    assert "! Look Flat 3: gaps in the readings" in found
    assert "Flat 3, Thu 12 Mar 12:00 to 14:00 CET (2 h)" in found
    assert "8 slots not backed whole by readings" in found


def test_gaps_tell_the_longest_of_each_asset(sqlite_store: Store, weeks, tmp_path) -> None:
    for index in range(40, 50):
        weeks.slot(4, index, quality="SUBSTITUTED", coverage=0.0)
    for index in (60, 61):
        weeks.slot(4, index, quality="ESTIMATED", coverage=0.0)
    weeks.drop(weeks.slots, 2, SLOTS[70])
    # A register that tells only each hour backs every slot, but substitutes its course.
    weeks.slot(5, 20, quality="SUBSTITUTED", coverage=1.0)
    weeks.write(sqlite_store)
    (found,) = problems(written(sqlite_store, weeks, tmp_path))
    assert "! Look 2 assets: gaps in the readings" in found
    assert "Flat 4, Wed 11 Mar 10:00 to 12:30 CET (2 h 30 min) and 1 shorter one; Flat 2," in found
    assert "13 slots not backed whole by readings" in found


def test_broken_checks_are_told_by_check_and_not_twice(sqlite_store: Store, weeks, tmp_path) -> None:
    weeks.find(1, "stale_run", range(10, 34), value=24.0, high=7.0)
    for n in (2, 3, 4, 5):
        weeks.find(n, "day_usage", [0], value=2.5, high=2.0)
    weeks.find(2, "read_back_fresh", [50], suite="exchange_match", severity="inform")
    weeks.find(3, "exchange_equal", [60], suite="exchange_match", value=9.0, high=0.02)
    weeks.discrepancy(3, SLOTS[60], expected_wh=10.0, exchange_wh=1010.0, diagnosis="differs", repair="Ask")
    weeks.find(4, "zero_run", [20], closed_at=END)
    weeks.find(1, "new_check", [90], severity="reject", suite="slot_energy")
    weeks.write(sqlite_store)
    found = problems(written(sqlite_store, weeks, tmp_path))
    assert [one.split(" Since")[0] for one in found] == [
        "✕ Act Flat 1: new_check",
        "✕ Act Flat 3: the exchange has another value (differs)",
        "! Look Flat 1: the same value again and again",
        "! Look Flat 2, Flat 3, Flat 4 and 1 other: unusual energy of a day",
        "i Know Flat 2: not read back in time",
    ]
    assert "1 slot, 1.00 kWh apart" in found[1]
    # What concerns one asset leads to its details, the rest to the table.
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    links = re.findall(r'class="screen" href="#([^"]+)"', section(page, "wrong"))
    places = {name: place for place, name in re.findall(r'id="(asset-\d+)".*?<h3>(.*?)</h3>', page, re.DOTALL)}
    assert links == [places["Flat 1"], "discrepancies", places["Flat 1"], "checks", places["Flat 2"]]
    assert "24 slots, the last on Wed 11 Mar 2026 08:15 CET" in found[2]
    assert "slotfeed findings --asset 'Flat 1'" in found[2]
    assert "4 days of 4 assets" in found[3]


def test_what_is_only_good_to_know_leaves_all_well(sqlite_store: Store, weeks, tmp_path) -> None:
    weeks.find(2, "read_back_fresh", [50], suite="exchange_match", severity="inform")
    weeks.write(sqlite_store)
    text = text_of(section(written(sqlite_store, weeks, tmp_path), "fine"))
    assert "✓ Yes. Nothing needs you." in text


def test_quarantine_is_told_by_what_was_broken(sqlite_store: Store, weeks, tmp_path) -> None:
    for index in (10, 11, 12):
        weeks.quarantine(2, SLOTS[index], received_at=SLOTS[index + 1])
    weeks.quarantine(3, SLOTS[9], received_at=SLOTS[20])
    weeks.quarantine(4, SLOTS[30], verdict="suspect", received_at=SLOTS[31])
    weeks.find(2, "not_negative", [10, 11, 12], suite="readings", severity="reject", value=-12.0)
    weeks.write(sqlite_store)
    (found,) = problems(written(sqlite_store, weeks, tmp_path))
    assert "✕ Act Flat 2 and Flat 3: negative value of a one-way meter" in found
    assert "Since Wed 11 Mar 2026 02:15 CET" in found
    assert "4 readings in quarantine" in found
    assert "slotfeed quarantine list" in found


def test_more_than_ten_problems_are_counted(sqlite_store: Store, weeks, tmp_path) -> None:
    names = ("day_spike", "day_usage", "slot_demand", "demand_jump", "zero_run", "stale_run", "usual_range",
             "estimated_run", "register_sum", "siblings_present", "slots_in_day", "slot_sound")  # fmt: skip
    for place, name in enumerate(names):
        weeks.find(1, name, [place])
    weeks.write(sqlite_store)
    page = written(sqlite_store, weeks, tmp_path)
    assert len(problems(page)) == 10
    assert "and 2 more of less weight" in text_of(section(page, "wrong"))
    # The newest come first.
    assert "slot's energy makes no sense" in problems(page)[0].replace("&#39;", "'")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [("failed", "✕ Act The last reconcile failed"), ("incomplete", "! Look The last reconcile left something undone")],
)
def test_runs_that_fail_are_told(sqlite_store: Store, weeks, tmp_path, outcome: str, expected: str) -> None:
    weeks.write(sqlite_store)
    log_runs(sqlite_store, reconcile=outcome)
    (found,) = problems(written(sqlite_store, weeks, tmp_path))
    assert found.startswith(expected)
    assert "slotfeed reconcile" in found


def test_a_feed_that_does_not_come_is_told_while_the_period_lasts(sqlite_store: Store, weeks, tmp_path) -> None:
    weeks.write(sqlite_store)
    at = NOW - timedelta(hours=5)
    finish_run(sqlite_store, start_run(sqlite_store, "feed", logical_time=at, now=at), outcome="ok", summary={}, now=at)
    (found,) = problems(written(sqlite_store, weeks, tmp_path))
    assert "✕ Act No feed for 5 h" in found
    # Of a period long past it says nothing.
    assert problems(written(sqlite_store, weeks, tmp_path, end=END - timedelta(hours=3))) == []


def test_who_was_heard_of_until_the_last_feed_is_not_called_silent(sqlite_store: Store, weeks, tmp_path) -> None:
    for n in range(6):
        for slot in SLOTS[100 if n == 3 else -20 :]:
            weeks.drop(weeks.slots, n, slot)
    weeks.write(sqlite_store)
    at = SLOTS[-20] + timedelta(minutes=17)
    finish_run(sqlite_store, start_run(sqlite_store, "feed", logical_time=at, now=at), outcome="ok", summary={}, now=at)
    found = problems(written(sqlite_store, weeks, tmp_path))
    assert [one.split(" Since")[0][:30] for one in found if "No feed" in one or "no readings" in one] == [
        "✕ Act No feed for 4 h 48 min",
        "✕ Act Flat 3: no readings sinc",
    ]


def test_slots_that_nothing_is_known_of_are_told(sqlite_store: Store, weeks, tmp_path) -> None:
    weeks.submission(2, SLOTS[7], state="accepted")
    weeks.drop(weeks.submissions, 3, SLOTS[8])
    weeks.write(sqlite_store)
    (found,) = problems(written(sqlite_store, weeks, tmp_path))
    assert "✕ Act 2 slots at the exchange not proven yet" in found
    assert "Flat 2 and Flat 3" in found
    assert "slotfeed reconcile --start 2026-03-11" in found


def test_a_name_stays_one_argument_of_the_command(sqlite_store: Store, tmp_path) -> None:
    weeks = weeks_of(8, SLOTS[:8])
    weeks.find(7, "stale_run", [3])
    weeks.write(sqlite_store)
    (found,) = problems(written(sqlite_store, weeks, tmp_path, end=SLOTS[8], now=SLOTS[8]))
    name = weeks.community.assets[7].name.replace("'", "'\\''")
    assert f"slotfeed findings --asset '{name}'" in found
