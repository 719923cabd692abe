"""What is exported, as the exchange reads it; and what it would make of files that are made otherwise."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.community import Asset, Community
from pipelines.deliver.profiles import Unit, choose_assets, export_profiles, file_names
from pipelines.errors import ConfigurationError
from pipelines.sandbox.profile_reader import Reading, UploadedProfile
from pipelines.store import SlotEnergyRow, Store, insert_rows

SLOT = timedelta(minutes=15)
DAY = timedelta(days=1)
START = datetime(2026, 3, 28, tzinfo=UTC)  # the day after it has 23 hours in Vienna
GSY_UNIT = {Unit.KWH: "ENERGY_KWH", Unit.W: "POWER_W"}

Slots = dict[datetime, float]


def community(*names: str, live: bool = False) -> Community:
    stream = {"source": "meters", "device": "d", "kind": "register", "unit": "Wh"}
    return Community.model_validate(
        {
            "community": {"name": "Small", "simulation_uuid": "s"},
            "exchange": {"base_url": "http://127.0.0.1:1"},
            "sources": {"meters": {"type": "home_assistant", "url": "http://127.0.0.1:1"}},
            "assets": [
                {"name": n, "uuid": f"u-{n}", "type": "load", "rated_power_kw": 10, "live": live, "streams": [stream]}
                for n in names
            ],
        }
    )


def energies(days: int, *, seed: int = 7) -> Slots:
    """Wh of each slot, all of them different and none of them round."""
    chance = random.Random(seed)  # noqa: S311
    return {START + i * SLOT: chance.uniform(0.001, 2500) for i in range(days * 96)}


def store_slots(store: Store, asset: str, slots: Slots, **changes: Any) -> None:
    fixed = {"asset_id": f"u-{asset}", "version": 0, "quality": "MEASURED", "coverage": 1.0, "method": "sum"}
    fixed |= {"created_at": START, "run_id": "r"}
    rows = [fixed | {"slot_start": slot, "energy_wh": wh} | changes for slot, wh in slots.items()]
    with store.writing() as connection:
        insert_rows(connection, SlotEnergyRow, rows)


def export(store: Store, found: Community, folder: Path, *, days: int = 1, **options: Any) -> list[Any]:
    asked: dict[str, Any] = {"start": START, "end": START + days * DAY, "unit": Unit.KWH, "output": folder / "out"}
    return export_profiles(store, found, found.assets, **(asked | options))


def read(path: Path, unit: Unit, reading: Reading, *, days: int = 1) -> UploadedProfile:
    return UploadedProfile(
        path.read_text(encoding="utf-8"),
        unit=GSY_UNIT[unit],
        slot_length=SLOT,
        reading=reading,
        span=(START, START + days * DAY) if reading is Reading.SIMULATION else None,
    )


@pytest.mark.parametrize("unit", list(Unit))
def test_the_exchange_reads_each_slot_s_energy(store: Store, tmp_path: Path, unit: Unit) -> None:
    slots = energies(2)
    store_slots(store, "Flat", slots)
    (written,) = export(store, community("Flat"), tmp_path, days=2, unit=unit)
    assert (written.slots, len(written.days), written.left_out) == (192, 2, ())
    for reading in (Reading.DATABASE, Reading.SIMULATION):
        profile = read(written.path, unit, reading, days=2)
        for slot, energy_wh in slots.items():
            assert profile.value_kwh(slot) == pytest.approx(energy_wh / 1000, abs=1e-9, rel=0)


@pytest.mark.parametrize("unit", list(Unit))
def test_a_canary_network_reads_one_day_right_and_of_two_only_the_last(
    sqlite_store: Store, tmp_path: Path, unit: Unit
) -> None:
    slots = energies(2)
    store_slots(sqlite_store, "Flat", slots)
    (one,) = export(sqlite_store, community("Flat"), tmp_path, unit=unit, output=tmp_path / "one.csv")
    (two,) = export(sqlite_store, community("Flat"), tmp_path, days=2, unit=unit)
    for slot, energy_wh in list(slots.items())[:96]:
        first = read(one.path, unit, Reading.CANARY).value_kwh(slot)
        assert first == pytest.approx(energy_wh / 1000, abs=1e-9, rel=0)
        last = read(two.path, unit, Reading.CANARY).value_kwh(slot)
        assert last == pytest.approx(slots[slot + DAY] / 1000, abs=1e-9, rel=0)


def test_a_file_is_what_the_exchange_s_papers_show(sqlite_store: Store, tmp_path: Path) -> None:
    slots = dict.fromkeys(energies(1), 250.0) | {START: 0.0, START + SLOT: 0.0001}
    store_slots(sqlite_store, "Flat", slots)
    (kwh,) = export(sqlite_store, community("Flat"), tmp_path)
    (w,) = export(sqlite_store, community("Flat"), tmp_path, unit=Unit.W)
    assert (kwh.path.name, w.path.name) == ("Flat_kWh.csv", "Flat_W.csv")
    text = kwh.path.read_bytes().decode("ascii")
    assert text.startswith("2026-03-28T00:00,0\n2026-03-28T00:15,0.0000001\n2026-03-28T00:30,0.25\n")
    assert text.endswith("2026-03-28T23:45,0.25\n")
    assert text.count("\n") == 96
    assert w.path.read_text().startswith("2026-03-28T00:00,0\n2026-03-28T00:15,0.0004\n2026-03-28T00:30,1000\n")


def test_the_newest_version_counts(store: Store, tmp_path: Path) -> None:
    slots = energies(1)
    store_slots(store, "Flat", slots)
    store_slots(store, "Flat", {START: 123.0}, version=2)
    store_slots(store, "Flat", {START: 99.0}, version=1)
    (written,) = export(store, community("Flat"), tmp_path)
    assert read(written.path, Unit.KWH, Reading.DATABASE).value_kwh(START) == pytest.approx(0.123, abs=1e-12)


@pytest.mark.parametrize(
    ("changes", "usable"),
    [
        ({"quality": "SUBSTITUTED"}, True),
        ({"quality": "ESTIMATED"}, True),
        ({"quality": "PROVISIONAL"}, False),
        ({"quality": "MISSING"}, False),
        ({"quality": "UNUSABLE"}, False),
        ({"coverage": 0.5}, False),
    ],
)
def test_a_slot_counts_only_where_its_energy_can_be_trusted(
    sqlite_store: Store, tmp_path: Path, changes: dict[str, object], usable: bool
) -> None:
    slots = energies(1)
    store_slots(sqlite_store, "Flat", slots)
    store_slots(sqlite_store, "Flat", {START + 3 * SLOT: 1.0}, version=1, **changes)
    if usable:
        export(sqlite_store, community("Flat"), tmp_path)
        return
    with pytest.raises(ConfigurationError, match=r"asset 'Flat', 2026-03-28: 1 slot\(s\) .* energy: 00:45\."):
        export(sqlite_store, community("Flat"), tmp_path)


def test_days_with_gaps_are_refused_by_name_and_nothing_is_written(sqlite_store: Store, tmp_path: Path) -> None:
    whole, torn = energies(2), energies(2)
    for gap in (START + 40 * SLOT, START + 41 * SLOT):
        del torn[gap]
    store_slots(sqlite_store, "Flat", whole)
    store_slots(sqlite_store, "Shop", torn)
    store_slots(sqlite_store, "Barn", {slot: wh for slot, wh in whole.items() if slot < START + DAY})
    with pytest.raises(ConfigurationError) as caught:
        export(sqlite_store, community("Flat", "Shop", "Barn"), tmp_path, days=2)
    assert [(one.where, one.field) for one in caught.value.issues] == [
        ("asset 'Shop'", "2026-03-28"),
        ("asset 'Barn'", "2026-03-29"),
    ]
    assert "10:00, 10:15" in caught.value.issues[0].problem
    assert "no slot of this day" in caught.value.issues[1].problem
    assert list(tmp_path.rglob("*.csv*")) == []


def test_days_with_gaps_can_be_left_out(sqlite_store: Store, tmp_path: Path) -> None:
    torn = energies(3)
    del torn[START + DAY + 5 * SLOT]
    store_slots(sqlite_store, "Flat", torn)
    (written,) = export(sqlite_store, community("Flat"), tmp_path, days=3, complete_days_only=True)
    assert [str(day) for day in written.days] == ["2026-03-28", "2026-03-30"]
    assert [str(day) for day in written.left_out] == ["2026-03-29"]
    stamps = [line.split(",")[0] for line in written.path.read_text().splitlines()]
    expected = [slot for slot in energies(3) if slot.day != 29]
    assert stamps == [f"{slot:%Y-%m-%dT%H:%M}" for slot in expected]


def test_an_asset_without_a_whole_day_is_refused_even_so(sqlite_store: Store, tmp_path: Path) -> None:
    store_slots(sqlite_store, "Flat", {START: 1.0})
    with pytest.raises(ConfigurationError, match="Choose other days"):
        export(sqlite_store, community("Flat"), tmp_path, complete_days_only=True)


@pytest.mark.parametrize(
    ("start", "end"), [(START + SLOT, START + DAY), (START, START + SLOT), (START, START), (START + DAY, START)]
)
def test_a_span_is_whole_days(sqlite_store: Store, tmp_path: Path, start: datetime, end: datetime) -> None:
    with pytest.raises(ConfigurationError, match=r"--(start|end)"):
        export(sqlite_store, community("Flat"), tmp_path, start=start, end=end)


def test_one_file_can_t_hold_two_assets(sqlite_store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="one file for 2 assets"):
        export(sqlite_store, community("Flat", "Shop"), tmp_path, output=tmp_path / "all.csv")


def test_where_nothing_can_be_written_nothing_is_left_behind(sqlite_store: Store, tmp_path: Path) -> None:
    store_slots(sqlite_store, "Flat", energies(1))
    (tmp_path / "out").write_text("a file, no folder")
    with pytest.raises(ConfigurationError, match="can't be written"):
        export(sqlite_store, community("Flat"), tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.suffix in {".csv", ".part"}] == []


def names_of(assets: Iterable[Asset]) -> list[str]:
    return file_names(list(assets), Unit.KWH)


def test_file_names_are_safe_and_each_its_own() -> None:
    given = ["../../etc/passwd", "Flat 1/2", "Müller", "müller", ".hidden", "???", "x" * 300]
    names = names_of(community(*given).assets)
    assert names[:2] == ["etc_passwd_kWh.csv", "Flat_1_2_kWh.csv"]
    assert len({name.casefold() for name in names}) == len(given)
    assert all(len(name.encode()) < 255 and "/" not in name and not name.startswith(".") for name in names)


def test_assets_with_their_live_switch_off_are_the_default() -> None:
    off, on = community("Flat", "Shop"), community("Roof", live=True)
    both = off.model_copy(update={"assets": off.assets + on.assets})
    assert [asset.name for asset in choose_assets(both, (), every=False)] == ["Flat", "Shop"]
    assert [asset.name for asset in choose_assets(both, (), every=True)] == ["Flat", "Shop", "Roof"]
    assert [asset.name for asset in choose_assets(both, ["u-Roof", "Flat"], every=False)] == ["Flat", "Roof"]
    with pytest.raises(ConfigurationError, match="live switch is on"):
        choose_assets(on, (), every=False)
    with pytest.raises(ConfigurationError, match="'Barn': there is no such asset"):
        choose_assets(both, ["Barn", "Flat"], every=False)


def simulated(lines: Iterable[tuple[datetime, float]], unit: str = "ENERGY_KWH") -> UploadedProfile:
    text = "".join(f"{at:%Y-%m-%dT%H:%M},{value}\n" for at, value in lines)
    return UploadedProfile(text, unit=unit, slot_length=SLOT, reading=Reading.SIMULATION, span=(START, START + DAY))


def total_kwh(profile: UploadedProfile) -> float:
    return sum(profile.value_kwh(START + i * SLOT) for i in range(96))


def test_hourly_energy_would_count_four_times() -> None:
    hours = [(START + timedelta(hours=hour), 1.0) for hour in range(24)]
    assert total_kwh(simulated(hours)) == pytest.approx(4 * 24)


def test_of_finer_energy_the_exchange_would_take_a_share() -> None:
    # 0.1, 0.2 and 0.3 kWh in each quarter: 0.6 kWh, of which the exchange takes 0.1.
    fine = [(START + i * timedelta(minutes=5), 0.1 * (1 + i % 3)) for i in range(288)]
    assert total_kwh(simulated(fine)) == pytest.approx(96 * 0.6 / 6)


def test_local_time_would_be_shifted() -> None:
    # Noon in Vienna's winter is 11:00 UTC; written as 12:00 it counts an hour late.
    local = [(START + i * SLOT, 0.0) for i in range(96)]
    local[48] = (START + timedelta(hours=12), 1.0)
    profile = simulated(local)
    assert profile.value_kwh(START + timedelta(hours=11)) == 0
    assert profile.value_kwh(START + timedelta(hours=12)) == 1


def test_an_incomplete_day_would_repeat_its_last_value() -> None:
    morning = [(START + i * SLOT, 0.2) for i in range(48)]
    assert total_kwh(simulated(morning)) == pytest.approx(96 * 0.2)


def test_watts_taken_for_kilowatt_hours_would_be_four_thousand_times_as_much() -> None:
    watts = [(START + i * SLOT, 800.0) for i in range(96)]
    right, wrong = total_kwh(simulated(watts, "POWER_W")), total_kwh(simulated(watts))
    assert right == pytest.approx(19.2)
    assert wrong == pytest.approx(19.2 * 4000)
