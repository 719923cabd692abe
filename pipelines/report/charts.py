"""What the charts as Vega-Lite specifications share. Data are named only; the page holds them once for all charts.

Colours, patterns, shapes and words say the same thing. Grades are filled with the page's own patterns; the names of the
other marks (sent, exchange, differs) become CSS classes, by which the page gives them the colours of light, dark and
paper. Charts are as wide as their place. No layer is ever without rows: its scale would have no extent.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import altair as alt

from pipelines.community import ENERGY_WH
from pipelines.report.grades import Grade
from pipelines.report.times import Tick, local_expression, ticks, to_ms

SENT, EXCHANGE, DIFFERS = "#6b4fa0", "#17415f", "#c0291d"
CROSS = "M-1,-1L1,1M1,-1L-1,1"

Spec = dict[str, Any]


class Period:
    """The time axis that charts share: instants of UTC, written in local time."""

    def __init__(self, start: datetime, end: datetime, zone: ZoneInfo) -> None:
        self.start, self.end, self.zone = start, end, zone

    def x(self, field: str, *, at_most: int = 14) -> alt.X:
        """Position along the axis of a field in ms since 1970 UTC."""
        marked = ticks(self.start, self.end, self.zone, at_most=at_most)
        axis = alt.Axis(
            values=[tick.at_ms for tick in marked],
            labelExpr=labels(marked),
            labelOverlap="parity",
            labelSeparation=6,
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


def labels(marked: Sequence[Tick]) -> str:
    """Vega expression from a tick's place to its lines; the texts are dates, made here, not data."""
    if not marked:
        return "''"
    lines = {str(tick.at_ms): list(tick.lines) for tick in marked}
    return f"({lines})[datum.value]"


def community_chart(period: Period, group: str) -> Spec:
    """Energy of all assets of a group together over time. Data: `totals`, in Wh."""
    base = (
        alt.Chart(alt.NamedData("totals"))
        .transform_filter(alt.datum.g == group)
        .transform_calculate(when=period.text("t"), **energy_texts("kWh"))
    )
    tooltip = [alt.Tooltip("when:N", title="From"), *ENERGY_TOOLTIPS]
    known = (
        base.transform_calculate(y="(isValid(datum.w) ? datum.w : 0) / 1000")
        .mark_rect(aria=False)
        .encode(x=period.x("t"), x2="u", y=energy_axis("y:Q", "kWh"), y2=alt.datum(0), tooltip=tooltip)
        .properties(name="known")
    )
    lines = exchange_and_sent(base, tooltip, divisor=1000)
    chart = alt.layer(known, *lines).properties(width="container", height=150)
    return spec(chart, f"{group}: energy known here, sent and at the exchange, per slot.")


def energy_axis(field: str, unit: str, *, scale: alt.Scale | None = None) -> alt.Y:
    """An energy, upwards from nought."""
    axis = alt.Axis(
        title=unit, tickCount=4, format=",~r", titleAngle=0, titleAlign="left", titleAnchor="end", titleY=-8
    )
    return alt.Y(field, axis=axis, scale=scale or alt.Scale(zero=True))


def exchange_and_sent(
    base: alt.Chart, tooltip: Sequence[alt.Tooltip], *, divisor: int, scale: alt.Scale | None = None
) -> tuple[alt.Chart, alt.Chart]:
    """A line over each place for what the exchange holds, and a diamond for what was sent; invisible where nothing."""
    unit = "kWh" if divisor == 1000 else "Wh"
    placed = base.transform_calculate(
        exchange=f"(isValid(datum.e) ? datum.e : 0) / {divisor}",
        sent=f"(isValid(datum.s) ? datum.s : 0) / {divisor}",
        middle="(datum.t + datum.u) / 2",
        exchange_shown="isValid(datum.e) ? 1 : 0",
        sent_shown="isValid(datum.s) ? 1 : 0",
    )
    exchange = placed.mark_rule(stroke=EXCHANGE, strokeWidth=2, aria=False).encode(
        x="t:Q",
        x2="u",
        y=energy_axis("exchange:Q", unit, scale=scale),
        strokeOpacity=alt.StrokeOpacity("exchange_shown:Q", scale=None, legend=None),
        tooltip=tooltip,
    )
    sent = placed.mark_point(shape="diamond", size=13, stroke=SENT, strokeWidth=1, fillOpacity=0, aria=False).encode(
        x="middle:Q",
        y=energy_axis("sent:Q", unit, scale=scale),
        strokeOpacity=alt.StrokeOpacity("sent_shown:Q", scale=None, legend=None),
        tooltip=tooltip,
    )
    return exchange.properties(name="exchange"), sent.properties(name="sent")


def patterned(field: str, patterns: Sequence[str]) -> alt.Fill:
    """A field's numbers 0, 1, ... as the page's patterns of these names; "" is drawn by somebody else."""
    filled = [f"url(#{name})" if name else "none" for name in patterns]
    scale = alt.Scale(domain=list(range(len(patterns))), range=filled)
    return alt.Fill(f"{field}:O", scale=scale, legend=None)


GRADE_PATTERNS = [f"grade-{grade.value}" for grade in Grade]
"""The page's patterns of the grades."""


def energy_texts(unit: str) -> dict[str, str]:
    """Vega expressions that write the energies of a row in the unit, or that there is none."""
    divisor, digits = ENERGY_WH[unit], {"Wh": 1, "kWh": 3}[unit]
    return {
        f"{name}_text": (
            f"isValid(datum.{field}) ? format(datum.{field} / {divisor}, ',.{digits}f') + ' {unit}' : 'none'"
        )
        for name, field in (("known", "w"), ("sent", "s"), ("exchange", "e"))
    }


ENERGY_TOOLTIPS = (
    alt.Tooltip("known_text:N", title="Energy here"),
    alt.Tooltip("exchange_text:N", title="At the exchange"),
    alt.Tooltip("sent_text:N", title="Forecast sent"),
)


def spec(chart: alt.TopLevelMixin, description: str) -> Spec:
    """The chart as a document; what it shows is told by the page, so its parts have no names of their own."""
    styled = chart.properties(
        description=description, background="transparent", autosize={"type": "fit-x", "contains": "padding"}
    ).configure(
        font="system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
        axis=alt.AxisConfig(
            aria=False,
            labelFontSize=11,
            titleFontSize=11,
            titleFontWeight="normal",
            domainWidth=0.5,
            tickWidth=0.5,
            gridWidth=0.5,
        ),
        view=alt.ViewConfig(stroke=None),
    )
    found: Spec = styled.to_dict(validate=False)
    return found
