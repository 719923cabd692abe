"""The flow that moves old rows out of the database."""

from typing import Any

from prefect import flow

from flows.session import open_run, tell_nobody
from flows.upkeep_steps import retention as move


@flow(name="retention", description="Move rows that are older than the community file says into Parquet files.")
async def retention(community: str = "community.yaml") -> dict[str, Any]:
    """Keep the database small; does nothing where the file has no `retention:`.

    Args:
        community: path of the community file.

    Returns:
        How many rows were written into files and taken out of the tables.
    """
    async with open_run("retention", community, tell=tell_nobody) as run:
        await move(run)
    return run.summary
