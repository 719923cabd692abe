"""Commissioning: every hour, how far each asset is on its way to being proven, and what blocks it."""

from datetime import datetime
from typing import Any

from prefect import flow

from flows.artifacts import leave_commission
from flows.commission_steps import Wanted, ask_around, judge_assets, write_pages
from flows.session import Run, open_run
from pipelines.commission.names import DAY, Terms
from pipelines.commission.run import Commissioning
from pipelines.commission.verdicts import AssetStanding


@flow(name="commission", description="Walk each asset through its steps until it is proven, and see that it stays so.")
async def commission(
    community: str = "community.yaml",
    assets: list[str] | None = None,
    slots: int = DAY.slots,
    energies: int = DAY.energies,
    at: datetime | None = None,
) -> dict[str, Any]:
    """Prove each asset, or tell what blocks it; a proven one that fails again is told.

    Where all is proven, only certificates' dates change.

    Args:
        community: path of the community file.
        assets: names or uuids; by default all.
        slots: confirmed in a row that are asked of an asset.
        energies: different energies above zero among them.
        at: the run's logical time; by default now.

    Returns:
        How many assets stand how, and what changed.
    """
    wanted = Wanted(assets=tuple(assets or ()), terms=Terms(slots=slots, energies=energies))
    found: list[AssetStanding] = []

    async def tell(run: Run) -> None:
        await leave_commission(run, found)

    async with open_run("commission", community, at=at, tell=tell) as run:
        found += (await walk(run, wanted)).standings
    return run.summary


async def walk(run: Run, wanted: Wanted) -> Commissioning:
    """The story of a walk."""
    around = await ask_around(run, wanted)
    found = await judge_assets(run, wanted, around)
    await write_pages(run, wanted, found)
    return found
