"""What a certificate says, and the hash by which its rows can be found unchanged later."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import polars as pl

from pipelines.commission.names import SKIPPED, Terms
from pipelines.commission.streaks import different_energies, period
from pipelines.community import Asset, Community
from pipelines.frames import Quality
from pipelines.reconcile.same import RELATIVE_TOLERANCE, TOLERANCE_WH

FORMAT = 1
"""Of the document; a page of a later one isn't verified by this release."""

NUMBER_DIGITS = 12


def stamp(instant: datetime) -> str:
    """Like `2016-10-30T00:15Z`: with seconds only where there are any."""
    utc = instant.astimezone(UTC)
    return (
        f"{utc:%Y-%m-%dT%H:%M}Z" if not utc.second and not utc.microsecond else utc.isoformat().replace("+00:00", "Z")
    )


def rows_of(run: pl.DataFrame) -> list[list[Any]]:
    """[slot, Wh sent, Wh at the exchange] of confirmed slots, in order: what is hashed and shown."""
    good = run.filter("good").sort("slot_start")
    return [
        [stamp(slot), sent, held] for slot, sent, held in good.select("slot_start", "sent_wh", "held_wh").iter_rows()
    ]


def digest_of(asset_id: str, rows: list[list[Any]]) -> str:
    """SHA-256, in hex, over a line per row: `uuid|slot|Wh sent|Wh at the exchange`, numbers as Python writes them."""
    lines = (f"{asset_id}|{slot}|{float(sent)!r}|{float(held)!r}\n" for slot, sent, held in rows)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def make_document(
    community: Community,
    asset: Asset,
    run: pl.DataFrame,
    local: pl.DataFrame,
    *,
    terms: Terms,
    measurements: Mapping[str, int] | None,
    earlier_open: int,
    now: datetime,
) -> dict[str, Any]:
    """The document of a newly proven asset.

    Args:
        community: the file.
        asset: whose.
        run: its rows of `with_runs` that are `in_run`, sorted.
        local: its newest slots, `LOCAL`.
        terms: what was asked.
        measurements: state -> its measurements of the period; None: the protocol carries none.
        earlier_open: its slots before the period that are listed as differing.
        now: the run's logical time.
    """
    rest = period(run, terms)
    rows = rows_of(rest)
    start: datetime = rest["slot_start"][0]
    end: datetime = rest["slot_start"][-1] + community.slot_length
    skipped = run.filter(pl.col("skipped"), pl.col("slot_start") >= start, pl.col("slot_start") < end).height
    off = rest.with_columns(off=(pl.col("sent_wh") - pl.col("held_wh")).abs()).sort(
        "off", "slot_start", descending=[True, True]
    )
    digest = digest_of(asset.asset_id, rows)
    known = local.filter(pl.col("slot_start") >= start, pl.col("slot_start") < end)
    return {
        "format": FORMAT,
        "number": _number(asset, digest, now),
        "slotfeed": version("slotfeed"),
        "issued_at": stamp(now),
        "community": community.community.name,
        "simulation_uuid": community.community.simulation_uuid,
        "exchange": community.exchange.base_url,
        "protocol": community.exchange.protocol,
        "time_zone": community.community.time_zone,
        "slot_minutes": community.community.slot_length,
        "asset": {
            "name": asset.name,
            "uuid": asset.uuid,
            "type": asset.type.value,
            "rated_power_kw": asset.rated_power_kw,
            "streams": [stream.stream_id for stream in asset.streams],
        },
        "terms": {"slots": terms.slots, "energies": terms.energies},
        "period": {"start": stamp(start), "end": stamp(end)},
        "slots": len(rows),
        "skipped": skipped,
        "skipped_because": "; ".join(SKIPPED.values()) if skipped else "",
        "slots_with_energy": rest.filter(pl.col("sent_wh") > TOLERANCE_WH).height,
        "energies": rest.select(different_energies("sent_wh", pl.col("good"))).item(),
        "energy_wh": sum(row[2] for row in rows),
        "largest_deviation_wh": off["off"][0],
        "largest_deviation_slot": stamp(off["slot_start"][0]),
        "tolerance_wh": TOLERANCE_WH,
        "relative_tolerance": RELATIVE_TOLERANCE,
        "quality": _qualities(known, rest.height + skipped),
        "forecast": _forecast_error(rest, known),
        "measurements": None if measurements is None else dict(measurements),
        "earlier_open": earlier_open,
        "digest": digest,
    }


def _number(asset: Asset, digest: str, now: datetime) -> str:
    """Of the certificate: from what it says, so the same finding has the same number."""
    return hashlib.sha256(f"{asset.asset_id}|{digest}|{stamp(now)}".encode()).hexdigest()[:NUMBER_DIGITS]


def _qualities(known: pl.DataFrame, slots: int) -> dict[str, int]:
    """Quality -> slots of the period, best first; slots that nothing is known of are MISSING."""
    counted = dict(known.group_by("quality").len().iter_rows())
    counted[Quality.MISSING.value] = counted.get(Quality.MISSING.value, 0) + max(0, slots - known.height)
    return {quality.value: counted[quality.value] for quality in Quality if counted.get(quality.value)}


def _forecast_error(rest: pl.DataFrame, known: pl.DataFrame) -> dict[str, float | int] | None:
    """How far the confirmed forecasts were from what was measured later; None where nothing was."""
    measured = known.filter(pl.col("quality") == Quality.MEASURED.value)
    both = rest.join(measured.select("asset_id", "slot_start", "energy_wh"), on=["asset_id", "slot_start"])
    if both.is_empty():
        return None
    return {
        "slots": both.height,
        "mean_error_wh": both.select((pl.col("sent_wh") - pl.col("energy_wh")).abs().mean()).item(),
        "mean_energy_wh": both.select(pl.col("energy_wh").mean()).item(),
    }
