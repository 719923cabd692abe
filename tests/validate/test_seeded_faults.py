"""A clean month stays clean, and more than thirty kinds of seeded faults are found, each by the check meant for it."""

import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from sqlalchemy import func, select

from expectations.names import CHECKS, Check, Severity, Suite
from pipelines.convert import convert
from pipelines.frames import INSTANT, Quantity, State
from pipelines.slots import Abilities
from pipelines.store import (
    AssetRow,
    DiscrepancyRow,
    ExchangeEnergyRow,
    FindingRow,
    ReadingRow,
    Store,
    SubmissionRow,
    insert_rows,
    open_store,
    read_frame,
    table_of,
)
from pipelines.validate.days import DaysSummary, judge_days, run
from pipelines.validate.run import validate
from tests.validate.seeded.exchange import seed_exchange
from tests.validate.seeded.faults import seed_readings, seed_slots
from tests.validate.seeded.seeder import Fault, Seeder
from tests.validate.seeded.world import (
    END,
    HISTORY_DAYS,
    MONTH,
    MONTH_DAYS,
    NOW,
    PER_DAY,
    SLOT,
    Key,
    Meter,
    Row,
    at,
    community,
    meters,
    readings,
)

LEAST_RECALL = 0.95
MOST_FALSE_FLAGS = 0.005
LIVE_DAYS = 7
LIVE_SINCE = END - LIVE_DAYS * timedelta(days=1)
REST = Abilities(carries_slot_time=False, measurements=False)

FOUND = pl.Schema(
    {
        "suite": pl.String(),
        "check_name": pl.String(),
        "severity": pl.String(),
        "subject": pl.String(),
        "ts": INSTANT,
    }
)


class Judged(NamedTuple):
    """What the real path made of a month."""

    findings: pl.DataFrame
    rows: dict[str, int]
    """Suite -> rows judged."""

    faults: list[Fault]


def _feed(store: Store, of: list[Meter], rows: list[Row], now: datetime) -> None:
    with store.writing() as connection:
        insert_rows(connection, ReadingRow, rows)
    validate(store, community(of), now=now, run_id="r")
    convert(store, community(of), abilities=REST, forecast=False, now=now, run_id="r")


def _pairs(of: list[Meter]) -> dict[tuple[str, datetime], dict[str, Any]]:
    """Persistence forecasts of the live week, taken and used by the exchange."""
    first = HISTORY_DAYS + MONTH_DAYS - LIVE_DAYS
    return {
        (meter.asset_id, at(first, slot)): {
            "sent_wh": float(meter.energy_wh.ravel()[first * PER_DAY + slot - 2]),
            "exchange_wh": float(meter.energy_wh.ravel()[first * PER_DAY + slot - 2]),
            "tried": True,
            "listed": True,
            "read": True,
        }
        for meter in of
        for slot in range(LIVE_DAYS * PER_DAY)
    }


def _keep_exchange(store: Store, of: list[Meter], pairs: dict[tuple[str, datetime], dict[str, Any]]) -> None:
    """Write what deliver and reconcile would have left."""
    submissions, held, listed = [], [], []
    for (asset_id, slot), pair in pairs.items():
        key = {"asset_id": asset_id, "slot_start": slot, "quantity": Quantity.FORECAST.value, "run_id": "r"}
        agrees = pair["tried"] and pair["exchange_wh"] == pair["sent_wh"]
        read_at = slot + SLOT + timedelta(hours=1)
        if pair["tried"]:
            state = State.CONFIRMED if agrees and pair["read"] else State.ACCEPTED
            submissions.append(
                key
                | {
                    "version": 0,
                    "energy_wh": pair["sent_wh"],
                    "source_slot": slot - 2 * SLOT,
                    "quality": "MEASURED",
                    "method": "persistence",
                    "state": state.value,
                    "attempts": 1,
                    "confirmed_at": read_at if state is State.CONFIRMED else None,
                    "created_at": slot,
                }
            )
        if pair["read"]:
            # The last read-back of a slot is a day after its first.
            held.append(key | {"energy_wh": pair["exchange_wh"], "read_at": read_at + timedelta(hours=23)})
        if not agrees and pair["listed"] and pair["read"]:
            what = {"diagnosis": "differs", "evidence": "e", "repair": "r", "opened_at": read_at}
            wanted = pair["sent_wh"] if pair["tried"] else None
            listed.append(key | what | {"expected_wh": wanted, "exchange_wh": pair["exchange_wh"]})
    live = [
        {"asset_id": meter.asset_id, "name": meter.asset_id, "live_since": LIVE_SINCE, "run_id": "r"} for meter in of
    ]
    with store.writing() as connection:
        insert_rows(connection, AssetRow, live)
        insert_rows(connection, SubmissionRow, submissions)
        insert_rows(connection, ExchangeEnergyRow, held)
        insert_rows(connection, DiscrepancyRow, listed)


