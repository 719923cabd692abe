"""The archive: the exchange's results, kept for longer than it keeps them."""

from datetime import date
from typing import Any

from prefect import flow

from flows.artifacts import leave_archive
from flows.session import open_run
from flows.upkeep_steps import archive as keep


@flow(name="archive", description="Fetch, check and keep each finished day of results that isn't kept yet.")
async def archive(community: str = "community.yaml", start: date | None = None) -> dict[str, Any]:
    """Keep results before the exchange drops them.

    Args:
        community: path of the community file.
        start: first day (UTC); by default as far back as the exchange keeps results.

    Returns:
        Which days were kept, and what is missing in them.
    """
    async with open_run("archive", community, tell=leave_archive) as run:
        await keep(run, start=start)
    return run.summary
