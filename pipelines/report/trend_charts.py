"""The charts of weeks: each day is as wide as the other, whatever the clocks do; two weeks are the least shown."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import altair as alt
import polars as pl

from pipelines.report.charts import DIFFERS, GRADE_PATTERNS, SENT, Spec, labels, patterned, spec
from pipelines.report.times import Tick, to_ms
from pipelines.report.trend import DaySum

LEAST_DAYS = 14
"""So few days the axis has at least: three days of data are three bars, not three walls."""

HEIGHT = 120

SLOT_KINDS = {
    "measured in part, provisional": ("slots_partly", 1),
    "substituted": ("slots_substituted", 2),
    "estimated": ("slots_estimated", 3),
    "missing": ("slots_missing", 5),
}
"""Kinds of slots that aren't simply measured, as the days count them, with the grade whose pattern they have."""

SEVERITIES = {"rejected": "rejected", "flagged": "flagged", "for information": "informed"}


def trend_frames(days: Mapping[date, DaySum]) -> dict[str, pl.DataFrame]:
    """The charts' data: `days` with a row a day, `slot_kinds` and `day_findings` stacked."""
    kinds: list[dict[str, Any]] = []
    findings: list[dict[str, Any]] = []
    plain: list[dict[str, Any]] = []
    for day, sums in days.items():
        bounds: dict[str, Any] = {"t": _ms(day), "u": _ms(day + timedelta(days=1)), "day": f"{day:%a %d %b %Y}"}
        plain.append(
            bounds
            | {
                "f": round(sums.forecast_error_wh / 1000, 3) if sums.forecast_slots else None,
                "p": round(sums.persistence_error_wh / 1000, 3) if sums.forecast_slots else None,
                "x": sums.exchange_differs,
                "y": sums.exchange_compared,
            }
        )
        parts = {name: (getattr(sums, column), grade) for name, (column, grade) in SLOT_KINDS.items()}
        kinds += _stacked(bounds, parts, whole=sums.slots_expected)
        findings += _stacked(
            bounds, {name: (getattr(sums, column), at) for at, (name, column) in enumerate(SEVERITIES.items())}
        )
    return {
        "days": pl.DataFrame(plain),
        "slot_kinds": pl.DataFrame(kinds),
        "day_findings": pl.DataFrame(findings),
    }  # fmt: skip


def trend_charts(days: Mapping[date, DaySum]) -> dict[str, Spec]:
    """By name: slots by kind, findings, forecasts, the exchange; those of which something is known."""
    if not days:
        return {}
    last = max(days)
    first = min(*days, last - timedelta(days=LEAST_DAYS - 1))
    x = DayAxis(first, last)
    found = {"trend-slots": _slots(x.of("t")), "trend-findings": _findings(x.of("t"))}
    if any(day.forecast_slots for day in days.values()):
        found["trend-forecast"] = _forecast(x.of("middle"))
    if any(day.exchange_compared for day in days.values()):
        found["trend-exchange"] = _exchange(x.of("t"))
    return found


def _slots(x: alt.X) -> Spec:
    y = alt.Y("a:Q", axis=alt.Axis(title=None, format="~%", tickCount=4))
    return _stacked_chart(
        "slot_kinds",
        x,
        y,
        patterns=GRADE_PATTERNS,
        what="Slots",
        description="Slots of each day that were not simply measured",
    )


def _findings(x: alt.X) -> Spec:
    y = alt.Y("a:Q", axis=_count_axis())
    patterns = [f"severity-{at}" for at in range(len(SEVERITIES))]
    return _stacked_chart("day_findings", x, y, patterns=patterns, what="Rows", description="Broken checks by severity")


def _stacked_chart(data: str, x: alt.X, y: alt.Y, *, patterns: Sequence[str], what: str, description: str) -> Spec:
    tooltip = [
        alt.Tooltip("day:N", title="Day"),
        alt.Tooltip("kind:N", title="Kind"),
        alt.Tooltip("n:Q", title=what, format=","),
    ]
    chart = (
        alt.Chart(alt.NamedData(data))
        .mark_rect(aria=False)
        .encode(x=x, x2="v", y=y, y2="b", fill=patterned("g", patterns), tooltip=tooltip)
        .properties(name="stacked", width="container", height=HEIGHT)
    )
    return spec(alt.layer(chart), description)


