import json
from datetime import UTC, datetime, timedelta

import pytest

from pipelines.report.status import status
from pipelines.store import Store, upsert_rows
from pipelines.store.tables import AssetRow, SubmissionRow

QUARTER = timedelta(minutes=15)


def test_a_day_with_its_faults_is_summed_up(store: Store, real_day, log_runs) -> None:
    real_day.write(store)
    log_runs(store)
    found = status(store, real_day.community, start=real_day.start, end=real_day.end)

    sent = sum(s["energy_wh"] for s in real_day.submissions if s["state"] == "confirmed")
    assert (found.assets, found.slots, found.slots_over) == (36, 3600, 3600)
    assert {state: n for state, n in found.submissions["forecast"].items() if n} == {"confirmed": 3599, "expired": 1}
    assert sum(found.submissions["measurement"].values()) == 0
    assert found.energy_sent_wh == pytest.approx(sent, rel=1e-12)
    assert found.energy_confirmed_wh == pytest.approx(sent, rel=1e-12)
    assert (found.open_discrepancies, found.discrepancies) == (1, {"late": 1})
    assert found.closed_discrepancies == {"exchange was restarted": 1}
    assert found.quarantined == 5
    assert found.quarantined_by_expectation == {
        "not_negative": 2,
        "key_not_null": 1,
        "not_from_future": 1,
        "register_not_falling": 1,
        "within_rated_power": 1,
    }
    assert (found.accounted, found.unaccounted.count, found.not_final.count) == (True, 0, 0)
    assert {command: run.outcome for command, run in found.last_run.items()} == {"feed": "failed", "reconcile": "ok"}
    assert found.last_run["feed"].logical_time == real_day.start + QUARTER

    late, gap = found.per_asset[20], found.per_asset[15]
    assert (late.name, late.type, late.slots, late.confirmed, late.open_discrepancies) == (
        "Flat 20",
        "load",
        100,
        99,
        1,
    )
    assert gap.last_accepted_slot == gap.last_measured_slot == datetime(2016, 10, 30, 22, 45, tzinfo=UTC)
    assert gap.sent_wh == pytest.approx(
        sum(s["energy_wh"] for s in real_day.submissions if s["asset_id"] == real_day.uuid(15)), rel=1e-12
    )


def test_of_each_slot_the_highest_version_that_stands_counts(store: Store, make_day) -> None:
    day = make_day(2)
    first, second = day.starts[5], day.starts[6]
    day.submission(0, first, state="superseded", energy_wh=1000.0)
    day.submission(1, second, state="accepted", energy_wh=2000.0)
    template = dict(day.submissions[0])
    day.submissions += [
        template | {"slot_start": first, "version": 1, "state": "accepted", "energy_wh": 7.0},
        template | {"slot_start": first, "version": 2, "state": "superseded", "energy_wh": 9000.0},
        template | {"asset_id": day.uuid(1), "slot_start": second, "version": 1, "state": "pending", "energy_wh": 8.0},
    ]
    day.write(store)
    found = status(store, day.community)
    assert {state: n for state, n in found.submissions["forecast"].items() if n} == {
        "confirmed": 198,
        "accepted": 1,
        "pending": 1,
        "superseded": 2,
    }
    confirmed = sum(s["energy_wh"] for s in day.submissions if s["state"] == "confirmed")
    assert found.energy_confirmed_wh == pytest.approx(confirmed)
    assert found.energy_sent_wh == pytest.approx(confirmed + 7.0)


def test_slots_whose_end_is_unknown_are_listed_with_their_state(store: Store, make_day) -> None:
    day = make_day(3)
    day.submission(0, day.starts[10], state="accepted")
    day.submission(1, day.starts[11], state="sending")
    day.submission(1, day.starts[12], state="expired")
    day.drop(day.submissions, 2, day.starts[13])
    day.write(store)
    found = status(store, day.community)
    assert not found.accounted
    assert found.unaccounted.count == 4
    assert [(key.asset, key.slot_start, key.state) for key in found.unaccounted.first] == [
        ("Flat 0", day.starts[10], "accepted"),
        ("Flat 1", day.starts[11], "sending"),
        ("Flat 1", day.starts[12], "expired"),
        ("Flat 2", day.starts[13], "not planned"),
    ]
    assert [(key.asset, key.state) for key in found.not_final.first] == [("Flat 0", "accepted"), ("Flat 1", "sending")]


