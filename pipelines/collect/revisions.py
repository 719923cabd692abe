"""What of a fetch is new, or differs from what is stored: pure functions on frames."""

import polars as pl

from pipelines.frames import INSTANT, READINGS, Quality
from pipelines.store import Verdict

STORED = pl.Schema(
    {
        "id": pl.Int64(),
        "stream_id": pl.String(),
        "ts": INSTANT,
        "ts_end": INSTANT,
        "revision": pl.Int64(),
        "kind": pl.String(),
        "value": pl.Float64(),
        "unit": pl.String(),
        "quality": pl.String(),
        "verdict": pl.String(),
    }
)

CONTENT = ("kind", "value", "ts_end", "quality", "unit")
"""What makes a reading another one."""

KEY = ("stream_id", "ts")

FRESH = pl.Schema({**READINGS, "revision": pl.Int64(), "verdict": pl.String()})


def fresh_readings(readings: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """The readings to store, with the revision and verdict of each.

    A single reading of its stream and instant is stored if it differs from the newest stored
    revision. Where the source holds several that differ, each is stored once: with `ingested_at` the newest
    one as the highest revision and the others as superseded; without, all as new, and validation
    finds that they contradict each other.

    Args:
        readings: distinct, `READINGS`; of one instant in the order in which they came to be.
        stored: all that is stored of these streams and instants, and of these streams without an instant: `STORED`.

    Returns:
        `FRESH`: `READINGS` with `revision` and `verdict`.
    """
    stamped = _comparable(readings.lazy().filter(pl.col("ts").is_not_null()))
    known = _comparable(stored.lazy().filter(pl.col("ts").is_not_null()))
    newest = known.sort("revision").unique(KEY, keep="last", maintain_order=True)
    revisions = newest.select(*KEY, newest_revision="revision")
    # The usual case: one value of each stamp, and every stamp could be read.
    if not readings.select(KEY).is_duplicated().any():
        single = _unlike(stamped, newest).join(revisions, on=KEY, how="left", maintain_order="left")
        numbered = single.with_columns(
            revision=pl.col("newest_revision").fill_null(-1) + 1, verdict=pl.lit(Verdict.NEW.value)
        )
    else:
        several = stamped.filter(pl.len().over(KEY) > 1)
        single = stamped.filter(pl.len().over(KEY) == 1)
        fresh = pl.concat([_unlike(single, newest), _unlike(several, known)])
        numbered = (
            fresh.join(revisions, on=KEY, how="left", maintain_order="left")
            .with_columns(revision=pl.col("newest_revision").fill_null(-1) + 1 + pl.int_range(pl.len()).over(KEY))
            .join(_decided(several), on=KEY, how="left", maintain_order="left")
            .with_columns(verdict=_verdict())
        )
    judged = numbered.select(FRESH.names()).collect()
    if not readings["ts"].null_count():
        return judged
    return pl.concat([judged, _fresh_without_stamp(readings, stored)])


def without_idle_substitutes(readings: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """The readings but for substitute values of instants of which a measured one is stored (VEE check 20)."""
    if not (readings["quality"] == Quality.SUBSTITUTED.value).any():
        return readings
    measured = stored.filter(pl.col("quality") == Quality.MEASURED.value, pl.col("verdict") != Verdict.DISCARDED.value)
    substitutes = readings.filter(pl.col("quality") == Quality.SUBSTITUTED.value)
    idle = substitutes.join(measured, on=KEY, how="semi")
    return readings.join(idle, on=[*KEY, "quality"], how="anti", maintain_order="left")


def overtaken(fresh: pl.DataFrame, readings: pl.DataFrame, stored: pl.DataFrame) -> list[int]:
    """Ids of stored readings that nobody has judged yet and that the source has replaced.

    Judged ones keep their verdict until their replacement is judged. Where the source holds
    several values and doesn't say which is the newest, none is replaced.
    """
    # The usual case: whatever is stored has been judged.
    if not (stored["verdict"] == Verdict.NEW.value).any():
        return []
    settled = readings.group_by(KEY).agg(settled=(pl.len() == 1) | _dated()).filter("settled")
    columns = (*KEY, "revision", "verdict")
    newest = (
        pl.concat([stored.select(columns), fresh.select(columns)])
        .filter(pl.col("verdict") != Verdict.SUPERSEDED.value)
        .group_by(KEY)
        .agg(newest=pl.col("revision").max())
    )
    return (
        stored.filter(pl.col("verdict") == Verdict.NEW.value)
        .join(settled, on=KEY, how="semi")
        .join(newest, on=KEY)
        .filter(pl.col("revision") < pl.col("newest"))["id"]
        .to_list()
    )


def _comparable(frame: pl.LazyFrame) -> pl.LazyFrame:
    """SQLite stores NaN as null; for the comparison both are one."""
    return frame.with_columns(same_value=pl.col("value").fill_nan(None))


def _unlike(readings: pl.LazyFrame, known: pl.LazyFrame) -> pl.LazyFrame:
    content = [*KEY, *("same_value" if name == "value" else name for name in CONTENT)]
    return readings.join(known, on=content, how="anti", nulls_equal=True, maintain_order="left")


def _dated() -> pl.Expr:
    """Whether the source tells which of several readings is the newest."""
    return pl.col("ingested_at").is_not_null().all() & (pl.col("ingested_at").n_unique() == pl.len())


def _decided(several: pl.LazyFrame) -> pl.LazyFrame:
    return several.group_by(KEY).agg(newest_at=pl.when(_dated()).then(pl.col("ingested_at").max()))


def _verdict() -> pl.Expr:
    older = pl.col("ingested_at") < pl.col("newest_at")
    return pl.when(older).then(pl.lit(Verdict.SUPERSEDED.value)).otherwise(pl.lit(Verdict.NEW.value))


def _fresh_without_stamp(readings: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Those beyond as many equal ones as are stored: without a stamp, equal readings may be different ones."""

    def counted(frame: pl.DataFrame) -> pl.LazyFrame:
        same = ("stream_id", *("same_value" if name == "value" else name for name in CONTENT))
        unstamped = _comparable(frame.lazy().filter(pl.col("ts").is_null()))
        return unstamped.with_columns(nth=pl.int_range(pl.len()).over(same))

    on = ["stream_id", "nth", *("same_value" if name == "value" else name for name in CONTENT)]
    return (
        counted(readings)
        .join(counted(stored), on=on, how="anti", nulls_equal=True, maintain_order="left")
        .with_columns(revision=pl.lit(0, pl.Int64()), verdict=pl.lit(Verdict.NEW.value))
        .select(FRESH.names())
        .collect()
    )
