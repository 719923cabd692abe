"""What broken checks mean for readings: the names that reject a row, and a finding for each check. Pure."""

from collections.abc import Mapping, Sequence

import polars as pl

from expectations.names import READING_CHECKS, Check, Severity, Suite
from expectations.thresholds import THRESHOLDS
from pipelines.validate.findings import FINDINGS

NOTHING = pl.lit(None, dtype=pl.Float64)

_COMPARED: Mapping[Check, tuple[str, str | None, str | None]] = {
    Check.KEY_UNIQUE: ("rivals", None, None),
    Check.SPAN_ORDERED: ("span_s", None, None),
    Check.SPAN_LENGTH: ("span_s", "configured_span_s", "configured_span_s"),
    Check.NOT_NEGATIVE: ("forward_value", None, None),
    Check.REGISTER_NOT_FALLING: ("register_wh", "register_before_wh", "register_after_wh"),
    Check.REGISTER_WITHIN_DIALS: ("shown_wh", None, "dials_wh"),
    Check.RANK_NOT_LOWER: ("change", None, None),
}
"""Check without a threshold of its own -> columns of what was compared, and of the bounds."""

_SAID: Mapping[Check, str] = {
    Check.KIND_KNOWN: "kind",
    Check.KIND_CONFIGURED: "kind",
    Check.UNIT_KNOWN: "unit",
    Check.VALUE_FINITE: "number",
    Check.QUALITY_USABLE: "quality",
    Check.RANK_NOT_LOWER: "quality",
}
"""Check -> column of the word that it is about."""


def broken_marks(prepared: pl.DataFrame, broken: Mapping[Check, Sequence[int]]) -> pl.DataFrame:
    """One row for each check that a reading broke.

    Args:
        prepared: what `prepare` returned.
        broken: check -> numbers of the rows that broke it, as `engine.broken_rows` returns them.

    Returns:
        `row` (number in `prepared`), `check`, `severity`, in the order of `READING_CHECKS` within a row.
    """
    parts = [
        pl.DataFrame({"row": broken[check]}, schema={"row": pl.Int64()}).with_columns(
            check=pl.lit(check.value), severity=_severity(prepared, check, broken[check])
        )
        for check in READING_CHECKS
        if broken[check]
    ]
    schema = {"row": pl.Int64(), "check": pl.String(), "severity": pl.String()}
    return pl.concat(parts).sort("row", maintain_order=True) if parts else pl.DataFrame(schema=schema)


def rejecting(marks: pl.DataFrame, height: int) -> pl.Series:
    """For each row the names of the checks that reject it, comma-separated; "" for a row that may be used.

    Args:
        marks: what `broken_marks` returned.
        height: number of rows.
    """
    names = (
        marks.filter(pl.col("severity") == Severity.REJECT)
        .group_by("row", maintain_order=True)
        .agg(broken=pl.col("check").str.join(","))
    )
    rows = pl.DataFrame({"row": pl.int_range(height, eager=True, dtype=pl.Int64)})
    return rows.join(names, on="row", how="left", maintain_order="left")["broken"].fill_null("")


def findings(prepared: pl.DataFrame, marks: pl.DataFrame) -> pl.DataFrame:
    """What was compared with what, for each broken check.

    Args:
        prepared: what `prepare` returned.
        marks: what `broken_marks` returned, or some of its rows.

    Returns:
        A frame of `pipelines.validate.findings.FINDINGS`.
    """
    parts = [FINDINGS.to_frame()]
    for (name,), some in marks.group_by("check", maintain_order=True):
        check = Check(name)
        compared, low, high, said = _columns(check)
        parts.append(
            prepared[some["row"]]
            .with_columns(severity=some["severity"])
            .select(
                suite=pl.lit(Suite.READINGS.value),
                check_name=pl.lit(check.value),
                severity="severity",
                asset_id="asset_id",
                subject=pl.col("stream_id").fill_null(""),
                ts="ts",
                reading_id="id",
                value=compared.cast(pl.Float64),
                low=low,
                high=high,
                detail=said.fill_null("none"),
            )
        )
    return pl.concat(parts)


def _severity(prepared: pl.DataFrame, check: Check, rows: Sequence[int]) -> pl.Series | pl.Expr:
    if check in THRESHOLDS:
        return prepared[f"{check}_severity"][list(rows)]
    return pl.lit(READING_CHECKS[check].severity.value)


def _columns(check: Check) -> tuple[pl.Expr, pl.Expr, pl.Expr, pl.Expr]:
    """What was compared, its bounds, and the word that the check is about."""
    said = pl.col(_SAID[check]) if check in _SAID else pl.lit("")
    if check in THRESHOLDS:
        return pl.col(check), pl.col(f"{check}_low"), pl.col(f"{check}_high"), said
    if check in _COMPARED:
        value, low, high = _COMPARED[check]
        return pl.col(value), pl.col(low) if low else NOTHING, pl.col(high) if high else NOTHING, said
    return pl.col("value"), NOTHING, NOTHING, said
