"""Estimates scaled to what an asset's check registers leave for them."""

import polars as pl

CHECK = pl.Schema(
    {"asset_id": pl.String(), "check": pl.Int64(), "c0": pl.Int64(), "c1": pl.Int64(), "free_wh": pl.Float64()}
)
"""A stretch between two readings of all of an asset's check registers, `free_wh` what is missing of their advance."""


def free_energy(
    checks: pl.DataFrame, spans: pl.DataFrame, units: pl.DataFrame, *, due_until_us: int, known_until: pl.DataFrame
) -> pl.DataFrame:
    """What the advance of an asset's check registers leaves for the time that its own streams don't tell.

    Stretches count from one instant at which all of the asset's check registers were read to the next, where none of
    them began anew in between, and where no time that is still open lies inside.

    Args:
        checks: spans of the check registers: unit, t0, t1, energy_wh.
        spans: spans of the assets' own streams: unit, t0, t1, energy_wh, skew.
        units: unit, asset_id, check (whether it is a check register).
        due_until_us: silences are estimated up to here.
        known_until: asset_id, known_us: up to where all of the asset's own streams have readings.

    Returns:
        CHECK. Where the streams tell more than the check registers, nothing is left: 0.
    """
    of_checks = units.filter("check")
    counts = of_checks.group_by("asset_id").agg(registers=pl.len())
    joined = checks.join(of_checks.select("unit", "asset_id"), on="unit")
    edges = pl.concat([joined.select("asset_id", "unit", c0="t0"), joined.select("asset_id", "unit", c0="t1")]).unique()
    stretches = (
        edges.group_by("asset_id", "c0")
        .agg(read=pl.len())
        .join(counts, on="asset_id")
        .filter(pl.col("read") == pl.col("registers"))
        .sort("asset_id", "c0")
        .with_columns(c1=pl.col("c0").shift(-1).over("asset_id"), check=pl.int_range(pl.len(), dtype=pl.Int64))
        .drop_nulls("c1")
    )
    advance = (
        joined.sort("t0")
        .join_asof(stretches.sort("c0"), left_on="t0", right_on="c0", by="asset_id", check_sortedness=False)
        .filter(pl.col("t1") <= pl.col("c1"))
        .group_by("asset_id", "check", "c0", "c1", "registers")
        .agg(pl.col("energy_wh").sum(), read_us=(pl.col("t1") - pl.col("t0")).sum())
        .filter(pl.col("read_us") == pl.col("registers") * (pl.col("c1") - pl.col("c0")))
    )
    own = spans.join(units.filter(~pl.col("check")).select("unit", "asset_id"), on="unit")
    until = _energy_until(own, pl.concat([advance.select("asset_id", at="c0"), advance.select("asset_id", at="c1")]))
    return (
        advance.join(until.rename({"at": "c0", "until_wh": "before"}), on=["asset_id", "c0"])
        .join(until.rename({"at": "c1", "until_wh": "after"}), on=["asset_id", "c1"])
        .join(known_until, on="asset_id")
        .filter(pl.col("c1") <= pl.max_horizontal("known_us", pl.lit(due_until_us)))
        .with_columns(free_wh=(pl.col("energy_wh") - (pl.col("after") - pl.col("before"))).clip(lower_bound=0.0))
        .select(CHECK.names())
    )


def split(pieces: pl.DataFrame, checks: pl.DataFrame) -> pl.DataFrame:
    """Split pieces at the ends of the check registers' stretches.

    Args:
        pieces: asset_id, a, b and whatever else.
        checks: CHECK.

    Returns:
        The pieces with `check` and `free_wh`, null for the parts that no stretch covers.
    """
    edges = (
        pl.concat([checks.select("asset_id", edge="c0"), checks.select("asset_id", edge="c1")])
        .unique()
        .sort("asset_id", "edge")
    )
    numbered = edges.with_columns(number=pl.int_range(pl.len(), dtype=pl.Int64).over("asset_id")).sort("edge")
    parts = (
        pieces.sort("a")
        .join_asof(
            numbered.rename({"edge": "edge_a", "number": "from"}),
            left_on="a",
            right_on="edge_a",
            by="asset_id",
            check_sortedness=False,
        )
        .with_columns(inside=pl.col("b") - 1)
        .sort("inside")
        .join_asof(
            numbered.rename({"edge": "edge_b", "number": "to"}),
            left_on="inside",
            right_on="edge_b",
            by="asset_id",
            check_sortedness=False,
        )
        .with_columns(number=pl.int_ranges(pl.col("from").fill_null(-1), pl.col("to").fill_null(-1) + 1))
        .explode("number")
        .join(numbered.rename({"edge": "piece_a"}), on=["asset_id", "number"], how="left")
        .join(
            numbered.select("asset_id", piece_b="edge", number=pl.col("number") - 1),
            on=["asset_id", "number"],
            how="left",
        )
        .with_columns(a=pl.max_horizontal("a", "piece_a"), b=pl.min_horizontal("b", "piece_b"))
    )
    return parts.join(
        checks.select("asset_id", "check", "free_wh", piece_a="c0"), on=["asset_id", "piece_a"], how="left"
    ).select(*pieces.columns, "check", "free_wh")


def scale(pieces: pl.DataFrame) -> pl.DataFrame:
    """Scale estimates so that within each check register's stretch they add up to what is missing there.

    A piece without an estimate takes the mean power of the others; where all are zero or none has one, what is missing
    is spread evenly.

    Args:
        pieces: a, b, asset_id, check, free_wh, estimate_wh.

    Returns:
        The pieces with `scaled_wh`, null outside the stretches.
    """
    stretch = ["asset_id", "check"]
    length = pl.col("b") - pl.col("a")
    told_us = pl.when(pl.col("estimate_wh").is_not_null()).then(length)
    told = told_us.sum().over(stretch)
    power = pl.when(told > 0).then(pl.col("estimate_wh").sum().over(stretch) / told)
    guessed = pieces.with_columns(guess=pl.coalesce("estimate_wh", power * length)).with_columns(
        total=pl.col("guess").sum().over(stretch)
    )
    share = (
        pl.when(pl.col("total") > 0)
        .then(pl.col("guess") / pl.col("total"))
        .otherwise(length / length.sum().over(stretch))
    )
    return guessed.with_columns(scaled_wh=pl.when(pl.col("check").is_not_null()).then(pl.col("free_wh") * share)).drop(
        "guess", "total"
    )


def _energy_until(spans: pl.DataFrame, points: pl.DataFrame) -> pl.DataFrame:
    """Energy of all of an asset's own spans up to each point: asset_id, at, until_wh."""
    summed = spans.sort("unit", "t0").with_columns(
        before_wh=pl.col("energy_wh").cum_sum().over("unit") - pl.col("energy_wh")
    )
    asked = points.unique().join(spans.select("asset_id", "unit").unique(), on="asset_id", how="left")
    found = asked.sort("at").join_asof(
        summed.drop("asset_id").sort("t0"), left_on="at", right_on="t0", by="unit", check_sortedness=False
    )
    share = ((pl.col("at") - pl.col("t0")) / (pl.col("t1") - pl.col("t0"))).clip(0.0, 1.0)
    reached = pl.col("before_wh") + pl.col("energy_wh") * (share + pl.col("skew") * (share * share - share))
    return (
        found.with_columns(until_wh=reached.fill_null(0.0))
        .sort("asset_id", "at", "unit", nulls_last=True)
        .group_by("asset_id", "at", maintain_order=True)
        .agg(pl.col("until_wh").sum())
    )
