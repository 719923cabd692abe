"""What the watch sees in a store: each alarm raised by its cause, and by nothing near it."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from pipelines.community import Community
from pipelines.frames import Quantity, State
from pipelines.store import (
    AccountRow,
    AssetRow,
    Cursor,
    DiscrepancyRow,
    IncidentRow,
    QualityDayRow,
    ReadingRow,
    RunRow,
    Store,
    SubmissionRow,
    Verdict,
    insert_rows,
    table_of,
    upsert_rows,
)
from pipelines.watch import Alarm, Kind, mark_told, standing, untold, watch
from tests.conftest import SLOT, small_community

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LOADS = ("load-1", "load-2")
ALL = (*LOADS, "pv-1")


@pytest.fixture
def community() -> Community:
    community = small_community("sdk")
    section = community.community.model_copy(update={"time_zone": "Europe/Berlin"})
    return community.model_copy(update={"community": section})


def put(store: Store, model: Any, *rows: dict[str, Any]) -> None:
    with store.writing() as connection:
        upsert_rows(connection, model, list(rows))


def live(store: Store, since: datetime) -> None:
    put(store, AssetRow, *({"asset_id": a, "name": a.upper(), "live_since": since, "run_id": "r"} for a in ALL))


def heard(store: Store, **positions: datetime) -> None:
    rows = [
        {"stream_id": f"meters/{asset.replace('_', '-')}/-", "position": at, "updated_at": at, "run_id": "r"}
        for asset, at in positions.items()
    ]
    put(store, Cursor, *rows)


def all_heard(store: Store, at: datetime) -> None:
    heard(store, load_1=at, load_2=at, pv_1=at)


def fed(
    store: Store, at: datetime, outcome: str = "ok", *, share: str = "1/1", release: str = "1", **summary: object
) -> None:
    times = {"logical_time": at, "started_at": at}
    row = {"run_id": f"feed-{at}-{share}", "command": "feed", "outcome": outcome, "summary": summary}
    put(store, RunRow, row | times | {"share": share, "release": release})


def sent(store: Store, asset: str, slot: datetime, state: State, error: str = "", *, version: int = 0) -> None:
    row = {
        "asset_id": asset,
        "slot_start": slot,
        "quantity": Quantity.FORECAST.value,
        "version": version,
        "energy_wh": 10.0,
        "source_slot": slot - 2 * SLOT,
        "quality": "MEASURED",
        "method": "persistence",
        "state": state.value,
        "error": error,
        "created_at": slot,
        "run_id": "r",
    }
    with store.writing() as connection:
        insert_rows(connection, SubmissionRow, [row])


def all_sent(store: Store, now: datetime) -> None:
    for number in range(4):
        for asset in ALL:
            sent(store, asset, now - number * SLOT, State.ACCEPTED)


@pytest.fixture
def well(store: Store, noon: datetime) -> datetime:
    """A store in which all is well at 12:10; returns that time."""
    live(store, noon - DAY)
    all_heard(store, noon - SLOT)
    fed(store, noon + timedelta(minutes=2))
    all_sent(store, noon)
    return noon + timedelta(minutes=10)


def look(store: Store, community: Community, now: datetime, *more: Alarm) -> dict[tuple[Kind, str], str]:
    watch(store, community, more=more, now=now, run_id="w")
    return {(one.kind, one.subject): one.told for one in standing(store)}


def test_nothing_is_wrong(store: Store, community: Community, well: datetime) -> None:
    assert look(store, community, well) == {}
    assert untold(store) == []


def test_an_empty_store_raises_nothing(store: Store, community: Community, noon: datetime) -> None:
    assert look(store, community, noon) == {}


def test_a_silent_meter_and_a_silent_source_are_told_apart(store: Store, community: Community, well: datetime) -> None:
    heard(store, load_2=well - 2 * HOUR - timedelta(minutes=1))
    assert look(store, community, well) == {
        (Kind.ASSET_SILENT, "asset 'LOAD-2' (load-2)"): "nothing new from meters/load-2/- since 2026-03-02 10:09 UTC"
    }
    all_heard(store, well - 3 * HOUR)
    found = look(store, community, well)
    assert found[Kind.SOURCE_SILENT, "source 'meters'"].startswith("nothing new from any of its 3 streams since 2026-")


def test_a_meter_that_never_spoke_is_silent_since_its_asset_is_live(
    store: Store, community: Community, noon: datetime
) -> None:
    live(store, noon)
    heard(store, load_1=noon + 2 * HOUR, pv_1=noon + 2 * HOUR)
    for asset in ALL:
        sent(store, asset, noon + 2 * HOUR, State.ACCEPTED)
    assert look(store, community, noon + 2 * HOUR) == {}
    sent(store, "load-1", noon + 2 * HOUR + SLOT, State.ACCEPTED)
    found = look(store, community, noon + 2 * HOUR + timedelta(minutes=16))
    assert list(found) == [(Kind.ASSET_SILENT, "asset 'LOAD-2' (load-2)")]


def test_a_pv_plant_may_sleep_at_night_and_not_by_day(store: Store, community: Community) -> None:
    # Berlin in March: dark from about 17:15 UTC to 5:20 UTC.
    evening = datetime.fromisoformat("2026-03-02T16:30Z")
    live(store, evening - DAY)
    for at, expected in (("2026-03-03T06:00Z", False), ("2026-03-03T08:00Z", True)):
        now = datetime.fromisoformat(at)
        heard(store, load_1=now, load_2=now, pv_1=evening)
        for asset in ALL:
            sent(store, asset, now, State.ACCEPTED)
        assert ((Kind.ASSET_SILENT, "asset 'PV-1' (pv-1)") in look(store, community, now)) is expected


def test_an_account_that_is_asked_seldom_is_not_silent_between(
    store: Store, community: Community, well: datetime
) -> None:
    all_heard(store, well - 5 * HOUR)
    account = {"account": "meters", "polled_at": well - 4 * HOUR, "next_poll_at": well + HOUR}
    put(store, AccountRow, account)
    assert look(store, community, well) == {}
    put(store, AccountRow, account | {"next_poll_at": well - HOUR})
    assert list(look(store, community, well)) == [(Kind.SOURCE_SILENT, "source 'meters'")]


def test_a_feed_that_does_not_run_and_a_login_that_is_refused(
    store: Store, community: Community, well: datetime
) -> None:
    fed(store, well - timedelta(minutes=1), "failed", error="login: refused (401)", error_type="AuthenticationError")
    assert look(store, community, well) == {(Kind.LOGIN_REFUSED, ""): "login: refused (401)"}
    later = well + 2 * SLOT
    all_heard(store, later)
    all_sent(store, later - timedelta(minutes=10))
    found = look(store, community, later)
    assert found[Kind.FEED_MISSING, ""] == "the last was at 2026-03-02 12:09 UTC"


def of_feeds(store: Store, community: Community, now: datetime) -> dict[tuple[Kind, str], str]:
    all_heard(store, now)
    kinds = {Kind.FEED_MISSING, Kind.FEED_DOUBLED, Kind.SHARES_MIXED, Kind.RELEASES_MIXED}
    return {key: told for key, told in look(store, community, now).items() if key[0] in kinds}


def test_a_share_that_nobody_carries(store: Store, community: Community, well: datetime) -> None:
    day = well + DAY
    for number in range(4):
        now = day + number * SLOT
        fed(store, now, share="1/3")
        fed(store, now, share="3/3")
        found = of_feeds(store, community, now + timedelta(minutes=8))
        # The second has two slots' time to come.
        assert list(found) == ([(Kind.FEED_MISSING, "share 2/3")] if number > 1 else [])
    assert "none has begun since 2026-03-03 12:" in found[Kind.FEED_MISSING, "share 2/3"]
    # An incident ends when it has been away for half an hour.
    for _ in range(4):
        now += SLOT
        for share in ("1/3", "2/3", "3/3"):
            fed(store, now, share=share)
        found = of_feeds(store, community, now + timedelta(minutes=8))
    assert found == {}


def test_two_feeds_in_each_slot(store: Store, community: Community, well: datetime) -> None:
    day = well + DAY
    for number in range(6):
        now = day + number * SLOT
        fed(store, now)
        # Once by hand is nothing.
        if number not in {0, 5}:
            fed(store, now + timedelta(minutes=1))
        found = of_feeds(store, community, now + timedelta(minutes=2))
        assert list(found) == ([(Kind.FEED_DOUBLED, "")] if number == 5 else []), number
    assert found[Kind.FEED_DOUBLED, ""] == "2 or more in each of the last 4 slots of 15 min"


@pytest.mark.parametrize("outcome", ["failed", "running", "incomplete"])
def test_a_feed_that_is_done_again_after_each_that_fails_or_dies_is_no_second_one(
    store: Store, community: Community, well: datetime, outcome: str
) -> None:
    day = well + DAY
    for number in range(6):
        now = day + number * SLOT
        fed(store, now, outcome)
        fed(store, now + timedelta(minutes=1), rest=True)
    assert of_feeds(store, community, now + timedelta(minutes=2)) == {}


def test_shares_of_two_numbers_and_workers_of_two_releases(store: Store, community: Community, well: datetime) -> None:
    day = well + DAY
    fed(store, day, share="1/2", release="0.1.0")
    fed(store, day + timedelta(seconds=1), share="2/3", release="0.2.0")
    assert of_feeds(store, community, day + timedelta(minutes=2)) == {
        (Kind.SHARES_MIXED, ""): "feeds of the last 2 slots part the community into 2 and 3",
        (Kind.RELEASES_MIXED, ""): "feeds of the last 2 slots are of slotfeed 0.1.0 and 0.2.0",
    }
    later = day + 3 * SLOT
    for share in ("1/3", "2/3", "3/3"):
        fed(store, later, share=share, release="0.2.0")
    assert of_feeds(store, community, later + timedelta(minutes=2)) == {}


def test_a_slot_without_any_value_is_one_alarm_and_an_asset_that_misses_four_is_another(
    store: Store, community: Community, well: datetime
) -> None:
    slot = well - timedelta(minutes=10) + SLOT
    for asset in ALL:
        sent(store, asset, slot, State.EXPIRED, "not sent in time")
    now = slot + timedelta(minutes=5)
    fed(store, slot)
    assert look(store, community, now) == {
        (Kind.SLOT_UNDELIVERED, ""): "no asset's value stood when slot 2026-03-02 12:15 UTC began"
    }
    # The slot after has values again, save of one that has missed this one alone.
    for asset in LOADS:
        sent(store, asset, slot + SLOT, State.ACCEPTED)
    sent(store, "pv-1", slot + SLOT, State.REJECTED, "unknown asset")
    fed(store, slot + SLOT)
    quiet = now + timedelta(minutes=45)
    all_heard(store, quiet)
    watch(store, community, now=slot + SLOT + timedelta(minutes=5), run_id="w")
    assert [one.kind for one in standing(store)] == [Kind.SLOT_UNDELIVERED]
    for number in (2, 3):
        for asset in LOADS:
            sent(store, asset, slot + number * SLOT, State.ACCEPTED)
        sent(store, "pv-1", slot + number * SLOT, State.REJECTED, "unknown asset")
    fed(store, slot + 3 * SLOT)
    found = look(store, community, slot + 3 * SLOT + timedelta(minutes=5))
    assert found == {
        (Kind.ASSET_UNDELIVERED, "asset 'PV-1' (pv-1)"): "none of the last 4 slots reached the exchange: unknown asset"
    }


def test_a_correction_that_failed_leaves_a_slot_delivered(store: Store, community: Community, well: datetime) -> None:
    slot = well - timedelta(minutes=10)
    for asset in ALL:
        sent(store, asset, slot, State.EXPIRED, "not sent in time", version=1)
    assert look(store, community, well) == {}


def test_coverage_is_held_against_the_week_before(store: Store, community: Community, well: datetime) -> None:
    def day(asset: str, number: int, measured: int) -> dict[str, Any]:
        names = ("slots_substituted", "slots_estimated", "rejected", "flagged", "informed", "forecast_slots")
        zeros = dict.fromkeys((*names, "exchange_compared", "exchange_differs"), 0)
        sums = dict.fromkeys(("energy_wh", "forecast_error_wh", "persistence_error_wh"), 0.0)
        own = {"day": date(2026, 2, number), "asset_id": asset, "slots_expected": 96, "slots_measured": measured}
        return own | zeros | sums | {"slots_missing": 96 - measured, "computed_at": well, "run_id": "q"}

    days = [day(asset, number, 96) for asset in ALL for number in range(20, 28)]
    put(store, QualityDayRow, *days, day("load-1", 27, 86), day("load-2", 27, 87))
    # A tenth of 96 slots is 9.6.
    assert look(store, community, well) == {
        (Kind.COVERAGE_FALLING, "asset 'LOAD-1' (load-1)"): "90% of 2026-02-27 is measured, of the week before 100%"
    }


def test_quarantine_is_held_against_the_week_before(store: Store, community: Community, well: datetime) -> None:
    def rows(count: int, at: datetime, verdict: Verdict = Verdict.QUARANTINED) -> None:
        some = {"stream_id": "meters/load-1/-", "kind": "register", "value": 1.0, "unit": "Wh", "quality": "MEASURED"}
        put(
            store,
            ReadingRow,
            *(
                some | {"ts": at + timedelta(seconds=n), "received_at": at, "verdict": verdict.value, "run_id": "r"}
                for n in range(count)
            ),
        )

    rows(20, well - HOUR)
    rows(100, well - 2 * HOUR, Verdict.GOOD)
    assert look(store, community, well) == {}
    rows(5, well - 3 * HOUR)
    told = "25 readings of the last 24 hours wait in quarantine, before 0 a day"
    assert look(store, community, well) == {(Kind.QUARANTINE_GROWING, ""): told}
    rows(7 * 9, well - 3 * DAY)
    assert look(store, community, well + timedelta(minutes=31)).get((Kind.QUARANTINE_GROWING, "")) is None


def test_open_discrepancies_age_and_closed_or_lost_ones_do_not(
    store: Store, community: Community, well: datetime
) -> None:
    def row(number: int, **more: Any) -> dict[str, Any]:
        return {
            "asset_id": "load-1",
            "slot_start": well - 3 * DAY + number * SLOT,
            "quantity": "forecast",
            "expected_wh": 1.0,
            "exchange_wh": 0.0,
            "diagnosis": "missing",
            "evidence": "",
            "repair": "",
            "opened_at": well - 25 * HOUR,
            "closed_at": None,
            "lost_at": None,
            "run_id": "c",
        } | more

    put(store, DiscrepancyRow, row(0, closed_at=well), row(1, lost_at=well), row(2, opened_at=well - 23 * HOUR))
    assert look(store, community, well) == {}
    put(store, DiscrepancyRow, row(3), row(4))
    assert look(store, community, well) == {
        (Kind.DISCREPANCIES_AGEING, "cause 'missing'"): "2 slots stand open, the oldest since 2026-03-01 11:10 UTC"
    }


def test_a_stopped_account_is_told_with_its_reason(store: Store, community: Community, well: datetime) -> None:
    stopped = {"account": "meters", "stopped_at": well, "stopped_until": well + HOUR, "reason": "key refused"}
    put(store, AccountRow, stopped, stopped | {"account": "no longer in the file"})
    assert look(store, community, well) == {
        (Kind.ACCOUNT_STOPPED, "source 'meters'"): "not asked until 2026-03-02 13:10 UTC: key refused"
    }


def test_an_incident_begins_once_and_ends_once_and_each_is_told_once(
    store: Store, community: Community, well: datetime
) -> None:
    full = Alarm(kind=Kind.DISK_FULL, subject="", told="0.1 GB free")
    look_again(store, community, well, full)
    look_again(store, community, well + SLOT, Alarm(kind=Kind.DISK_FULL, subject="", told="0.0 GB free"))
    [began] = untold(store)
    assert (began.opened_at, began.closed_at, began.told) == (well, None, "0.0 GB free")
    mark_told(store, [began], now=well + SLOT)
    assert untold(store) == []
    # Away for a moment, then back: the same incident.
    after = well + SLOT
    for minutes, *alarms in ((15,), (20, full), (35,)):
        assert len(look_again(store, community, after + timedelta(minutes=minutes), *alarms)) == 1
    assert untold(store) == []
    gone = after + timedelta(minutes=50)
    assert look_again(store, community, gone) == []
    [ended] = untold(store)
    assert (ended.id, ended.opened_at, ended.closed_at) == (began.id, well, gone)
    mark_told(store, [ended], now=gone)
    assert untold(store) == []
    # What comes back after its end is another.
    look_again(store, community, gone + SLOT, full)
    [anew] = untold(store)
    assert anew.id != began.id
    with store.reading() as connection:
        assert len(connection.execute(select(table_of(IncidentRow).c.id)).all()) == 2


def look_again(store: Store, community: Community, now: datetime, *more: Alarm) -> list[Any]:
    """A look at a time at which all else is well."""
    all_heard(store, now)
    fed(store, now)
    start = now.replace(minute=now.minute // 15 * 15)
    all_sent(store, start)
    watch(store, community, more=more, now=now, run_id="w")
    return [one for one in standing(store) if one.kind is Kind.DISK_FULL]
