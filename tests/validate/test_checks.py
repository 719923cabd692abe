"""Each check with readings that break it and readings that narrowly don't, all judged in one batch."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from expectations.names import READING_CHECKS, Suite
from pipelines.community import Community
from pipelines.validate.engine import broken_rows
from pipelines.validate.outcomes import broken_marks, findings, rejecting
from pipelines.validate.prepare import ROWS, USABLE_REGISTERS, channels, prepare

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOW = NOON + timedelta(hours=1)
TOLERANCE = timedelta(minutes=3)
"""Of clocks that run ahead."""

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Case:
    what: str
    rows: tuple[dict[str, Any], ...]
    broken: tuple[str, ...]
    """Per row; "" for a good one."""


def one(what: str, broken: str, **row: Any) -> Case:
    return Case(what, (row,), (broken,))


def register(
    what: str, values: tuple[float, ...], broken: tuple[str, ...], *, step_s: float = 900, device: str = "flat"
) -> Case:
    rows = [
        {"value": value, "ts": NOON + timedelta(seconds=n * step_s), "device": device} for n, value in enumerate(values)
    ]
    return Case(what, tuple(rows), broken)


def twins(what: str, first: dict[str, Any], second: dict[str, Any], *broken: str) -> Case:
    return Case(what, (first, {"revision": 1, **second}), broken)


OLDEST = timedelta(days=3650)
"""Of readings that are of this age."""

INTERVAL = {"kind": "interval", "device": "interval", "ts_end": NOON + timedelta(minutes=15)}
POWER = {"kind": "power", "device": "power"}

# The limit of a 10 kW stream is 12 kW, so 3000 Wh in a quarter of an hour and 200 Wh in a minute.
CASES = (
    one("no stamp", "key_not_null", ts=None),
    one("everything there", ""),
    twins("two values", {"value": 100.0}, {"value": 101.0}, "key_unique", "key_unique"),
    twins("same value twice", {"value": 100.0}, {"value": 100.0}, "", ""),
    twins("value and none", {"value": 100.0}, {"value": None}, "", "value_present"),
    twins("two values, later arrival", {"value": 100.0}, {"value": 101.0, "received_at": NOON + MICROSECOND}, "", ""),
    twins(
        "two values, later at the source",
        {"value": 100.0, "ingested_at": NOON},
        {"value": 101.0, "ingested_at": NOON + MICROSECOND},
        "",
        "",
    ),
    twins("two values, one told", {"value": 100.0}, {"value": 101.0, "ingested_at": NOON}, "key_unique", "key_unique"),
    twins(
        "two spans",
        {**INTERVAL, "value": 100.0},
        {**INTERVAL, "value": 100.0, "ts_end": NOON + timedelta(minutes=30)},
        "key_unique",
        "key_unique,span_length",
    ),
    one("kind of its own", "kind_known", kind="counter"),
    one("kind of another stream", "kind_configured", kind="interval", ts_end=NOON + timedelta(minutes=15)),
    one("power on a stream of intervals", "kind_configured", kind="power", device="interval", value=1.0),
    one("odd unit", "unit_known", unit="kvarh"),
    one("energy unit of a power", "unit_known", **POWER, unit="Wh"),
    one("power unit of a register", "unit_known", unit="W"),
    one("unit by another name", "unit_known", unit="WH"),
    one("no value", "value_present", value=None),
    one("zero", "", value=0.0),
    one("NaN", "value_finite", value=float("nan")),
    one("endless", "value_finite", value=float("inf"), **POWER),
    one("unusable", "quality_usable", quality="UNUSABLE"),
    one("missing", "quality_usable", quality="MISSING"),
    one("quality of its own", "quality_usable", quality="measured"),
    one("provisional", "", quality="PROVISIONAL"),
    one("interval without end", "span_ordered", **{**INTERVAL, "ts_end": None}),
    one("interval of no length", "span_ordered,span_length", **{**INTERVAL, "ts_end": NOON}),
    one("shortest interval", "span_length", **{**INTERVAL, "ts_end": NOON + MICROSECOND}),
    one("interval of an hour", "span_length", **{**INTERVAL, "ts_end": NOON + timedelta(hours=1)}),
    one("mean power that ends early", "span_ordered,span_length", **POWER, ts_end=NOON - MICROSECOND),
    one("power of an instant", "", **POWER),
    one("just too far ahead", "not_from_future", ts=NOW + TOLERANCE + MICROSECOND),
    one("just not too far ahead", "", ts=NOW + TOLERANCE),
    one(
        "ends too far ahead",
        "span_length,not_from_future",
        **{**INTERVAL, "ts": NOW, "ts_end": NOW + TOLERANCE + MICROSECOND},
    ),
    one("ends just not too far ahead", "span_length", **{**INTERVAL, "ts": NOW, "ts_end": NOW + TOLERANCE}),
    one("older than any meter", "not_ages_old", ts=NOW - OLDEST - MICROSECOND),
    one("as old as a meter may be", "", ts=NOW - OLDEST),
    one("less than nothing", "not_negative", **INTERVAL, value=-1e-9),
    one("negative power", "not_negative", **POWER, value=-1.0),
    one("negative on a reversed stream", "", kind="power", device="reversed", value=-1.0),
    one("positive on a reversed stream", "not_negative", kind="power", device="reversed", value=1.0),
    one("negative on a two-way stream", "", kind="power", device="grid", value=-5000.0),
    register("falls a little", (100.0, 99.999, 100.0), ("", "register_not_falling", "")),
    register("stands still", (100.0, 100.0), ("", "")),
    register("rises on a reversed stream", (-100.0, -99.0), ("", "register_not_falling"), device="backwards"),
    register("falls on a reversed stream", (-100.0, -101.0), ("", ""), device="backwards"),
    register("falls on a two-way stream", (100.0, 50.0), ("", ""), device="net"),
    register("falls too fast on a two-way stream", (9000.5, 5999.0), ("", "within_rated_power"), device="net"),
    one("power at the limit", "", **POWER, value=12_000.0),
    one("power above it", "within_rated_power", **POWER, value=12_000.1),
    one("power at the limit of its own stream", "", kind="power", device="tap", value=1_200.0),
    one("power above that", "within_rated_power", kind="power", device="tap", value=1_200.1),
    one("export at the limit of the greater asset", "", kind="power", device="grid", value=-24_000.0),
    one("export above it", "within_rated_power", kind="power", device="grid", value=-24_000.1),
    one("interval at the limit", "", **INTERVAL, value=3_000.0),
    one("interval above it", "within_rated_power", **INTERVAL, value=3_000.1),
    register("fine register at the limit", (0.5, 3_000.5), ("", "")),
    register("fine register above it", (0.5, 3_000.75), ("", "within_rated_power")),
    register("one step of 1 Wh is let off", (7.0, 3_008.0), ("", "")),
    register("two steps of 1 Wh are not", (7.0, 3_009.0), ("", "within_rated_power")),
    register("one step of 1 kWh is let off", (7_000.0, 11_000.0), ("", "")),
    register("two steps of 1 kWh are not", (7_000.0, 12_000.0), ("", "within_rated_power")),
    register("less than a minute counts as one", (0.5, 200.5), ("", ""), step_s=1),
    register("more than a minute's energy in a second", (0.5, 200.75), ("", "within_rated_power"), step_s=1),
    one("within its dials", "", device="dials", value=99_999_999.0),
    one("beyond its dials", "register_within_dials", device="dials", value=100_000_000.0),
    twins(
        "replacement of worse quality that says the same",
        {"value": 100.0, "ingested_at": NOON},
        {"value": 101.0, "ingested_at": NOON + MICROSECOND, "quality": "ESTIMATED"},
        "",
        "rank_not_lower",
    ),
    twins(
        "replacement of worse quality that says something else",
        {"value": 100.0, "ingested_at": NOON},
        {"value": 101.5, "ingested_at": NOON + MICROSECOND, "quality": "ESTIMATED"},
        "",
        "",
    ),
    register("spike", (100.0, 5e6, 101.0), ("", "within_rated_power", "")),
    register("drop to zero and back", (100.0, 0.0, 101.0), ("", "register_not_falling", "")),
    register("long drop", (100.0, 0.0, 0.0, 101.0), ("", *["register_not_falling"] * 2, "")),
    register("reset", (100.0, 0.0, 0.0, 1.0), ("",) * 4),
    register("drop that nothing decides", (100.0, 0.0, 0.0), ("", *["register_not_falling"] * 2)),
    Case(
        "a reading unusable by itself is nobody's neighbour",
        (
            {"value": 100.0},
            {"value": 900.0, "ts": NOON + timedelta(minutes=15), "quality": "UNUSABLE"},
            {"value": 200.0, "ts": NOON + timedelta(minutes=30)},
        ),
        ("", "quality_usable", ""),
    ),
    Case(
        "rivals are nobody's neighbours",
        (
            {"value": 100.0},
            {"value": 900.0, "ts": NOON + timedelta(minutes=15)},
            {"value": 800.0, "ts": NOON + timedelta(minutes=15), "revision": 1},
            {"value": 200.0, "ts": NOON + timedelta(minutes=30)},
        ),
        ("", "key_unique", "key_unique", ""),
    ),
    one("several at once", "unit_known,quality_usable", unit="kvarh", quality="MISSING"),
)


def row_of(case: Case, number: int) -> dict[str, Any]:
    given = dict(case.rows[number])
    device = given.pop("device", "flat")
    kind = given.get("kind", "register")
    row = {
        # A stream of its own for each case, but with the device's limits.
        "stream_id": f"{device}|{case.what}",
        "ts": NOON,
        "ts_end": None,
        "revision": 0,
        "kind": kind,
        "value": 0.0,
        "unit": "W" if kind == "power" else "Wh",
        "quality": "MEASURED",
        "ingested_at": None,
        "received_at": NOON,
    }
    return row | given


@pytest.fixture(scope="module")
def prepared(community: Community) -> pl.DataFrame:
    rows = [row_of(case, number) for case in CASES for number in range(len(case.rows))]
    frame = pl.DataFrame([{"id": number, **row} for number, row in enumerate(rows)], schema=ROWS)
    of_device = {stream_id.split("/")[1]: limits for stream_id, *limits in channels(community).iter_rows()}
    of_device["flat"] = of_device["flat0"]
    known = pl.DataFrame(
        [(name, *of_device[name.split("|")[0]]) for name in frame["stream_id"].unique()],
        schema=channels(community).schema,
        orient="row",
    )
    return prepare(frame, USABLE_REGISTERS.to_frame(), known, now=NOW)


@pytest.fixture(scope="module")
def marks(prepared: pl.DataFrame) -> pl.DataFrame:
    return broken_marks(prepared, broken_rows(Suite.READINGS, prepared, run_id="r"))


@pytest.fixture(scope="module")
def judged(prepared: pl.DataFrame, marks: pl.DataFrame) -> dict[str, list[str]]:
    names: dict[int, list[str]] = {number: [] for number in range(prepared.height)}
    for row, check in marks.select("row", "check").iter_rows():
        names[row].append(check)
    broken = {number: ",".join(names[row]) for row, number in enumerate(prepared["id"])}
    numbers = iter(range(prepared.height))
    return {case.what: [broken[next(numbers)] for _ in case.rows] for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_check(case: Case, judged: dict[str, list[str]]) -> None:
    assert judged[case.what] == list(case.broken)


def test_every_check_has_a_case_that_breaks_it() -> None:
    names = {name for case in CASES for broken in case.broken if broken for name in broken.split(",")}
    assert names == set(READING_CHECKS)


def test_only_what_rejects_keeps_a_reading_from_being_used(prepared: pl.DataFrame, marks: pl.DataFrame) -> None:
    names = rejecting(marks, prepared.height)
    of_check = dict(marks.select("check", "severity").iter_rows())
    assert of_check["span_length"] == "flag"
    assert of_check["span_ordered"] == "reject"
    assert "span_length" not in ",".join(names)
    assert set(",".join(names).split(",")) == {"", *READING_CHECKS} - {"span_length"}


def test_finding_says_what_was_compared_with_what(prepared: pl.DataFrame, marks: pl.DataFrame) -> None:
    found = {
        row["check_name"] + "/" + row["subject"].split("|")[1]: row for row in findings(prepared, marks).to_dicts()
    }

    def told(key: str) -> tuple[object, ...]:
        return tuple(found[key][name] for name in ("value", "low", "high", "detail", "severity"))

    assert told("within_rated_power/interval above it") == (pytest.approx(1.20004), None, 1.2, "", "reject")
    assert told("register_not_falling/falls a little") == (99.999, 100.0, None, "", "reject")
    assert told("span_length/interval of an hour") == (3600.0, 900.0, 900.0, "", "flag")
    assert told("unit_known/odd unit") == (0.0, None, None, "kvarh", "reject")
    assert told("register_within_dials/beyond its dials") == (1e8, None, 1e8, "", "reject")
    assert told("not_ages_old/older than any meter") == (pytest.approx(3650.0), None, 3650.0, "", "reject")
    assert told("rank_not_lower/replacement of worse quality that says the same")[0] == 1.0
    assert len(found) == len({(row["row"], row["check"]) for row in marks.to_dicts()}) - _same_names()


def _same_names() -> int:
    """Findings of one check and stream: two rows of a stamp, or several of a register."""
    broken = [name for case in CASES for names in case.broken for name in ({*names.split(",")} - {""})]
    distinct = {(case.what, name) for case in CASES for names in case.broken for name in {*names.split(",")} - {""}}
    return len(broken) - len(distinct)


@pytest.mark.parametrize("kind", ["register", "interval", "power"])
def test_batch_of_one_kind_leaves_no_expectation_unanswered(
    kind: str, community: Community, row: Callable[..., dict[str, Any]]
) -> None:
    # The columns that the other kinds' checks look at are then empty throughout.
    stream_id = {"register": "m/flat0/-"}.get(kind, f"m/{kind}/-")
    frame = pl.DataFrame([{"id": 1, **row(5.0, kind=kind, stream_id=stream_id)}]).select(ROWS.names()).cast(dict(ROWS))
    prepared = prepare(frame, USABLE_REGISTERS.to_frame(), channels(community), now=NOW)
    broken = broken_rows(Suite.READINGS, prepared, run_id="r")
    assert [check for check, found in broken.items() if found] == []
