"""The charts of single assets: all of them as a map of grades, and each by itself."""

from collections.abc import Sequence

import altair as alt

from pipelines.report.charts import (
    CROSS,
    DIFFERS,
    ENERGY_TOOLTIPS,
    GRADE_PATTERNS,
    Period,
    Spec,
    energy_axis,
    energy_texts,
    exchange_and_sent,
    patterned,
    spec,
)
from pipelines.report.grades import WORDS, Grade

HEIGHT = 190
"""Pixels of one asset's chart."""

TOP = 26
"""Pixels at its top that are kept for the coverage and the crosses."""

ROW = 17
"""Pixels of an asset's row in the map."""

STRIP = 9
"""Height of the coverage strip in pixels."""

GRADE_WORDS = [WORDS[grade] for grade in Grade]


def grade_map(period: Period, names: Sequence[str]) -> Spec:
    """A row of slots for each asset, coloured by the worst grade of each. Data: `runs`."""
    base = alt.Chart(alt.NamedData("runs")).transform_calculate(
        when=period.text("t"), until=period.text("u"), asset="names[datum.k]", grade="grades[datum.g]"
    )
    label = alt.Axis(
        title=None,
        labelExpr="names[datum.value]",
        labelLimit=130,
        ticks=False,
        domain=False,
        labelPadding=6,
        grid=False,
    )
    y = alt.Y("k:O", axis=label, scale=alt.Scale(paddingInner=0.18))
    tooltip = [
        alt.Tooltip("asset:N", title="Asset"),
        alt.Tooltip("when:N", title="From"),
        alt.Tooltip("until:N", title="Until"),
        alt.Tooltip("grade:N", title="How known"),
    ]
    chart = (
        base.mark_rect(aria=False)
        .encode(x=period.x("t"), x2="u", y=y, fill=patterned("g", GRADE_PATTERNS), tooltip=tooltip)
        .properties(name="grades", width="container", height=ROW * len(names))
        .add_params(alt.param(name="names", value=list(names)), alt.param(name="grades", value=GRADE_WORDS))
    )
    return spec(alt.layer(chart), "How well each slot of each asset is known.")


def asset_chart(period: Period) -> Spec:
    """One asset's energy per slot by grade, with what was sent and what the exchange holds, and its coverage.

    Data: `cells`, `parts` and `runs` of this asset alone, in Wh.
    """
    scale = alt.Scale(zero=True, range=[HEIGHT, TOP])
    cells = alt.Chart(alt.NamedData("cells")).transform_calculate(
        when=period.text("t"), middle="(datum.t + datum.u) / 2", **energy_texts("Wh")
    )
    parts = alt.Chart(alt.NamedData("parts")).transform_calculate(
        when=period.text("t"), grade="grades[datum.g]", energy="format(datum.b - datum.a, ',.1f') + ' Wh'"
    )
    energy = (
        parts.mark_rect(aria=False)
        .encode(
            x=period.x("t"),
            x2="u",
            y=energy_axis("a:Q", "Wh", scale=scale),
            y2="b",
            fill=patterned("g", [*GRADE_PATTERNS[:-1], ""]),
            tooltip=[
                alt.Tooltip("when:N", title="From"),
                alt.Tooltip("grade:N", title="How known"),
                alt.Tooltip("energy:N", title="Energy"),
                alt.Tooltip("n:Q", title="Slots"),
            ],
        )
        .properties(name="grades")
    )
    missing = (
        alt.Chart(alt.NamedData("runs"))
        .transform_filter(f"datum.g === {Grade.MISSING.value}")
        .transform_calculate(when=period.text("t"), until=period.text("u"))
        .mark_rect(fill=f"url(#{GRADE_PATTERNS[Grade.MISSING]})", aria=False)
        .encode(
            x=period.x("t"),
            x2="u",
            y=alt.value(TOP),
            y2=alt.value(HEIGHT),
            tooltip=[alt.Tooltip("when:N", title="Missing from"), alt.Tooltip("until:N", title="Until")],
        )
        .properties(name="missing")
    )
    tooltip = [
        alt.Tooltip("when:N", title="From"),
        *ENERGY_TOOLTIPS,
        alt.Tooltip("c:Q", title="Backed by readings", format=".0%"),
    ]
    lines = exchange_and_sent(cells, tooltip, divisor=1, scale=scale)
    cross = (
        cells.transform_filter("datum.d > 0")
        .mark_point(shape=CROSS, size=40, stroke=DIFFERS, strokeWidth=2, opacity=1, aria=False)
        .encode(x="middle:Q", y=alt.value((STRIP + TOP) / 2), tooltip=tooltip)
        .properties(name="differs")
    )
    chart = (
        alt.layer(missing, energy, *_coverage(cells, period, tooltip), *lines, cross)
        .properties(width="container", height=HEIGHT)
        .add_params(alt.param(name="grades", value=GRADE_WORDS))
    )
    return spec(chart, "Energy of one asset per slot: how it is known, what was sent, what the exchange holds.")


def _coverage(cells: alt.Chart, period: Period, tooltip: Sequence[alt.Tooltip]) -> tuple[alt.Chart, alt.Chart]:
    """A strip along the top: filled as far as readings back each slot. In pixels, for it has no part in the scale."""
    x = period.x("t")
    track = cells.mark_rect(fill="#dbe1e5", aria=False).encode(
        x=x, x2="u", y=alt.value(0), y2=alt.value(STRIP), tooltip=tooltip
    )
    top = alt.expr(f"{STRIP} * (1 - datum.c)")
    filled = cells.mark_rect(aria=False, y=top, y2=STRIP).encode(x=x, x2="u", tooltip=tooltip)
    return track.properties(name="track"), filled.properties(name="covered")
