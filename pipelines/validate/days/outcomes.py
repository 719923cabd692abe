"""What broken checks of days mean: a finding for each, with what was compared and words for people. Pure."""

from collections.abc import Mapping, Sequence

import polars as pl

from expectations.names import CHECKS, Check, Suite
from expectations.thresholds import THRESHOLDS
from pipelines.validate.findings import FINDINGS

NOTHING = pl.lit(None, dtype=pl.Float64)

_COMPARED: Mapping[Check, tuple[str, str | None, str | None]] = {
    Check.SLOT_SOUND: ("energy_wh", None, None),
    Check.SLOTS_IN_DAY: ("slots_found", "slots_expected", "slots_expected"),
    Check.SIBLINGS_PRESENT: ("siblings_present", "siblings_configured", "siblings_configured"),
    Check.EXCHANGE_PRESENT: ("exchange_wh", None, None),
    Check.EXCHANGE_UNASKED: ("exchange_unasked", None, None),
    Check.EXCHANGE_SOUND: ("exchange_wh", None, None),
    Check.DIFFERENCE_EXPLAINED: ("exchange_wh", "wanted_wh", "wanted_wh"),
}
"""Check without a threshold of its own -> columns of what was compared, and of the bounds."""


def _wh(column: str) -> pl.Expr:
    return pl.col(column).round(2).cast(pl.String).fill_null("no") + " Wh"


def _kwh(column: str) -> pl.Expr:
    return (pl.col(column) / 1000).round(3).cast(pl.String).fill_null("no") + " kWh"


_SLOT = pl.when(pl.col("energy_wh").is_null()).then(pl.lit("no energy known")).otherwise(_wh("energy_wh"))
_DAY = pl.lit("the whole day ") + pl.col("local_day").cast(pl.String)
_BOTH_SIDES = pl.lit("ours ") + _wh("wanted_wh") + ", the exchange's " + _wh("exchange_wh")

_SAID: Mapping[Check, pl.Expr] = {
    Check.SLOT_SOUND: pl.concat_str(
        _SLOT, pl.lit(", coverage "), pl.col("coverage").round(3), pl.lit(", "), pl.col("quality").fill_null("missing")
    ),
    Check.SLOT_COVERED: _SLOT + pl.when(pl.col("method").is_null()).then(pl.lit("")).otherwise(", " + pl.col("method")),
    Check.SLOTS_IN_DAY: _DAY,
    Check.SIBLINGS_PRESENT: _SLOT,
    Check.REGISTER_SUM: _DAY + ": slots " + _kwh("day_wh") + ", register " + _kwh("register_wh"),
    Check.DAY_SPIKE: _DAY + "; its highest slot has " + _wh("energy_wh"),
    Check.DAY_USAGE: _DAY + ": " + _kwh("day_wh"),
    Check.USUAL_RANGE: _SLOT + ", usual are " + _wh("usual_wh"),
    Check.ESTIMATED_RUN: _SLOT + ", " + pl.col("method").fill_null(""),
    Check.EXCHANGE_PRESENT: _BOTH_SIDES,
    Check.EXCHANGE_EQUAL: _BOTH_SIDES
    + pl.when(pl.col("diagnosis").is_null()).then(pl.lit("")).otherwise(": " + pl.col("diagnosis")),
    Check.EXCHANGE_UNASKED: _BOTH_SIDES,
    Check.EXCHANGE_SOUND: _BOTH_SIDES,
    Check.EXCHANGE_DEMAND: _BOTH_SIDES,
    Check.READ_BACK_FRESH: pl.when("read_back").then(pl.lit("")).otherwise(pl.lit("never read back")),
    Check.DIFFERENCE_EXPLAINED: _BOTH_SIDES,
}
"""Check -> words beside the numbers; the slot's energy where none stand here."""


def findings(prepared: pl.DataFrame, broken: Mapping[Check, Sequence[int]]) -> pl.DataFrame:
    """What was compared with what, for each row and broken check of one suite.

    Args:
        prepared: what `slots.prepare_slots` or `exchange.prepare_exchange` returned.
        broken: check -> numbers of the rows that broke it, as `engine.broken_rows` returns them.

    Returns:
        A frame of `pipelines.validate.findings.FINDINGS` with `local_day`.
    """
    parts = [FINDINGS.to_frame().with_columns(local_day=pl.lit(None, dtype=pl.Date))]
    for check, rows in broken.items():
        if not rows:
            continue
        value, low, high, severity = _columns(check)
        suite = CHECKS[check].suite
        parts.append(
            prepared[list(rows)].select(
                suite=pl.lit(suite.value),
                check_name=pl.lit(check.value),
                severity=severity,
                asset_id="asset_id",
                subject="subject" if suite is Suite.EXCHANGE_MATCH else "asset_id",
                ts="slot_start",
                reading_id=pl.lit(0, dtype=pl.Int64),
                value=value.cast(pl.Float64),
                low=low,
                high=high,
                detail=_SAID.get(check, _SLOT),
                local_day="local_day",
            )
        )
    return pl.concat(parts)


def _columns(check: Check) -> tuple[pl.Expr, pl.Expr, pl.Expr, pl.Expr]:
    """What was compared, its bounds, and the severity."""
    if check in THRESHOLDS:
        return pl.col(check), pl.col(f"{check}_low"), pl.col(f"{check}_high"), pl.col(f"{check}_severity")
    value, low, high = _COMPARED[check]
    severity = pl.lit(CHECKS[check].severity.value)
    return pl.col(value), pl.col(low) if low else NOTHING, pl.col(high) if high else NOTHING, severity
