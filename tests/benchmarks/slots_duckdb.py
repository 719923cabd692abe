"""Registers to energy per slot as DuckDB does it; the same as `slot_energy` makes of registers.

It knows that there are only registers, so it leaves out what other kinds need. It comes to all that a slot tells:
energy, coverage of the worst stream, worst quality and method.
"""

from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl

from expectations.limits import REGISTER_MODULI_WH, ROLLOVER_FROM
from pipelines.frames import QUALITY_RANK, Quality

WORST = QUALITY_RANK[Quality.SUBSTITUTED]
"""At best the quality of what was spread over more than a slot."""

RANKS = list(QUALITY_RANK)
RANK = "CASE quality " + " ".join(f"WHEN '{name}' THEN {rank}" for name, rank in QUALITY_RANK.items()) + " END"
MODULUS = (
    "CASE " + " ".join(f"WHEN v0 < {modulus:.0f} THEN {modulus:.0f}::DOUBLE" for modulus in REGISTER_MODULI_WH) + " END"
)

PAIRS_BY_NAME = """
WITH pairs AS (
    SELECT asset_id, stream_id, two_way, series_start, epoch_us(ts) AS t1, value * sign AS v1, {rank} AS r1,
        lag(epoch_us(ts)) OVER w AS t0, lag(value * sign) OVER w AS v0, lag({rank}) OVER w AS r0
    FROM read_parquet('{path}') WHERE kind = 'register'
    WINDOW w AS (PARTITION BY asset_id, stream_id ORDER BY ts)
)
"""

PAIRS_BY_NUMBER = """
WITH uses AS MATERIALIZED (
    SELECT row_number() OVER ()::INTEGER AS use, *
    FROM (SELECT DISTINCT asset_id, stream_id FROM read_parquet('{path}'))
), coded AS (
    SELECT use, two_way, series_start, epoch_us(ts) AS t1, value * sign AS v1, ({rank})::UTINYINT AS r1
    FROM read_parquet('{path}') JOIN uses USING (asset_id, stream_id) WHERE kind = 'register'
), pairs AS (
    SELECT *, lag(t1) OVER w AS t0, lag(v1) OVER w AS v0, lag(r1) OVER w AS r0
    FROM coded WINDOW w AS (PARTITION BY use ORDER BY t1)
)
"""

SLOTS = """, increments AS (
    SELECT *, greatest(r0, r1, CASE WHEN t1 - t0 > {slot} THEN {worst} ELSE 0 END) AS rank, t1 - t0 > {slot} AS long,
        CASE series_start
            WHEN 'reset' THEN NULL
            WHEN 'rollover' THEN CASE WHEN v0 >= {rollover_from} * {modulus} THEN {modulus} - v0 + v1 END
            ELSE v1 - v0 END AS e
    FROM pairs WHERE t1 > t0
), spans AS (
    SELECT {key}, t0, t1, rank, long, greatest(e, 0) AS e, t0 // {slot} AS s0, (t1 - 1) // {slot} AS s1
    FROM increments WHERE e IS NOT NULL AND (two_way OR e >= 0)
), pieces AS (
    SELECT {key}, s0 AS slot, e, t1 - t0 AS covered, rank, long FROM spans WHERE s0 = s1
    UNION ALL
    SELECT {key}, slot, e * (b - a) / (t1 - t0), b - a, rank, long FROM (
        SELECT *, greatest(t0, slot * {slot}) AS a, least(t1, (slot + 1) * {slot}) AS b
        FROM (SELECT *, unnest(range(s0, s1 + 1)) AS slot FROM spans WHERE s0 <> s1))
), streams AS (
    SELECT {key}, slot, sum(e) AS e, sum(covered)::BIGINT AS covered, max(rank) AS rank,
        bool_or(long) AS long, bool_and(long) AS just
    FROM pieces GROUP BY ALL
), assets AS (
    SELECT asset_id, slot, sum(e) AS e, min(covered) AS covered, max(rank) AS rank, count(*) AS present,
        bool_or(long) AS long, bool_and(just) AS just
    FROM streams {names} GROUP BY ALL
)
SELECT asset_id, make_timestamptz(slot * {slot}) AS slot_start, e AS energy_wh, {ranks}[rank + 1] AS quality,
    CASE WHEN present = streams THEN least(covered / {slot}, 1.0) ELSE 0.0 END AS coverage,
    CASE WHEN just THEN 'interpolated' WHEN long THEN 'interpolated+register' ELSE 'register' END AS method
FROM assets JOIN read_parquet('{counts}') USING (asset_id)
"""


def slots(path: Path, counts: Path, slot_length: timedelta, *, numbered: bool) -> pl.DataFrame:
    """By one statement, with its windows and unnest; `numbered`: each stream gets a number first, to be sorted by."""
    pairs, key, names = (
        (PAIRS_BY_NUMBER, "use", "JOIN uses USING (use)") if numbered else (PAIRS_BY_NAME, "asset_id, stream_id", "")
    )
    with duckdb.connect() as connection:
        connection.sql("SET TimeZone = 'UTC'")
        query = (pairs + SLOTS).format(
            path=path,
            counts=counts,
            key=key,
            names=names,
            slot=slot_length // timedelta(microseconds=1),
            rank=RANK,
            ranks=RANKS,
            worst=WORST,
            modulus=MODULUS,
            rollover_from=ROLLOVER_FROM,
        )
        return pl.DataFrame(connection.sql(query).to_arrow_table())
