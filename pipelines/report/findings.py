"""Findings and checks as rows for a screen."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from expectations.names import CHECKS
from expectations.thresholds import THRESHOLDS, Bounds
from pipelines.community import Asset, Community


def finding_rows(findings: pl.DataFrame, community: Community) -> list[Mapping[str, Any]]:
    """One row per finding: time (local), asset, check, value against its bounds, severity, what became of it.

    Args:
        findings: frame of `pipelines.validate.findings.LISTED`.
        community: names the assets; times are those of its zone.
    """
    names = {asset.asset_id: asset.name for asset in community.assets}
    zone = ZoneInfo(community.community.time_zone)
    return [
        {
            "time": "unreadable" if row["ts"] is None else _short(row["ts"], zone),
            "asset": names.get(row["asset_id"], row["asset_id"]),
            "broke": row["check_name"],
            "by": _found(row),
            "severity": row["severity"],
            "state": f"{row['closed_by'] or 'open'} since {_short(row['closed_at'] or row['found_at'], zone)}",
        }
        for row in findings.iter_rows(named=True)
    ]


def grouped_rows(findings: pl.DataFrame, community: Community, *, most: int) -> list[Mapping[str, Any]]:
    """One row per asset, check and severity: how many rows, from when to when, and the newest one's value.

    Args:
        findings: frame of `pipelines.validate.findings.LISTED`, newest first.
        community: names the assets; times are those of its zone.
        most: groups at most, those of the newest rows first.
    """
    keys = ["asset_id", "check_name", "severity", "closed_by"]
    groups = findings.group_by(keys, maintain_order=True).agg(
        pl.len().alias("rows"), pl.col("ts").min().alias("from_ts"), pl.exclude(keys).first()
    )
    newest = groups.head(most)
    zone = ZoneInfo(community.community.time_zone)
    return [
        {
            "asset": told["asset"],
            "broke": told["broke"],
            "rows": f"{row['rows']:,}",
            "from": "" if row["from_ts"] is None else _short(row["from_ts"], zone),
            "to": told["time"],
            "newest by": told["by"],
            "severity": told["severity"],
            "state": row["closed_by"] or "open",
        }
        for row, told in zip(newest.iter_rows(named=True), finding_rows(newest, community), strict=True)
    ]


def check_rows(community: Community, asset: Asset) -> list[Mapping[str, Any]]:
    """One row per check: what it means, what is good for this asset, and whose number that is."""
    limits = community.limits(asset)
    rows: list[Mapping[str, Any]] = []
    for check, meaning in CHECKS.items():
        limit = limits.get(check)
        rows.append(
            {
                "check": check.value,
                "VEE": meaning.vee or None,
                "what": THRESHOLDS[check].quantity if check in THRESHOLDS else meaning.title,
                "good": bounds_in_words(limit.bounds) if limit else "fixed",
                "severity": (limit.severity if limit else meaning.severity).value,
                "default": THRESHOLDS[check].origin.partition(":")[0] if check in THRESHOLDS else None,
            }
        )
    return rows


def bounds_in_words(bounds: Bounds) -> str:
    """`0.4 to 2`, `at most 1.2`, `at least 0.999`; "" without bounds."""
    match bounds.low, bounds.high:
        case None, None:
            return ""
        case None, high:
            return f"at most {high:g}"
        case low, None:
            return f"at least {low:g}"
        case low, high:
            return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _found(row: Mapping[str, Any]) -> str:
    """The value with what would be good, and the word that the check is about."""
    good = bounds_in_words(Bounds(low=row["low"], high=row["high"]))
    value = "" if row["value"] is None else f"{row['value']:,.6g}"
    return ", ".join(part for part in (f"{value} (good: {good})" if value and good else value, row["detail"]) if part)


def _short(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M %Z}"
