"""One asset told whole: in sentences, the stretches that aren't simply measured, and the checks it broke."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from expectations.names import Severity
from pipelines.report.assets import AssetFigures
from pipelines.report.broken import Stretch
from pipelines.report.faults import WHOLE_DAY, fault_of, value_in_words
from pipelines.report.grades import Grade, in_words
from pipelines.report.remedies import remedy_of
from pipelines.report.tables import Table
from pipelines.report.times import duration_text, local_text, span_text
from pipelines.report.trend import RECORD_DAYS, ForecastRecord
from pipelines.report.words import are, counted

SHOWN = 12
"""Rows of each list of an asset; the others are counted."""

SEVERITY_WORDS = {Severity.REJECT: "rejected", Severity.FLAG: "flagged", Severity.INFORM: "for information"}
METHOD_WORDS = {
    "persistence": "repeats the last value",
    "yesterday": "as yesterday",
    "last_week": "as a week ago",
    "blend": "a blend of the last value, yesterday and last week",
    "model": "the learned model",
    "standard_profile": "the standard load profile",
}
METHOD_NAMES = {
    "persistence": "last value",
    "yesterday": "yesterday",
    "last_week": "last week",
    "blend": "blend",
    "model": "model",
    "standard_profile": "standard profile",
}
TONE_OF = {Severity.REJECT: "bad", Severity.FLAG: "warn", Severity.INFORM: "plain"}


@dataclass(frozen=True, kw_only=True)
class Span:
    """Slots one after another of the same grade."""

    grade: Grade
    when: str
    length: str
    slots: int
    energy_wh: float | None


@dataclass(frozen=True, kw_only=True)
class BrokenRow:
    """A stretch in which a check was broken, in words."""

    tone: str
    severity: str
    fault: str
    check: str
    explanation: str
    when: str
    rows: int
    value: str
    detail: str
    since: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Detail:
    """What the page tells of one asset under its chart."""

    k: int
    """Its place among the charted ones, and in their data."""

    figures: AssetFigures
    label: str
    sentences: tuple[str, ...]
    spans: Table
    broken: Table


def details(
    figures: Sequence[AssetFigures],
    labels: Sequence[str],
    parts: pl.DataFrame,
    stretches: Mapping[str, Sequence[Stretch]],
    zone: ZoneInfo,
) -> list[Detail]:
    """The details of the charted assets, in their order.

    Args:
        figures: of the charted assets.
        labels: their names, told apart.
        parts: of their `AssetSeries`.
        stretches: asset_id -> its broken checks.
        zone: of the community.
    """
    spans = _spans(parts, zone)
    found = []
    for k, (asset, label) in enumerate(zip(figures, labels, strict=True)):
        broken = [broken_row(one, zone) for one in stretches.get(asset.status.uuid, ())]
        found.append(
            Detail(
                k=k,
                figures=asset,
                label=label,
                sentences=tuple(_sentences(asset, zone)),
                spans=_cut(spans.get(k, [])),
                broken=_cut(broken),
            )
        )
    return found


def broken_row(one: Stretch, zone: ZoneInfo) -> BrokenRow:
    """A stretch of a broken check in words."""
    severity = Severity(one.severity) if one.severity in list(Severity) else Severity.FLAG
    when = f"{one.start.astimezone(zone):%a %d %b}" if one.check in WHOLE_DAY else span_text(one.start, one.end, zone)
    return BrokenRow(
        tone=TONE_OF[severity],
        severity=SEVERITY_WORDS[severity],
        fault=fault_of(one.check),
        check=one.check,
        explanation=one.explanation,
        when=when,
        rows=one.rows,
        value=value_in_words(one.check, one.value, one.low, one.high),
        detail=one.detail,
        since=local_text(one.found_at, zone),
        remedy=remedy_of(one.check).words,
    )


def method_in_words(record: ForecastRecord | None) -> str:
    """How an asset's next slot is forecast."""
    if record is None or not record.method:
        return METHOD_WORDS["persistence"]
    return METHOD_WORDS.get(record.method, record.method)


