"""The door of `report`: one HTML page for the people who run a community.

The page is a single file that opens without a network: Vega's runtime, the data and the style are in it, and its
content security policy lets nothing else run or be fetched.
"""

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import altair as alt
import polars as pl
import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipelines.community import AssetType, Community
from pipelines.errors import TerminalError
from pipelines.report import charts, summary, tables
from pipelines.report import queries as q
from pipelines.report.figures import AssetStatus, Status
from pipelines.report.series import MULTIPLES, asset_series, buckets_for, community_series
from pipelines.report.status import status as status_of
from pipelines.report.times import local_text, utc_text
from pipelines.slots import slot_floor
from pipelines.store import Store

PAGE = Path(__file__).parent / "page"
RELEASE, DISCARD = "quarantine release", "quarantine discard"
"""Commands that decide about a quarantined reading, followed by the row's number."""

BARS = 12
"""Bars that a chart shows; the rest is summed up in one more."""

KIND_WORDS = {AssetType.PV.value: "PV", AssetType.EV_CHARGER.value: "EV charger"}
BUCKET_WORDS = {"1d": "day", "1w": "week", "1mo": "month"}


def write_report(
    store: Store,
    community: Community,
    *,
    start: datetime,
    end: datetime,
    now: datetime,
    path: Path,
    broken_in_words: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write the page about the slots of [start, end) as they stand at `now`.

    Args:
        store: the community's database.
        community: the file; local times are those of its zone.
        start: of the period.
        end: of the period.
        now: slots that end later are left out of charts and sums.
        path: of the page. It is replaced whole or not at all; missing folders are made.
        broken_in_words: expectation -> a sentence for people. Names without one are shown as they are.

    Returns:
        `path`.

    Raises:
        TerminalError: the file can't be written.
    """
    page = _environment(ZoneInfo(community.community.time_zone)).get_template("page.html.j2")
    text = page.render(_content(store, community, start=start, end=end, now=now, in_words=broken_in_words))
    part = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise TerminalError(
            f"Report of {community.community.name}: {path} can't be written ({error.strerror}); "
            "make room or choose another path"
        ) from error
    return path


def _content(
    store: Store, community: Community, *, start: datetime, end: datetime, now: datetime, in_words: Mapping[str, str]
) -> dict[str, Any]:
    status = status_of(store, community, start=start, end=end, now=now)
    zone = ZoneInfo(community.community.time_zone)
    names = {asset.asset_id: asset.name for asset in community.assets}
    scope = q.Scope(asset_ids=tuple(asset.uuid for asset in status.per_asset), start=start, end=end)
    over = max(start, min(end, slot_floor(now, community.slot_length)))
    with store.reading() as connection:
        figures = tables.asset_figures(connection, scope, status)
        charted = [row.status for row in figures[:MULTIPLES]]
        groups = _groups(community, status)
        discrepancies = tables.open_discrepancies(connection, scope, names, total=status.open_discrepancies)
        quarantine = tables.quarantined_readings(
            connection, community, start, end, in_words=in_words, total=status.quarantined + status.suspect
        )
        frames = {
            "slots": asset_series(connection, community, charted, start, over),
            "totals": community_series(connection, community, groups, start, over),
            "broken": _bars({name: {"rows": n} for name, n in status.quarantined_by_expectation.items()}),
            "causes": _bars(_causes(status)),
        }
    scripts = [Markup(_runtime()), Markup((PAGE / "page.js").read_text(encoding="utf-8"))]  # noqa: S704 - our own files
    exchange_wh = sum(row.exchange_wh or 0.0 for row in figures)
    return {
        "status": status,
        "zone": zone.key,
        "protocol": community.exchange.protocol,
        "slot_minutes": community.community.slot_length,
        "bucket": _bucket_words(community, start, over),
        "start": start,
        "end": end,
        "now": now,
        "verdict": summary.verdict(status, discrepancies.rows, zone),
        "tiles": summary.tiles(status, community, exchange_wh=exchange_wh),
        "measurements": status.submissions["measurement"]["accepted"],
        "charted": len(charted),
        "discrepancies": discrepancies,
        "quarantine": quarantine,
        "unaccounted": tables.Table(rows=status.unaccounted.first, total=status.unaccounted.count),
        "assets": tables.Table(rows=tuple(figures[: tables.ROWS]), total=len(figures)),
        "release": RELEASE,
        "discard": DISCARD,
        "data": {name: frame.to_dict(as_series=False) for name, frame in frames.items()},
        "specs": _specs(frames, charted, tuple(groups), charts.Period(start, over, zone)),
        "css": Markup((PAGE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        "scripts": scripts,
        "colors": {"open": charts.DIFFERS, "closed": charts.SENT},
        "script_hashes": Markup(" ".join(_hash(script) for script in scripts)),  # noqa: S704 - base64
    }


def _specs(
    frames: Mapping[str, pl.DataFrame], charted: Sequence[AssetStatus], groups: Sequence[str], period: charts.Period
) -> dict[str, charts.Spec]:
    """The charts that have something to show."""
    names = _labels(charted)
    specs: dict[str, charts.Spec] = {}
    if not frames["totals"].is_empty():
        specs["community"] = charts.community_chart(period, groups)
    if not frames["slots"].is_empty():
        specs["assets"] = charts.asset_chart(period, names)
        specs["coverage"] = charts.coverage_chart(period, names)
    for data, parts, description in (
        ("broken", {"rows": charts.GAP}, "Readings in quarantine by the expectation they broke."),
        ("causes", {"open": charts.DIFFERS, "closed": charts.SENT}, "Discrepancies by diagnosis, open and closed."),
    ):
        if rows := frames[data]["name"].n_unique():
            specs[data] = charts.bar_chart(data, parts=parts, rows=rows, description=description)
    return specs


def _groups(community: Community, status: Status) -> dict[str, tuple[str, ...]]:
    """Live assets by what the exchange takes them for."""
    live = {asset.uuid for asset in status.per_asset}
    found = {
        title: tuple(a.asset_id for a in community.assets if a.asset_id in live and a.type.sent_as is kind)
        for title, kind in (("Loads", AssetType.LOAD), ("PV", AssetType.PV))
    }
    return {title: ids for title, ids in found.items() if ids}


def _labels(charted: Sequence[AssetStatus]) -> list[str]:
    """Names for the charts; those that occur twice get the beginning of their uuid."""
    names = [asset.name for asset in charted]
    return [f"{a.name} ({a.uuid[:8]})" if names.count(a.name) > 1 else a.name for a in charted]


def _causes(status: Status) -> dict[str, dict[str, int]]:
    causes = dict.fromkeys([*status.discrepancies, *status.closed_discrepancies])
    return {
        cause: {"open": status.discrepancies.get(cause, 0), "closed": status.closed_discrepancies.get(cause, 0)}
        for cause in causes
    }


def _bars(counts: Mapping[str, Mapping[str, int]]) -> pl.DataFrame:
    """Rows of a bar chart; what is beyond BARS becomes one bar."""
    shown = dict(list(counts.items())[:BARS])
    if rest := list(counts.values())[BARS:]:
        shown[f"{len(rest)} others"] = {part: sum(row[part] for row in rest) for part in rest[0]}
    rows = [
        {"name": name, "part": part, "rows": number, "place": place, "words": _words(parts)}
        for name, parts in shown.items()
        for place, (part, number) in enumerate(parts.items())
    ]
    schema = {"name": pl.String, "part": pl.String, "rows": pl.Int64, "place": pl.Int64, "words": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _words(parts: Mapping[str, int]) -> str:
    if "rows" in parts:
        return f"{parts['rows']:,}"
    return ", ".join(f"{number:,} {part}" for part, number in parts.items() if number)


def _bucket_words(community: Community, start: datetime, end: datetime) -> str:
    minutes = community.community.slot_length
    every = buckets_for(start, end, slot_minutes=minutes, zone=community.community.time_zone).every
    if every == f"{minutes}m":
        return "slot"
    return BUCKET_WORDS.get(every) or f"{every.removesuffix('m')} minutes"


@cache
def _runtime() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that leaves `vegaEmbed` on the window."""
    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)


def _number(value: float | None) -> str:
    """With up to three decimals, at least one."""
    if value is None:
        return "no value"
    text = f"{value:,.3f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def _hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _environment(zone: ZoneInfo) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters |= {
        "local": lambda instant: local_text(instant, zone),
        "day": lambda instant: f"{instant.astimezone(zone):%d %b %Y}" if instant else "none",
        "time": lambda instant: f"{instant.astimezone(zone):%H:%M %Z}" if instant else "",
        "utc": utc_text,
        "number": _number,
        "kwh": lambda value: "none" if value is None else f"{value / 1000:,.2f}",
        "percent": lambda share: f"{math.floor(share * 1000 + 1e-6) / 10:.1f} %",
        "counted": summary.counted,
        "kind": lambda kind: KIND_WORDS.get(kind, kind.replace("_", " ")),
    }
    return environment
