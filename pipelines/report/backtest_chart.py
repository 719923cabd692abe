"""A backtest as an SVG: for each type of asset, each method's error beside persistence's."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

WORST_SHOWN = 2.0
"""Times persistence's error up to which bars are drawn; a longer one is cut, and its label tells. Ours."""

BETTER, WORSE, PERSISTENCE = "#17415f", "#d97a1e", "#8fb8d6"
TITLES = {"all": "all assets", "load": "loads", "pv": "PV", "heat_pump": "heat pumps", "ev_charger": "EV chargers"}
TITLES |= {"battery": "batteries", "smart_meter": "smart meters"}
LABELS = {
    "persistence": "persistence",
    "yesterday": "as yesterday",
    "last_week": "as last week",
    "blend": "blend",
    "model": "model",
    "chosen": "as chosen",
}
"""Methods as people read them, in the order in which they are shown."""


def write_backtest_chart(rows: Iterable[Mapping[str, Any]], *, title: str, path: Path) -> None:
    """Write the chart.

    Args:
        rows: type, method, ratio (errors over persistence's; None where that has none), of a backtest by type.
        title: which community and period.
        path: of the SVG.
    """
    drawn = [
        {
            "type": TITLES.get(row["type"], row["type"]),
            "method": LABELS[row["method"]],
            "share": min(row["ratio"], WORST_SHOWN),
            "label": f"{row['ratio']:.0%}",
            "colour": _colour(row["method"], row["ratio"]),
        }
        for row in rows
        if row["ratio"] is not None and row["method"] in LABELS
    ]
    known = dict.fromkeys([*TITLES.values(), *(str(row["type"]) for row in drawn)])
    kinds = [kind for kind in known if any(row["type"] == kind for row in drawn)]
    base = alt.Chart().encode(
        y=alt.Y("method:N", sort=list(LABELS.values()), title=None),
        x=alt.X(
            "share:Q",
            scale=alt.Scale(domain=[0, WORST_SHOWN]),
            axis=alt.Axis(format=".0%", tickCount=5, title="mean absolute error, persistence = 100 %"),
        ),
    )
    bars = base.mark_bar(height=13).encode(color=alt.Color("colour:N", scale=None, legend=None))
    label = {"align": "left", "dx": 4, "fontSize": 10}
    halo = base.mark_text(**label, stroke="white", strokeWidth=4).encode(text="label:N")
    labels = base.mark_text(**label).encode(text="label:N")
    line = alt.Chart().mark_rule(strokeDash=[3, 3], stroke="#555").encode(x=alt.datum(1.0))
    chart = (
        alt.layer(bars, line, halo, labels, data=alt.InlineData(values=drawn))
        .properties(width=420, height=110)
        .facet(row=alt.Row("type:N", sort=kinds, title=None, header=alt.Header(labelAngle=0, labelAlign="left")))
        .properties(title=title)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(vl_convert.vegalite_to_svg(chart.to_dict()), encoding="utf-8")


def _colour(method: str, ratio: float) -> str:
    if method == "persistence":
        return PERSISTENCE
    return BETTER if ratio < 1 else WORSE