def method_name(record: ForecastRecord | None) -> str:
    """The same in a word or two, for tables."""
    if record is None or not record.method:
        return METHOD_NAMES["persistence"]
    return METHOD_NAMES.get(record.method, record.method)


def compared_briefly(better_by: float | None) -> str:
    """`18 % nearer`, where what it is compared with stands above."""
    if better_by is None:
        return "not scored yet"
    if abs(better_by) < 0.005:
        return "as far off"
    return f"{abs(better_by) * 100:.0f} % {'nearer' if better_by > 0 else 'farther off'}"


def compared_in_words(better_by: float | None) -> str:
    """`18 % nearer than repeating the last value`; empty where there is nothing to compare."""
    if better_by is None:
        return ""
    than = "as" if abs(better_by) < 0.005 else "than"
    return f"{compared_briefly(better_by)} {than} repeating the last value"


def _sentences(asset: AssetFigures, zone: ZoneInfo) -> list[str]:
    status, slots = asset.status, asset.slots
    told = [f"Of {status.slots_over:,} slots: {in_words(slots.grades.items())}."]
    exchange = "nothing was read back" if asset.exchange_wh is None else f"{asset.exchange_wh / 1000:,.2f} kWh"
    told.append(f"Energy here: {slots.energy_wh / 1000:,.2f} kWh; at the exchange: {exchange}.")
    if asset.silent_since is not None:
        told.append(f"Silent since {local_text(asset.silent_since, zone)}.")
    if asset.quarantined:
        told.append(f"{counted(asset.quarantined, 'reading')} {are(asset.quarantined)} in quarantine.")
    told.append(_forecast_sentence(asset.forecast))
    if status.open_discrepancies:
        differ = "differs" if status.open_discrepancies == 1 else "differ"
        told.append(f"{counted(status.open_discrepancies, 'slot')} {differ} at the exchange.")
    return told


def _forecast_sentence(record: ForecastRecord | None) -> str:
    if record is None or not record.slots:
        return f"Forecast: {method_in_words(record)}; not scored yet."
    off = record.error_wh / record.slots
    return (
        f"Forecast: {method_in_words(record)}; over the last {RECORD_DAYS} days {off:,.1f} Wh off in a slot, "
        f"{compared_in_words(record.better_by) or 'repeating the last value would have been exact'}."
    )


def _spans(parts: pl.DataFrame, zone: ZoneInfo) -> dict[int, list[Span]]:
    """Stretches of one grade, by the asset's place; what was measured whole left out."""
    if parts.is_empty():
        return {}
    odd = parts.filter(pl.col("g") != Grade.MEASURED.value).sort("k", "g", "t")
    new = (
        (pl.col("t") != pl.col("u").shift(1))
        | (pl.col("g") != pl.col("g").shift(1))
        | (pl.col("k") != pl.col("k").shift(1))
    )
    joined = (
        odd.with_columns(run=new.fill_null(value=True).cum_sum())
        .group_by("run")
        .agg(pl.col("k", "g", "t").first(), pl.col("u").last(), pl.col("n").sum(), wh=(pl.col("b") - pl.col("a")).sum())
        .sort("k", "t")
    )
    found: dict[int, list[Span]] = {}
    for row in joined.iter_rows(named=True):
        start, end, grade = _instant(row["t"]), _instant(row["u"]), Grade(row["g"])
        found.setdefault(row["k"], []).append(
            Span(
                grade=grade,
                when=span_text(start, end, zone),
                length=duration_text(end - start),
                slots=row["n"],
                energy_wh=None if grade is Grade.MISSING else row["wh"],
            )
        )
    return found


def _instant(ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def _cut(rows: Sequence[object]) -> Table:
    return Table(rows=tuple(rows[:SHOWN]), total=len(rows))
