"""The charts as Vega-Lite specifications. Data are named only; the page holds them once for all charts.

Colours, shapes and words say the same thing: what differs is a cross, what is missing is a ring. The mark's
names (sent, exchange, differs) become CSS classes, so that the page can adapt them to a dark screen.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import altair as alt

from pipelines.community import ENERGY_WH
from pipelines.report.times import Tick, local_expression, ticks, to_ms

WIDTH = 1030
PANEL = 54
"""Pixels: of a whole chart in width, of one asset's panel in height."""

SENT, EXCHANGE, DIFFERS, CALM, GAP = "#8fb8d6", "#17415f", "#c0291d", "#4f9a86", "#d97a1e"
CROSS = "M-1,-1L1,1M1,-1L-1,1"

Spec = dict[str, Any]


class Period:
    """The time axis that the charts share: instants of UTC, written in local time."""

    def __init__(self, start: datetime, end: datetime, zone: ZoneInfo) -> None:
        self.start, self.end, self.zone = start, end, zone

    def x(self, field: str, *, at_most: int, first_line_only: bool = False) -> alt.X:
        """Position along the axis of a field in ms since 1970 UTC."""
        marked = ticks(self.start, self.end, self.zone, at_most=at_most)
        axis = alt.Axis(
            values=[tick.at_ms for tick in marked],
            labelExpr=_labels(marked, first_line_only=first_line_only),
            labelFontSize=9 if first_line_only else 10,
            labelOverlap=False,
            labelFlush=False,
            title=None,
            grid=True,
            ticks=True,
        )
        domain = [to_ms(self.start), to_ms(self.end)]
        return alt.X(field, type="quantitative", scale=alt.Scale(domain=domain, nice=False, zero=False), axis=axis)

    def text(self, field: str) -> str:
        """Vega expression that writes the field in local time."""
        return local_expression(f"datum.{field}", self.start, self.end, self.zone)


def community_chart(period: Period, groups: Sequence[str]) -> Spec:
    """Energy of all assets together over time, a panel for each group. Data: `totals`, in Wh."""
    base = alt.Chart(alt.NamedData("totals")).transform_calculate(
        when=period.text("t"), sent_text=_energy_text("s", "kWh"), exchange_text=_energy_text("e", "kWh")
    )
    tooltip = [alt.Tooltip("when:N", title="From"), *_BOTH]
    layers = _sent_and_exchange(
        base,
        period.x("t", at_most=14),
        alt.Axis(title="kWh", tickCount=4),
        divisor=1000,
        line_width=2,
        tooltip=tooltip,
    )
    chart = (
        alt.layer(*layers)
        .properties(width=WIDTH - 50, height=120)
        .facet(row=alt.Row("g:N", title=None, sort=list(groups), header=_HEADER))
        .resolve_scale(y="independent")
    )
    return _spec(chart, "Energy sent and energy at the exchange per slot, all assets together: loads, then PV.")