def test_a_diagnosis_accounts_for_a_slot_open_or_closed(sqlite_store: Store, make_day) -> None:
    day = make_day(1)
    for index, closed in ((10, None), (11, day.end)):
        day.submission(0, day.starts[index], state="accepted")
        day.discrepancy(0, day.starts[index], closed_at=closed)
    day.submission(0, day.starts[12], state="accepted")
    day.discrepancy(0, day.starts[12], diagnosis="")
    day.write(sqlite_store)
    found = status(sqlite_store, day.community)
    assert [key.slot_start for key in found.unaccounted.first] == [day.starts[12]]
    # A closed discrepancy says that the exchange was mended, which is yet to be confirmed.
    assert [key.slot_start for key in found.not_final.first] == [day.starts[11]]


def test_a_slot_accounted_for_twice_hides_no_other(store: Store, make_day) -> None:
    day = make_day(1, protocol="sdk")
    measurements = [row | {"quantity": "measurement", "state": "accepted"} for row in day.submissions[:8]]
    day.discrepancy(0, day.starts[0], closed_at=day.end)
    day.discrepancy(0, day.starts[0], quantity="measurement", closed_at=day.end)
    day.discrepancy(0, day.starts[1], closed_at=day.end)
    day.discrepancy(0, day.starts[1], quantity="measurement", closed_at=day.end)
    day.submission(0, day.starts[1], state="expired")
    for index in (50, 51, 52):
        day.drop(day.submissions, 0, day.starts[index])
    day.submissions += measurements
    day.write(store)
    found = status(store, day.community)
    assert (found.unaccounted.count, [key.slot_start for key in found.unaccounted.first]) == (3, day.starts[50:53])


def test_slots_that_are_not_over_are_not_missed(sqlite_store: Store, make_day) -> None:
    day = make_day(1)
    for index in range(90, 100):
        day.submission(0, day.starts[index], state="accepted")
    day.write(sqlite_store)
    in_slot_92 = status(sqlite_store, day.community, now=day.starts[92] + timedelta(minutes=14))
    assert (in_slot_92.slots, in_slot_92.slots_over) == (100, 92)
    assert [key.slot_start for key in in_slot_92.unaccounted.first] == day.starts[90:92]
    assert in_slot_92.not_final.count == 2
    assert status(sqlite_store, day.community).unaccounted.count == 10


def test_measurements_end_as_accepted(store: Store, make_day) -> None:
    day = make_day(1, protocol="sdk")
    template = dict(day.submissions[0]) | {"quantity": "measurement"}
    for index, state in ((20, "accepted"), (21, "rejected"), (22, "pending")):
        day.drop(day.submissions, 0, day.starts[index])
        day.submissions.append(template | {"slot_start": day.starts[index], "state": state, "energy_wh": 5000.0})
    day.write(store)
    found = status(store, day.community)
    assert {state: n for state, n in found.submissions["measurement"].items() if n} == {
        "accepted": 1,
        "rejected": 1,
        "pending": 1,
    }
    assert [key.slot_start for key in found.unaccounted.first] == day.starts[21:23]
    assert [(key.quantity, key.slot_start) for key in found.not_final.first] == [("measurement", day.starts[22])]
    assert found.energy_sent_wh == pytest.approx(sum(s["energy_wh"] for s in day.submissions if s["energy_wh"] < 5000))