def _count_axis() -> alt.Axis:
    return alt.Axis(title=None, tickCount=4, format=",~r", tickMinStep=1)


def _forecast(x: alt.X) -> Spec:
    base = alt.Chart(alt.NamedData("days")).transform_calculate(middle="(datum.t + datum.u) / 2")
    tooltip = [
        alt.Tooltip("day:N", title="Day"),
        alt.Tooltip("f:Q", title="Our forecasts, kWh off", format=",.2f"),
        alt.Tooltip("p:Q", title="Repeating, kWh off", format=",.2f"),
    ]
    layers = []
    for field, name, shape, dash in (("p", "persistence", "square", [4, 3]), ("f", "forecast", "circle", [1, 0])):
        y = alt.Y(f"{field}:Q", axis=alt.Axis(title=None, tickCount=4, format=",~r"), scale=alt.Scale(zero=True))
        own = base.transform_filter(f"isValid(datum.{field})")
        line = own.mark_line(stroke=SENT, strokeWidth=2, strokeDash=dash, aria=False).encode(x=x, y=y)
        point = own.mark_point(shape=shape, size=28, fill=SENT, stroke=SENT, opacity=1, aria=False)
        layers += [
            line.properties(name=f"{name}line"),
            point.encode(x=x, y=y, tooltip=tooltip).properties(name=f"{name}point"),
        ]
    chart = alt.layer(*layers).properties(width="container", height=HEIGHT)
    return spec(chart, "How far forecasts were off each day, beside repeating the last value")


def _exchange(x: alt.X) -> Spec:
    y = alt.Y("zero:Q", axis=_count_axis())
    chart = (
        alt.Chart(alt.NamedData("days"))
        .transform_calculate(zero="0", v="datum.u - (datum.u - datum.t) * 0.14")
        .mark_rect(fill=DIFFERS, aria=False)
        .encode(
            x=x,
            x2="v",
            y=y,
            y2="x",
            tooltip=[
                alt.Tooltip("day:N", title="Day"),
                alt.Tooltip("x:Q", title="Slots that differ"),
                alt.Tooltip("y:Q", title="Slots compared"),
            ],
        )
        .properties(name="unequal")
    )
    return spec(
        alt.layer(chart).properties(width="container", height=HEIGHT), "Slots of each day that differ at the exchange"
    )


class DayAxis:
    """Days from the first to the last, each as wide as the other."""

    def __init__(self, first: date, last: date) -> None:
        days = (last - first).days + 1
        step = next((n for n in (1, 2, 7, 14) if days / n <= 8), 28)
        shown = [last - timedelta(days=n) for n in range(0, days, step)]
        # In the middle of its day.
        self.marked = [Tick(_ms(day) + 43_200_000, (f"{day:%d %b}",)) for day in reversed(shown)]
        self.domain = [_ms(first), _ms(last + timedelta(days=1))]

    def of(self, field: str) -> alt.X:
        """Position along the axis of a field in ms of UTC's days."""
        axis = alt.Axis(
            values=[tick.at_ms for tick in self.marked],
            labelExpr=labels(self.marked),
            labelOverlap="parity",
            labelSeparation=6,
            title=None,
            grid=False,
        )
        scale = alt.Scale(domain=self.domain, nice=False, zero=False)
        return alt.X(field, type="quantitative", scale=scale, axis=axis)


def _stacked(
    bounds: Mapping[str, Any], parts: Mapping[str, tuple[int, int]], *, whole: int = 1
) -> list[dict[str, Any]]:
    """A row for each part that isn't nought, and for the first: what is stacked as shares of `whole`."""
    rows: list[dict[str, Any]] = []
    below, start, end = 0, bounds["t"], bounds["u"]
    for at, (name, (number, kind)) in enumerate(parts.items()):
        if number or not at:
            rows.append(
                {
                    "t": start,
                    "v": end - round((end - start) * 0.14),
                    "day": bounds["day"],
                    "kind": name,
                    "g": kind,
                    "a": round(below / (whole or 1), 5),
                    "b": round((below + number) / (whole or 1), 5),
                    "n": number,
                }
            )
        below += number
    return rows


def _ms(day: date) -> int:
    return to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))
