"""Values that stand in the wrong slot: by some slots, an hour, the zone's offset, or only since the clock change."""

from datetime import timedelta

import polars as pl

from pipelines.reconcile.hypotheses import PREDICTIONS, Hypothesis, predict
from pipelines.reconcile.names import Diagnosis
from pipelines.reconcile.same import TOLERANCE_WH, matches

FURTHEST = timedelta(hours=14)
"""Shifts of up to this long either way are looked for: no time zone is further off UTC."""

MATCHES, VALUES = 4, 2
"""Slots that must fit a shift before it is believed, and different values other than 0 among them: a constant series
fits any."""

HOUR = timedelta(hours=1)


def shift_predictions(
    pairs: pl.DataFrame, *, length: timedelta, time_zone: str
) -> tuple[pl.DataFrame, dict[str, Hypothesis]]:
    """The best shift of each asset.

    Args:
        pairs: asset_id, slot_start, wanted_wh, exchange_wh, open; without a gap per asset, sorted by both.
        length: slot length.
        time_zone: the community's: its offset from UTC names a shift.

    Returns:
        PREDICTIONS, null where the value would come from outside `pairs`, and the hypotheses by name.
    """
    hypotheses: dict[str, Hypothesis] = {}
    frames = [PREDICTIONS.to_frame()]
    for k, assets in _best_shifts(pairs, most=FURTHEST // length).items():
        name = f"shift {k:+d}"
        own = pairs.filter(pl.col("asset_id").is_in(assets))
        shifted = pl.col("wanted_wh").shift(k).over("asset_id", order_by="slot_start")
        frames.append(predict(own, name, shifted))
        direction = "later" if k > 0 else "earlier"
        hypotheses[name] = Hypothesis(
            diagnosis=_name(own, k * length, time_zone),
            words=f"holds the values {abs(k)} slot(s) ({_hours(abs(k) * length)}) {direction}",
            chance=0.5,
            slots=MATCHES,
            values=VALUES,
        )
    return pl.concat(frames), hypotheses


def _best_shifts(pairs: pl.DataFrame, *, most: int) -> dict[int, list[str]]:
    """Shift in slots (> 0: later) -> the assets whose open slots it fits best."""
    scores = pairs.lazy()
    names = []
    for k in range(-most, most + 1):
        if k:
            shifted = pl.col("wanted_wh").shift(k).over("asset_id", order_by="slot_start")
            scores = scores.with_columns(shifted.alias(f"w{k}"))
            names.append(k)
    some = pl.col("exchange_wh").abs() > TOLERANCE_WH
    counted = (
        scores.filter("open")
        .group_by("asset_id")
        .agg(_score(f"w{k}", some).alias(str(k)) for k in names)
        .collect()
        .unpivot(index="asset_id", variable_name="shift", value_name="fits")
        .with_columns(pl.col("shift").cast(pl.Int64))
        .filter(pl.col("fits") >= MATCHES)
        .sort(["fits", pl.col("shift").abs()], descending=[True, False])
        .unique("asset_id", keep="first", maintain_order=True)
    )
    return {
        k: rows["asset_id"].to_list()
        for (k,), rows in counted.sort("shift", "asset_id").group_by("shift", maintain_order=True)
        if isinstance(k, int)
    }


def _score(shifted: str, some: pl.Expr) -> pl.Expr:
    """Slots that fit; none count where all that fit are 0."""
    fits = matches(shifted, "exchange_wh")
    return pl.when((fits & some).sum() >= VALUES).then(fits.sum()).otherwise(0)


def _name(pairs: pl.DataFrame, shift: timedelta, time_zone: str) -> Diagnosis:
    local = pl.col("slot_start").dt.convert_time_zone(time_zone)
    offsets = pairs.filter("open").select(o=local.dt.base_utc_offset() + local.dt.dst_offset())["o"].unique()
    if any(offset and abs(offset) == abs(shift) for offset in offsets):
        return Diagnosis.SHIFTED_ZONE
    return Diagnosis.SHIFTED_HOUR if abs(shift) == HOUR else Diagnosis.SHIFTED


def _hours(span: timedelta) -> str:
    minutes = span // timedelta(minutes=1)
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


def since_clock_change(pairs: pl.DataFrame, found: pl.DataFrame, *, time_zone: str) -> pl.DataFrame:
    """Which of the shifts found began with a change of the clock: their rows of `found`.

    Before the change at least MATCHES different values stood in place and none was shifted; after it, the shift began
    before as many stood in place again.

    Args:
        pairs: asset_id, slot_start, wanted_wh, agrees.
        found: asset_id, slot_start, hypothesis, first; shifts of an hour, or of the offset.
        time_zone: the community's.
    """
    local = pl.col("slot_start").dt.convert_time_zone(time_zone)
    instants = pairs.select("slot_start").unique().sort("slot_start")
    offsets = instants.with_columns(offset=local.dt.base_utc_offset() + local.dt.dst_offset())
    changes = offsets.filter(pl.col("offset") != pl.col("offset").shift(1))
    if changes.is_empty():
        return found.clear()
    change = changes["slot_start"][-1]
    in_place = (
        pairs.filter(pl.col("agrees"), pl.col("wanted_wh") > TOLERANCE_WH)
        .join(found.select("asset_id", "first").unique(), on="asset_id")
        .group_by("asset_id")
        .agg(
            before=_different(pl.col("slot_start") < change),
            after=_different(pl.col("slot_start").is_between(change, "first")),
        )
        .filter(pl.col("before") >= MATCHES, pl.col("after") < MATCHES)
    )
    return found.filter(pl.col("first") >= change).join(in_place.select("asset_id"), on="asset_id", how="semi")


def _different(within: pl.Expr) -> pl.Expr:
    return pl.col("wanted_wh").filter(within).round(1).n_unique()
