"""How long something has gone on at each slot. Pure: frames of one row per asset and slot, sorted by both."""

from datetime import timedelta

import polars as pl

from expectations.limits import WHOLE
from pipelines.frames import Quality

SAME = 1e-6
"""Relative difference below which two energies are the same: what conversion rounds off."""

NOTICEABLE = 0.05
"""Share of the rated power from which on equal energies are looked at. Below, a register's steps are so coarse that
stand-by looks constant. Ours: with registers of 10 Wh, a year of SimBench's loads has 51 false flags instead of 429."""

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def with_runs(slots: pl.DataFrame, *, slot_length: timedelta) -> pl.DataFrame:
    """Add how long each slot's state has lasted.

    Args:
        slots: `asset_id`, `slot_start`, `energy_wh` (null where nothing is known), `quality`, `method`, `coverage`,
            `share` (mean power as a share of the rated power), `counts` (false where a zero is normal: nights of PV).
        slot_length: of the market.

    Returns:
        The frame with

        - `zero_run`: hours at zero until the slot's end, slots that don't count left out; null where it isn't at zero.
        - `stale_run`: slots in a row with the same energy; null for energy that is too little, and for energy that
          was spread or estimated.
        - `estimated_run`: days with substitute values until the slot's end; null where it is none.
        - `demand_jump`: change of `share` from the slot before; null where readings don't back both whole.
    """
    energy, quality = pl.col("energy_wh"), pl.col("quality")
    measured = quality.is_in([Quality.MEASURED, Quality.PROVISIONAL])
    backed = (pl.col("coverage") >= WHOLE) & (measured | (quality == Quality.SUBSTITUTED))
    before = energy.shift().over("asset_id")
    same = ((energy - before).abs() <= SAME * energy) & measured & measured.shift().over("asset_id")
    # A register that is read less often than slots are long is spread, and no estimate.
    substitute = (quality == Quality.ESTIMATED) | (
        (quality == Quality.SUBSTITUTED) & ~pl.col("method").str.contains("interpolated", literal=True)
    )
    marked = slots.with_columns(
        _zero=(energy == 0).fill_null(value=False),
        _same=(same & (pl.col("share") > NOTICEABLE)).fill_null(value=False),
        _substitute=substitute.fill_null(value=False),
        demand_jump=pl.when(backed & backed.shift().over("asset_id")).then(
            (pl.col("share") - pl.col("share").shift().over("asset_id")).abs()
        ),
    )
    every = pl.lit(value=True)
    return marked.with_columns(
        zero_run=_length("_zero", pl.col("counts")) * (slot_length / HOUR),
        stale_run=_length("_same", every) + 1.0,
        estimated_run=_length("_substitute", every) * (slot_length / DAY),
    ).drop("_zero", "_same", "_substitute")


def _length(state: str, counts: pl.Expr) -> pl.Expr:
    """Slots that count and are in this state, since the last that counts and isn't; null where this one isn't."""
    lasts = pl.col(state) & counts
    passed = lasts.cum_sum().over("asset_id")
    at_last_end = pl.when(counts & ~pl.col(state)).then(passed).forward_fill().over("asset_id").fill_null(0)
    return pl.when(lasts).then((passed - at_last_end).cast(pl.Float64))