def test_nothing_is_expected_before_an_asset_is_live(sqlite_store: Store, make_day) -> None:
    day = make_day(3)
    day.live[1]["live_since"] = day.starts[60]
    del day.live[2]
    day.submission(1, day.starts[59], state="accepted")
    day.write(sqlite_store)
    found = status(sqlite_store, day.community)
    assert (found.start, found.end) == (day.start, day.end)
    assert (found.assets, found.slots, found.accounted) == (2, 140, True)
    assert [asset.slots for asset in found.per_asset] == [100, 40]
    assert found.submissions["forecast"]["accepted"] == 0
    part = status(sqlite_store, day.community, start=day.starts[50], end=day.starts[70])
    assert [asset.slots for asset in part.per_asset] == [20, 10]


def test_assets_that_left_the_file_count_no_more(sqlite_store: Store, make_day) -> None:
    day = make_day(2)
    day.write(sqlite_store)
    foreign = dict(day.submissions[0]) | {"asset_id": "gone", "state": "pending"}
    with sqlite_store.writing() as connection:
        upsert_rows(connection, AssetRow, [day.live[0] | {"asset_id": "gone"}])
        upsert_rows(connection, SubmissionRow, [foreign | {"id": 10_000}])
    found = status(sqlite_store, day.community)
    assert (found.assets, found.slots, found.not_final.count) == (2, 200, 0)


def test_suspects_are_counted_by_themselves(sqlite_store: Store, make_day) -> None:
    day = make_day(1)
    day.quarantine(0, day.starts[0], broken="value_present")
    for start in day.starts[1:3]:
        day.quarantine(0, start, verdict="suspect", broken="register_not_falling")
    day.write(sqlite_store)
    found = status(sqlite_store, day.community)
    assert (found.quarantined, found.suspect) == (1, 2)
    assert found.quarantined_by_expectation == {"value_present": 1}


def test_quarantine_of_a_period_is_what_was_stamped_or_received_in_it(store: Store, make_day) -> None:
    day = make_day(1)
    month_before = day.start - timedelta(days=30)
    day.quarantine(0, day.end, broken="stamped on the end")
    day.quarantine(0, day.start + timedelta(days=900), broken="future stamp, received in the period")
    day.quarantine(0, None, received_at=month_before, broken="no stamp")
    day.quarantine(0, month_before, received_at=month_before, broken="stamped and received before")
    day.quarantine(0, day.starts[1], verdict="released", broken="released")
    day.quarantine(99, day.starts[1], broken="of a stream that left the file")
    day.write(store)
    assert status(store, day.community).quarantined == 4
    of_day = status(store, day.community, start=day.start, end=day.end)
    assert set(of_day.quarantined_by_expectation) == {
        "stamped on the end",
        "future stamp",
        "received in the period",
        "no stamp",
    }
    before = status(store, day.community, start=month_before, end=month_before + timedelta(days=1))
    assert set(before.quarantined_by_expectation) == {"no stamp", "stamped and received before"}


def test_lists_are_cut_but_counts_are_whole(sqlite_store: Store, make_day) -> None:
    day = make_day(3)
    for row in day.submissions:
        row["state"] = "pending"
    day.write(sqlite_store)
    found = status(sqlite_store, day.community)
    assert (found.not_final.count, len(found.not_final.first)) == (300, 10)
    assert [key.slot_start for key in found.not_final.first[:4]] == [*day.starts[:1] * 3, day.starts[1]]
    assert (found.unaccounted.count, len(found.unaccounted.first)) == (300, 100)


def test_an_empty_store_has_a_status(store: Store, make_day) -> None:
    found = status(store, make_day(36).community)
    assert (found.start, found.end, found.assets, found.slots) == (None, None, 0, 0)
    assert (found.accounted, found.energy_sent_wh, found.per_asset) == (True, 0.0, ())


def test_it_goes_into_json(sqlite_store: Store, make_day, log_runs) -> None:
    day = make_day(2)
    day.write(sqlite_store)
    log_runs(sqlite_store)
    read = json.loads(json.dumps(status(sqlite_store, day.community).to_dict(), allow_nan=False))
    assert read["start"] == "2016-10-29T22:00:00Z"
    assert read["per_asset"][1]["last_accepted_slot"] == "2016-10-30T22:45:00Z"
    assert read["last_run"]["feed"] == {"outcome": "failed", "logical_time": "2016-10-29T22:15:00Z"}
