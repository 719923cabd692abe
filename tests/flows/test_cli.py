"""The commands as a user types them, against a real exchange process and real databases."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, func, select, text
from sqlmodel import col

from pipelines.frames import State
from pipelines.store import AssetRow, ReadingRow, SlotEnergyRow, SubmissionRow, Verdict

Place = Any
Command = Callable[..., tuple[int, str]]
SLOT = timedelta(minutes=15)
AT = "2016-10-29T21:47Z"
NEXT = "2016-10-29T22:02Z"


def count(place: Place, model: Any, *where: Any) -> int:
    with place.store() as store, store.reading() as connection:
        number: int = connection.execute(select(func.count()).select_from(model).where(*where)).scalar_one()
        return number


def states(place: Place) -> dict[str, int]:
    with place.store() as store, store.reading() as connection:
        state = col(SubmissionRow.state)
        return dict(connection.execute(select(state, func.count()).group_by(state)).all())  # type: ignore[arg-type]


def test_the_release_is_told_without_a_community(slotfeed: Command) -> None:
    assert slotfeed("--version") == (0, f"slotfeed {version('slotfeed')}\n")


def test_feed_reconcile_status_report_from_an_empty_folder(place: Place, slotfeed: Command) -> None:
    status, told = slotfeed("feed", "--at", AT)
    assert (status, "the exchange took 36 values" in told) == (0, True), told
    assert states(place) == {State.ACCEPTED: 36}

    place.live_until(place_time(1))
    status, told = slotfeed("feed", "--at", NEXT)
    assert status == 0, told
    place.live_until(place_time(3))

    status, told = slotfeed("reconcile", "--at", "2016-10-29T22:32Z")
    assert status == 0, told
    assert "compared 72 slots" in told
    assert "72 agree, 0 differ" in told
    assert "No discrepancy is open" in told

    status, told = slotfeed("status", "--json")
    summary = json.loads(told)
    assert (summary["assets"], summary["slots"], summary["accounted"]) == (36, 72, True)
    assert summary["submissions"]["forecast"]["confirmed"] == 72

    status, told = slotfeed("report", "--output", place.folder / "r.html")
    assert status == 0, told
    assert "LV1.111" in (place.folder / "r.html").read_text()


def place_time(slots: int) -> datetime:
    return datetime(2016, 10, 29, 21, 47, tzinfo=UTC) + slots * SLOT


def test_a_dry_run_shows_the_difference_and_sends_nothing(place: Place, slotfeed: Command) -> None:
    status, told = slotfeed("feed", "--at", AT, "--dry-run")
    assert status == 0, told
    assert "would send" in told
    assert "2016-10-30 00:00 CEST" in told
    assert (count(place, SubmissionRow), count(place, AssetRow)) == (0, 0)
    journal = place.exchange.get("/sandbox/journal").text
    assert "set_energy_forecast" not in journal


def test_feeding_twice_sends_once(place: Place, slotfeed: Command) -> None:
    slotfeed("feed", "--at", AT)
    status, told = slotfeed("feed", "--at", AT)
    assert status == 0, told
    assert place.exchange.get("/sandbox/journal").text.count("set_energy_forecast") == 36


def test_backfill_loads_history_and_lets_nothing_go_live(place: Place, slotfeed: Command) -> None:
    status, told = slotfeed("backfill", "--start", "2016-10-29", "--end", "2016-10-30", "--at", AT)
    assert status == 0, told
    # The last slot of the Saturday isn't over at 23:47.
    assert count(place, SlotEnergyRow, col(SlotEnergyRow.slot_start) >= place_time(0).replace(hour=0, minute=0)) > 3000
    assert (count(place, SubmissionRow), count(place, AssetRow)) == (0, 0)


def test_an_absurd_value_is_quarantined_and_the_rest_goes_on(place: Place, slotfeed: Command) -> None:
    with create_engine(f"sqlite:///{place.folder / 'meters.sqlite'}").begin() as connection:
        last = connection.execute(text("SELECT max(id) FROM inverter_log")).scalar_one()
        connection.execute(text("UPDATE inverter_log SET energy_wh = 1e9 WHERE id = :id"), {"id": last})
        connection.execute(text("UPDATE inverter_log SET energy_wh = -5 WHERE id = :id"), {"id": last - 1})
    status, told = slotfeed("feed", "--at", AT)
    assert status == 0, told
    assert "quarantined 2 of" in told
    assert states(place) == {State.ACCEPTED: 36}

    status, told = slotfeed("quarantine", "list")
    assert (status, "within_rated_power" in told, "not_negative" in told) == (0, True, True), told
    absurd = next(line for line in told.splitlines() if "within_rated_power" in line)
    number = re.findall(r"\d+", absurd)[0]

    status, told = slotfeed("quarantine", "discard", number, "--reason", "inverter was serviced")
    assert status == 0, told
    status, told = slotfeed("quarantine", "discard", number, "--reason", "again")
    assert status == 1
    assert number in told
    assert count(place, ReadingRow, col(ReadingRow.verdict) == Verdict.DISCARDED) == 1


def test_an_exchange_that_is_down_loses_nothing_and_the_next_run_picks_up(
    place: Place, slotfeed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = place.file.read_text()
    monkeypatch.setattr("pipelines.exchange.client.ATTEMPTS", 2)
    place.file.write_text(good.replace(str(place.exchange.base_url).rstrip("/"), "http://127.0.0.1:9"))
    status, told = slotfeed("feed", "--at", AT)
    assert status == 1
    assert "127.0.0.1" in told
    assert "collected" in told
    assert states(place) == {State.PENDING: 36}
    place.file.write_text(good)
    status, told = slotfeed("feed", "--at", AT)
    assert status == 0, told
    assert states(place) == {State.ACCEPTED: 36}


def test_a_wrong_password_is_told_without_showing_it(
    place: Place, slotfeed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLOTFEED_EXCHANGE_PASSWORD", "wrong-one")
    status, told = slotfeed("feed", "--at", AT)
    assert status == 1
    assert "SLOTFEED_EXCHANGE_PASSWORD" in told
    assert "wrong-one" not in told
    assert states(place) == {State.PENDING: 36}


def test_a_missing_password_names_where_it_was_looked_for(
    place: Place, slotfeed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLOTFEED_EXCHANGE_PASSWORD")
    status, told = slotfeed("feed", "--at", AT)
    assert status == 1
    assert "SLOTFEED_EXCHANGE_PASSWORD" in told
    assert ".env" in told


def test_an_unreachable_meter_database_is_told_and_the_other_sources_go_on(place: Place, slotfeed: Command) -> None:
    good = place.file.read_text()
    place.file.write_text(good.replace("sqlite:///meters.sqlite", "sqlite:///gone.sqlite", 1))
    status, told = slotfeed("feed", "--at", AT)
    assert status == 1
    assert "gone.sqlite" in told
    assert not (place.folder / "gone.sqlite").exists()
    assert 0 < states(place)[State.ACCEPTED] < 36
    place.file.write_text(good)
    status, told = slotfeed("feed", "--at", AT)
    assert status == 0, told
    assert states(place) == {State.ACCEPTED: 36}


def test_meters_that_are_all_away_do_not_stop_what_the_last_measured_slot_stands_for(
    place: Place, slotfeed: Command
) -> None:
    assert slotfeed("feed", "--at", AT)[0] == 0
    place.live_until(place_time(1))
    place.file.write_text(place.file.read_text().replace("sqlite:///meters.sqlite", "sqlite:///gone.sqlite"))
    status, told = slotfeed("feed", "--at", NEXT)
    assert status == 1
    assert "gone.sqlite" in told
    assert states(place) == {State.ACCEPTED: 72}


def test_an_absent_column_names_those_that_exist(place: Place, slotfeed: Command) -> None:
    place.file.write_text(place.file.read_text().replace("value: energy_wh", "value: energy_kwh"))
    status, told = slotfeed("feed", "--at", AT)
    assert status == 1
    assert "energy_kwh" in told
    assert "energy_wh" in told


def test_an_asset_unknown_to_the_exchange_is_refused_and_the_others_go_on(place: Place, slotfeed: Command) -> None:
    uuid = place.community.assets[0].uuid
    place.file.write_text(place.file.read_text().replace(uuid, "00000000-0000-4000-8000-000000000000"))
    status, told = slotfeed("feed", "--at", AT)
    assert status == 1
    assert "404" in told
    assert states(place) == {State.ACCEPTED: 35, State.REJECTED: 1}


@pytest.mark.parametrize("command", ["feed", "reconcile", "status", "report", "check"])
def test_a_missing_community_file_is_told(
    slotfeed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, told = slotfeed(command)
    assert status == 1
    assert "community.yaml" in told
    assert "slotfeed init" in told
    assert list(tmp_path.iterdir()) == []


def test_init_check_and_every_fault_at_once(slotfeed: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert slotfeed("init")[0] == 0
    status, told = slotfeed("check")
    assert status == 0, told
    assert slotfeed("init")[0] == 1
    text_ = (tmp_path / "community.yaml").read_text()
    broken = (
        text_.replace("unit: kWh", "unit: kw", 1).replace("# protocol: rest", "protocol: soap #") + "\nfuel: coal\n"
    )
    (tmp_path / "community.yaml").write_text(broken)
    status, told = slotfeed("check")
    assert status == 1
    for word in ("soap", "fuel", "kw"):
        assert word in told
    assert slotfeed("feed")[0] == 1


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("2016-10-30T02:30", "offset"),
        ("yesterday", "can't read"),
        ("2016-03-27T02:30", "offset"),
    ],
)
def test_a_time_that_cannot_be_told_is_refused(place: Place, slotfeed: Command, moment: str, words: str) -> None:
    status, told = slotfeed("feed", "--at", moment)
    assert status == 1
    assert words in told


def test_check_connect_tries_sources_and_login(
    place: Place, slotfeed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert slotfeed("check", "--connect")[0] == 0
    monkeypatch.setenv("SLOTFEED_EXCHANGE_PASSWORD", "wrong-one")
    place.file.write_text(place.file.read_text().replace("value: energy_wh", "value: energy_kwh"))
    status, told = slotfeed("check", "--connect")
    assert status == 1
    assert "energy_kwh" in told
    assert "refused" in told


def test_no_secret_stands_in_the_store_or_the_report(place: Place, slotfeed: Command) -> None:
    slotfeed("feed", "--at", AT)
    slotfeed("report", "--output", place.folder / "r.html")
    for path in place.folder.glob("*"):
        if path.is_file():
            assert b"hush-hush" not in path.read_bytes(), path
