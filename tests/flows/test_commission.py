"""`slotfeed commission` as an installer and a manager type it, against a real exchange process."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, func, select
from sqlmodel import col

from flows.artifacts import leave_commission
from flows.commission import walk
from flows.commission_steps import Wanted
from flows.session import Run, open_run
from pipelines.commission.asking import sources_to_ask
from pipelines.commission.names import Terms
from pipelines.store import CertificateRow, RunRow, insert_rows
from tests.flows.places import FIRST_RUN, SLOT

Place = Any
Command = Callable[..., tuple[int, str]]
AFTER = timedelta(minutes=4)
PASSWORD = "SLOTFEED_EXCHANGE_PASSWORD"


def play(place: Place, slotfeed: Command, slots: range) -> str:
    """Feed these slots, reconcile after the last, and return the moment after that."""
    for n in slots:
        at = FIRST_RUN + n * SLOT
        place.live_until(at)
        status, told = slotfeed("feed", "--at", at.isoformat())
        assert status == 0, told
    after = FIRST_RUN + slots[-1] * SLOT + AFTER
    status, told = slotfeed("reconcile", "--at", after.isoformat())
    assert status == 0, told
    return (after + timedelta(minutes=1)).isoformat()


def test_an_installers_walk_from_nothing_to_a_certificate_that_is_verified(place: Place, slotfeed: Command) -> None:
    place.write_file(protocol="sdk")
    at = FIRST_RUN.isoformat()
    status, told = slotfeed("commission", "Load 1", "--slots", 2, "--energies", 2, "--at", at)
    assert status == 3, told
    assert "Load 1 (load): collecting, before step 3, readings plausible" in told
    assert (
        "✓ 2 reachable          source 'smart_meters' answers; the exchange knows it, and its live switch is on" in told
    )
    assert "no feed has run" in told

    at = play(place, slotfeed, range(5))
    status, told = slotfeed("commission", "Load 1", "PV 1", "--slots", 2, "--energies", 2, "--at", at)
    assert status == 3, told
    assert "Load 1 (load): proven" in told
    # At night: the exchange agrees in every slot, at 0.
    assert "PV 1 (pv): collecting, before step 5, confirmed" in told
    assert "0 of 2 different energies above zero" in told
    page = re.search(r"certificate: (\S+load-1\S+html)", told)
    assert page is not None

    status, told = slotfeed("commission", "--verify", page.group(1))
    assert (status, told.count("✓")) == (0, 5), told

    # Somebody turns the switch off at the exchange's page: the next walk tells, and so does the certificate.
    asset = next(one for one in place.community.assets if one.name == "Load 1")
    switch_off(place, asset.uuid)
    status, told = slotfeed("commission", "Load 1", "--slots", 2, "--energies", 2, "--at", at)
    assert status == 1, told
    assert "Load 1 (load): suspended, before step 2, reachable" in told
    assert "its live switch is off at the exchange" in told
    assert "slotfeed assets sync" in told
    status, told = slotfeed("commission", "--verify", page.group(1))
    assert status == 1, told
    assert "it held until" in told
    assert "its live switch is off at the exchange" in told


def switch_off(place: Place, uuid: str) -> None:
    signed_in = place.exchange.post(
        "/api-token-auth/", json={"username": "me", "password": "hush-hush"}
    ).raise_for_status()
    token = next(iter(signed_in.json().values()))
    path = f"/manage/assets/{uuid}/live"
    answer = place.exchange.put(path, json={"live": False}, headers={"Authorization": f"JWT {token}"})
    answer.raise_for_status()


def test_a_managers_table_is_grouped_by_what_blocks_and_repeats_nothing(
    place: Place, slotfeed: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write_file(protocol="sdk")
    at = play(place, slotfeed, range(5))
    status, told = slotfeed("commission", "--all", "--slots", 2, "--energies", 2, "--at", at)
    assert status == 3, told
    assert "collecting before step 5, confirmed: too little energy yet (" in told
    assert "36 assets: " in told
    match = re.search(r"(\d+) proven", told)
    assert match is not None
    proven = int(match.group(1))
    assert len(list((place.folder / "quality" / "certificates").glob("*.html"))) == proven
    assert told.count("Wait until energy flows") == 1

    # The exchange is away: those that aren't proven say so, the proven stay.
    monkeypatch.setenv(PASSWORD, "wrong")
    status, told = slotfeed("commission", "--all", "--slots", 2, "--energies", 2, "--at", at, "--json")
    assert status == 1, told
    found = json.loads(told)
    assert found["summary"]["by_outcome"] == {"proven": proven, "collecting": 0, "blocked": 36 - proven, "suspended": 0}
    (causes,) = {one["cause"] for one in found["assets"] if one["outcome"] == "blocked"}
    assert causes == "exchange"
    assert "hush-hush" not in told
    monkeypatch.setenv(PASSWORD, "hush-hush")

    # A source is away: of the unproven, only its assets say so; the proven stay.
    meters = create_engine(f"sqlite:///{place.folder / 'meters.sqlite'}")
    with meters.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE inverter_log RENAME TO gone")
    meters.dispose()
    status, told = slotfeed("commission", "--all", "--slots", 2, "--energies", 2, "--at", at)
    assert status == 1, told
    assert "blocked before step 2, reachable: source 'inverters' (8)" in told
    assert f"{proven} proven" in told
    assert "inverter_log" in told
    with place.store() as store, store.reading() as connection:
        runs = connection.execute(select(func.count()).where(col(RunRow.command) == "commission")).scalar_one()
    assert runs == 3


def test_what_a_person_mistypes_is_told_before_anything_runs(place: Place, slotfeed: Command) -> None:
    status, told = slotfeed("commission", "Lod 1")
    assert status == 1, told
    assert "no asset is called 'Lod 1'" in told
    assert "Did you mean 'Load 1'?" in told
    for arguments in ([], ["Load 1", "--all"]):
        status, told = slotfeed("commission", *arguments)
        assert status == 1, told
        assert "--all" in told
    assert not (place.folder / "slotfeed.sqlite").exists()


def test_faults_of_the_file_block_step_1_the_assets_own_first(place: Place, slotfeed: Command) -> None:
    text = place.file.read_text()
    doubled = text.replace("name: PV 2\n", "name: PV 1\n").replace("name: PV 3\n", "name: PV 3\n    typ: pv\n")
    assert doubled.count("name: PV 1\n") == 2
    place.file.write_text(doubled)
    status, told = slotfeed("commission", "PV 3")
    assert status == 1, told
    assert "blocked 'PV 3' before step 1, configured" in " ".join(told.split())
    own, _, others = told.partition("And elsewhere in the file")
    assert "asset 'PV 3', typ" in own
    assert "asset 'PV 1' (no. " in others
    assert "has the same name" in others


def test_the_hourly_walk_spares_sources_that_told_lately_and_all_that_is_proven(
    place: Place, slotfeed: Command
) -> None:
    place.write_file(protocol="sdk")
    place.live_until(FIRST_RUN)
    for name, at in (("feed", FIRST_RUN), ("commission", FIRST_RUN)):
        slotfeed(name, "--at", at.isoformat(), *(["--all"] if name == "commission" else []))
    late = FIRST_RUN + timedelta(hours=4)
    with place.store() as store:
        assets = place.community.assets
        assert sources_to_ask(store, assets, now=FIRST_RUN + timedelta(hours=2)) == frozenset()
        assert sources_to_ask(store, assets, now=late) == set(place.community.sources)
        load = next(one for one in assets if one.name == "Load 1")
        assert sources_to_ask(store, [load], now=late) == {"smart_meters"}
        row = {"number": "n", "asset_id": load.asset_id, "issued_at": FIRST_RUN, "slots": 96, "digest": "d"}
        row |= {"document": {}, "run_id": "r"}
        row |= dict.fromkeys(("period_start", "period_end", "checked_through", "checked_at"), FIRST_RUN)
        with store.writing() as connection:
            insert_rows(connection, CertificateRow, [row])
        assert sources_to_ask(store, [load], now=late) == frozenset()


async def test_a_flow_run_leaves_words_and_a_table_of_who_needs_a_person_first(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: dict[str, Any] = {}

    async def keep(content: Any, *, key: str, description: str) -> None:
        assert description == "LV1.111 community, 2016-10-29 23:47 CEST"
        left[key] = content

    monkeypatch.setattr("flows.artifacts.acreate_markdown_artifact", keep)
    monkeypatch.setattr("flows.artifacts.acreate_table_artifact", keep)
    found: list[Any] = []

    async def tell(run: Run) -> None:
        await leave_commission(run, found)

    switch_off(place, place.community.assets[4].uuid)
    async with open_run("commission", place.file, at=FIRST_RUN, tell=tell) as run:
        found += (await walk(run, Wanted(assets=("Load 2", "Load 5"), terms=Terms(slots=2)))).standings
    assert "2 assets: 0 proven, 1 collecting, 1 blocked, 0 suspended" in left["commission-summary"]
    assert "1 asset: live switch off" in left["commission-summary"]
    rows = left["commission-table"]
    assert [(row["asset"], row["stands"], row["before"]) for row in rows] == [
        ("Load 5", "blocked", "reachable"),
        ("Load 2", "collecting", "readings plausible"),
    ]
