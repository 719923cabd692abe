"""What each asset's or stream's checks compare with, as columns to put beside its rows."""

from collections.abc import Iterable, Mapping

import polars as pl

from expectations.names import CHECKS, Check, Suite
from expectations.thresholds import THRESHOLDS, Limit
from pipelines.community import Community


def limit_columns(community: Community, suite: Suite) -> pl.DataFrame:
    """The limits of every asset.

    Returns:
        A frame with the key `asset_id` and, for each check C of the suite that has a threshold, `C_low` and `C_high`
        (null: no bound) in the quantity of `expectations.thresholds`, and `C_severity`.
    """
    return _frame("asset_id", {asset.asset_id: community.limits(asset) for asset in community.assets}, suite)


def stream_limit_columns(community: Community) -> pl.DataFrame:
    """The limits of every stream, check registers too, for the suite `readings`: those of the first asset it is of.

    Returns:
        A frame as of `limit_columns`, with the key `stream_id`.
    """
    limits: dict[str, Mapping[Check, Limit]] = {}
    for asset in community.assets:
        of_asset = community.limits(asset)
        for stream in (*asset.streams, *asset.check_registers):
            limits.setdefault(stream.stream_id, of_asset)
    return _frame("stream_id", limits, Suite.READINGS)


def threshold_checks(suite: Suite) -> Iterable[Check]:
    """The checks of a suite that have a threshold."""
    return [check for check in THRESHOLDS if CHECKS[check].suite is suite]


def _frame(key: str, limits: Mapping[str, Mapping[Check, Limit]], suite: Suite) -> pl.DataFrame:
    schema: dict[str, pl.DataType] = {key: pl.String()}
    for check in threshold_checks(suite):
        schema |= {f"{check}_low": pl.Float64(), f"{check}_high": pl.Float64(), f"{check}_severity": pl.String()}
    rows = [
        (
            name,
            *(
                cell
                for check in threshold_checks(suite)
                for cell in (of[check].bounds.low, of[check].bounds.high, of[check].severity.value)
            ),
        )
        for name, of in limits.items()
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")