def asset_chart(period: Period, names: Sequence[str]) -> Spec:
    """The same for each charted asset by itself. Data: `slots`, in Wh."""
    columns = min(6, max(1, len(names)))
    slots = alt.Chart(alt.NamedData("slots"))
    base = slots.transform_calculate(
        when=period.text("t"),
        asset="names[datum.k]",
        sent_text=_energy_text("s", "Wh"),
        exchange_text=_energy_text("e", "Wh"),
    )
    tooltip = [alt.Tooltip("asset:N", title="Asset"), alt.Tooltip("when:N", title="From"), *_BOTH]
    layers = _sent_and_exchange(
        base,
        period.x("t", at_most=5, first_line_only=True),
        alt.Axis(title=None, tickCount=2, format=",~r", labelPadding=2, labelFontSize=9),
        divisor=1,
        line_width=1.4,
        tooltip=tooltip,
    )
    # At a fixed height: a panel without any would have no scale for them.
    found = base.transform_filter("datum.d > 0").transform_calculate(middle="(datum.t + datum.u) / 2")
    line = found.mark_rule(stroke=DIFFERS, strokeWidth=1, strokeOpacity=0.5, aria=False).encode(
        x="middle:Q", y=alt.value(0), y2=alt.value(PANEL), tooltip=tooltip
    )
    cross = found.mark_point(shape=CROSS, size=45, stroke=DIFFERS, strokeWidth=2, opacity=1, aria=False).encode(
        x="middle:Q", y=alt.value(5), tooltip=tooltip
    )
    # Not the facet's own header: that would stand higher or lower with the axis labels beside it.
    title = (
        slots.transform_aggregate(first="min(t)", groupby=["k"])
        .transform_calculate(asset="names[datum.k]")
        .mark_text(align="left", baseline="bottom", x=0, y=-5, fontSize=11, limit=(WIDTH - 44 * columns) / columns + 8)
        .encode(text="asset:N", tooltip=["asset:N"])
    )
    facet = alt.Facet("k:O", title=None, header=alt.Header(labelExpr="''", title=None))
    chart = (
        alt.layer(*layers, line.properties(name="where"), cross.properties(name="differs"), title)
        .properties(width=(WIDTH - 44 * columns) / columns, height=PANEL)
        .facet(facet=facet, columns=columns, bounds="flush", spacing={"row": 30, "column": 44})
        .resolve_scale(y="independent")
        .add_params(alt.param(name="names", value=list(names)))
    )
    return _spec(chart, "Energy sent and energy at the exchange per slot, a small panel for each asset.")


def coverage_chart(period: Period, names: Sequence[str]) -> Spec:
    """How much of each slot readings back. Data: `slots`."""
    base = alt.Chart(alt.NamedData("slots")).transform_calculate(
        when=period.text("t"), asset="names[datum.k]", middle="(datum.t + datum.u) / 2"
    )
    x = period.x("t", at_most=14)
    label = alt.Axis(
        title=None, labelExpr="names[datum.value]", labelLimit=155, ticks=False, domain=False, labelPadding=6
    )
    y = alt.Y("k:O", axis=label, scale=alt.Scale(paddingInner=0.12))
    tooltip = [
        alt.Tooltip("asset:N", title="Asset"),
        alt.Tooltip("when:N", title="From"),
        alt.Tooltip("c:Q", title="Backed by readings", format=".0%"),
        alt.Tooltip("m:Q", title="Slots without a value"),
    ]
    whole = base.transform_filter("datum.m < datum.n && datum.c >= 0.999").mark_rect(
        fill=CALM, fillOpacity=0.38, aria=False
    )
    partial = base.transform_filter("datum.m < datum.n && datum.c < 0.999").mark_rect(fill=GAP, aria=False)
    missing = base.transform_filter("datum.m === datum.n").mark_point(
        shape="circle", size=20, stroke=DIFFERS, strokeWidth=1.6, opacity=1, aria=False
    )
    opacity = alt.Opacity("c:Q", scale=alt.Scale(domain=[0, 1], range=[1, 0.3]), legend=None)
    chart = (
        alt.layer(
            whole.encode(x=x, x2="u", y=y, tooltip=tooltip).properties(name="whole"),
            partial.encode(x=x, x2="u", y=y, opacity=opacity, tooltip=tooltip).properties(name="partial"),
            missing.encode(x="middle:Q", y=y, tooltip=tooltip).properties(name="missing"),
        )
        .properties(width=WIDTH - 170, height=alt.Step(15))
        .add_params(alt.param(name="names", value=list(names)))
    )
    return _spec(chart, "How much of each slot is backed by readings, a row for each asset.")


