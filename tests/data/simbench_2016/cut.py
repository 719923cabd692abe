"""Makes `profiles.parquet` and `assets.csv` from the year's powers: `python cut.py POWERS.parquet ASSETS.csv`.

POWERS has a column of mean powers in kW per asset, ASSETS the columns asset_id, kind, simbench_profile, p_nom_kW.
"""

import sys
from pathlib import Path

import polars as pl

STEPS = 10_000
HERE = Path(__file__).parent


def main(powers: str, assets: str) -> None:
    rated = pl.read_csv(assets).filter(pl.col("kind") != "battery")
    kw = pl.read_parquet(powers)
    one_each = rated.unique("simbench_profile", keep="first", maintain_order=True)
    columns = [
        (pl.col(asset_id) / p_nom_kw * STEPS).round().cast(pl.Int16).alias(profile)
        for asset_id, profile, p_nom_kw in one_each.select("asset_id", "simbench_profile", "p_nom_kW").iter_rows()
    ]
    kw.sort("row").select(columns).write_parquet(
        HERE / "profiles.parquet", compression="zstd", compression_level=22, statistics=False
    )
    rated.select("asset_id", "kind", profile="simbench_profile", p_nom_kw=pl.col("p_nom_kW").round(6)).write_csv(
        HERE / "assets.csv"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