def _judge(store: Store, of: list[Meter], faults: list[Fault]) -> Judged:
    summary: DaysSummary = judge_days(store, community(of), now=NOW, run_id="r", first=MONTH.date() + timedelta(days=1))
    table = table_of(FindingRow)
    # Closed ones too: a worse replacement gives way at once, and its finding with it.
    query = select(*(table.c[name] for name in FOUND.names()))
    with store.reading() as connection:
        found = read_frame(connection, query, FOUND)
        judged = connection.execute(select(func.count()).select_from(table_of(ReadingRow))).scalar_one()
    rows = {
        Suite.READINGS.value: judged,
        Suite.SLOT_ENERGY.value: summary.slots,
        Suite.EXCHANGE_MATCH.value: summary.compared,
    }
    return Judged(found, rows, faults)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Judged, Judged]]:
    """The month as it was, and with faults, after the same three weeks."""
    with pytest.MonkeyPatch.context() as patch:
        # Few assets: the whole month fits in memory at once.
        patch.setattr(run, "DAYS_AT_ONCE", MONTH_DAYS)
        yield from _both_months(tmp_path_factory.mktemp("seeded"))


def _both_months(folder: Path) -> Iterator[tuple[Judged, Judged]]:
    of = meters()
    clean = open_store(f"sqlite:///{folder / 'clean.sqlite'}")
    _feed(clean, of, [row for m in of for row in readings(m, 0, HISTORY_DAYS).values()], MONTH + timedelta(hours=1))
    clean.close()
    shutil.copy(folder / "clean.sqlite", folder / "faulty.sqlite")
    month: dict[Key, Row] = {}
    for meter in of:
        month |= readings(meter, HISTORY_DAYS, HISTORY_DAYS + MONTH_DAYS)

    clean = open_store(f"sqlite:///{folder / 'clean.sqlite'}")
    _feed(clean, of, list(month.values()), NOW)
    _keep_exchange(clean, of, _pairs(of))
    as_it_was = _judge(clean, of, [])
    clean.close()

    seeder, pairs = Seeder(of, month), _pairs(of)
    seed_slots(seeder)
    seed_readings(seeder)
    seed_exchange(seeder.faults, of, pairs)
    faulty = open_store(f"sqlite:///{folder / 'faulty.sqlite'}")
    _feed(faulty, of, seeder.all_rows(), NOW)
    _keep_exchange(faulty, of, pairs)
    yield as_it_was, _judge(faulty, of, seeder.faults)
    faulty.close()


def _found(fault: Fault, findings: dict[tuple[str, str, str], list[datetime | None]]) -> bool:
    stamps = findings.get((fault.suite.value, fault.check.value, fault.subject), [])
    if fault.first is None or fault.last is None:
        return None in stamps
    return any(ts is not None and fault.first <= ts <= fault.last for ts in stamps)


def _recall(judged: Judged) -> dict[tuple[str, Check], tuple[int, int]]:
    """Kind and the check meant for it -> instances, and how many it found."""
    stamps: dict[tuple[str, str, str], list[datetime | None]] = {}
    for suite, check, _, subject, ts in judged.findings.iter_rows():
        stamps.setdefault((suite, check, subject), []).append(ts)
    total = Counter((fault.kind, fault.check) for fault in judged.faults)
    found = Counter((fault.kind, fault.check) for fault in judged.faults if _found(fault, stamps))
    return {kind: (total[kind], found[kind]) for kind in total}


def test_each_kind_of_fault_is_found_by_its_check(judged: tuple[Judged, Judged], capsys: Any) -> None:
    recall = _recall(judged[1])
    with capsys.disabled():
        print(f"\n{'fault':22} {'VEE':>3} {'seeded':>6} {'found':>6} {'recall':>7}  check")  # noqa: T201
        for (kind, check), (total, found) in sorted(recall.items(), key=lambda item: CHECKS[item[0][1]].vee):
            print(f"{kind:22} {CHECKS[check].vee:3} {total:6} {found:6} {found / total:7.1%}  {check}")  # noqa: T201
    assert {kind: pair for kind, pair in recall.items() if pair[1] < LEAST_RECALL * pair[0]} == {}


def test_faults_cover_the_rules(judged: tuple[Judged, Judged]) -> None:
    recall = _recall(judged[1])
    assert {CHECKS[check].vee for _, check in recall} >= {*range(1, 6), *range(7, 13), *range(14, 22)}
    assert len(recall) >= 20
    assert min(total for total, _ in recall.values()) >= 10


def test_nights_of_pv_cycling_heat_pumps_and_charging_trip_nothing(judged: tuple[Judged, Judged]) -> None:
    loads = [meter.asset_id for meter in meters() if meter.kind == "load"]
    slots = judged[0].findings.filter(pl.col("suite") == Suite.SLOT_ENERGY)
    assert slots.filter(~pl.col("subject").is_in(loads)).is_empty()


def test_clean_month_is_hardly_flagged(judged: tuple[Judged, Judged], capsys: Any) -> None:
    clean = judged[0]
    table = (
        clean.findings.group_by("suite", "check_name", "severity").len().sort("suite", "len", descending=[False, True])
    )
    shares = {
        suite: clean.findings.filter(pl.col("suite") == suite, pl.col("severity") != Severity.INFORM).height / rows
        for suite, rows in clean.rows.items()
    }
    with capsys.disabled():
        print(f"\non clean rows: {clean.rows}")  # noqa: T201
        for suite, check, severity, count in table.iter_rows():
            print(f"{suite:15} {check:22} {severity:7} {count:6} {count / clean.rows[suite]:8.3%}")  # noqa: T201
    assert min(clean.rows.values()) > 20_000
    assert {suite: share for suite, share in shares.items() if share > MOST_FALSE_FLAGS} == {}