def bar_chart(data: str, *, parts: Mapping[str, str], rows: int, description: str) -> Spec:
    """Counted things as bars, with the count in words at the end of each.

    Args:
        data: name of the data: `name`, `part`, `rows`, `words`.
        parts: what a bar is stacked of, in order, with its colour.
        rows: number of bars.
        description: for readers who don't see the chart.
    """
    base = alt.Chart(alt.NamedData(data))
    axis = alt.Axis(title=None, labelLimit=230, ticks=False, domain=False, labelPadding=8)
    y = alt.Y("name:N", sort=None, axis=axis)
    colors = alt.Scale(domain=list(parts), range=list(parts.values()))
    bars = base.mark_bar(height=15, cornerRadiusEnd=2).encode(
        y=y,
        x=alt.X("rows:Q", axis=None, stack="zero"),
        color=alt.Color("part:N", scale=colors, legend=None),
        order=alt.Order("place:Q"),
        tooltip=[alt.Tooltip("name:N", title="Name"), alt.Tooltip("words:N", title="Rows")],
    )
    words = (
        base.transform_aggregate(end="sum(rows)", groupby=["name", "words"])
        .mark_text(align="left", dx=6)
        .encode(y=y, x=alt.X("end:Q"), text="words:N")
    )
    chart = alt.layer(bars, words).properties(width=200, height=rows * 26)
    return _spec(chart, description)


def _sent_and_exchange(
    base: alt.Chart, x: alt.X, axis: alt.Axis, *, divisor: int, line_width: float, tooltip: Sequence[alt.Tooltip]
) -> tuple[alt.Chart, alt.Chart]:
    """Bars of what was sent, and a line over each for what the exchange holds.

    A value that isn't there is drawn invisibly, in its neighbour's place: left out, a panel in which nothing
    was sent or read back would have no scale.
    """
    placed = base.transform_calculate(
        sent=f"(isValid(datum.s) ? datum.s : 0) / {divisor}",
        exchange=f"(isValid(datum.e) ? datum.e : isValid(datum.s) ? datum.s : 0) / {divisor}",
        shown="isValid(datum.e) ? 1 : 0",
    )
    sent = placed.mark_rect(fill=SENT, aria=False).encode(
        x=x, x2="u", y=alt.Y("sent:Q", axis=axis), y2=alt.datum(0), tooltip=tooltip
    )
    exchange = placed.mark_rule(stroke=EXCHANGE, strokeWidth=line_width, aria=False).encode(
        x=x,
        x2="u",
        y="exchange:Q",
        strokeOpacity=alt.StrokeOpacity("shown:Q", scale=None, legend=None),
        tooltip=tooltip,
    )
    return sent.properties(name="sent"), exchange.properties(name="exchange")


def _energy_text(field: str, unit: str) -> str:
    """Vega expression that writes an energy in Wh in the unit, or that there is none."""
    divisor, digits = ENERGY_WH[unit], {"Wh": 1, "kWh": 3}[unit]
    return f"isValid(datum.{field}) ? format(datum.{field} / {divisor}, ',.{digits}f') + ' {unit}' : 'no value'"


_BOTH = (alt.Tooltip("sent_text:N", title="Sent"), alt.Tooltip("exchange_text:N", title="At the exchange"))
_HEADER = alt.Header(labelOrient="top", labelAnchor="start", labelFontSize=12, labelFontWeight="bold", title=None)


def _labels(marked: Sequence[Tick], *, first_line_only: bool) -> str:
    """Vega expression from a tick's place to its lines; the texts are dates, made here, not data."""
    if not marked:
        return "''"
    lines = {str(tick.at_ms): list(tick.lines[:1] if first_line_only else tick.lines) for tick in marked}
    return f"({lines})[datum.value]"


def _spec(chart: alt.TopLevelMixin, description: str) -> Spec:
    styled = chart.properties(description=description, background="transparent").configure(
        font="system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
        axis=alt.AxisConfig(
            labelFontSize=10, titleFontSize=10, titleFontWeight="normal", domainWidth=0.5, tickWidth=0.5, gridWidth=0.5
        ),
        view=alt.ViewConfig(stroke=None),
    )
    spec: Spec = styled.to_dict()
    return spec
