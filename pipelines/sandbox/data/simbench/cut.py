"""Cuts the two days that stand beside this script out of a year of the SimBench community LV1.111.

    python cut.py YEAR NETWORK

YEAR is a folder with `community_power_kW_2016_15min.parquet` (profile x nominal power for every asset of
the grid, one row a quarter hour: `time_local`, `row`, a column per asset) and `community_assets.csv`.
NETWORK is a folder with the `Load.csv` and `RES.csv` of `simbench/networks/1-complete_data-mixed-all-2-sw`
from the simbench package: they tell at which node of the grid an asset is connected.
"""

import sys
from pathlib import Path

import polars as pl

FIRST = "28.10.2016 22:00"
"""Two hours before the Saturday, so that its first slots have a predecessor."""

BEYOND = "31.10.2016 00:00"

HERE = Path(__file__).parent


def assets(year: Path, network: Path) -> pl.DataFrame:
    """The assets without the batteries, with nominal power in kW and their node."""
    nodes = pl.concat(
        pl.read_csv(network / name, separator=";").select(asset_id=pl.col("id").str.replace_all(" ", "_"), node="node")
        for name in ("Load.csv", "RES.csv")
    )
    return (
        pl.read_csv(year / "community_assets.csv")
        .filter(pl.col("kind") != "battery")
        .join(nodes, on="asset_id", how="left", maintain_order="left")
        # 5.8999999999999995 is 0.0059 MW turned into kW: no more than six decimals are meant.
        .select("asset_id", "kind", pl.col("p_nom_kW").round(6), profile="simbench_profile", node="node")
    )


def power(year: Path, asset_ids: list[str]) -> pl.DataFrame:
    """The quarter hours from FIRST to BEYOND in their true order."""
    whole = pl.read_parquet(year / "community_power_kW_2016_15min.parquet").sort("row")
    begin, end = (whole.filter(pl.col("time_local") == stamp)["row"].item() for stamp in (FIRST, BEYOND))
    return whole.filter(pl.col("row").is_between(begin, end, closed="left")).select(
        pl.col("time_local").str.to_datetime("%d.%m.%Y %H:%M", time_unit="us"), "row", *asset_ids
    )


if __name__ == "__main__":
    year_folder, network_folder = (Path(argument) for argument in sys.argv[1:])
    listed = assets(year_folder, network_folder)
    listed.write_csv(HERE / "assets.csv")
    power(year_folder, listed["asset_id"].to_list()).write_parquet(HERE / "power_kw.parquet", compression="zstd")
