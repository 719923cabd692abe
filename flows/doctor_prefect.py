"""Doctor's look at Prefect: the server, the deployments, and a worker that takes their runs."""

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import WorkerStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_URL

from flows.doctor import Found, Look, fine

NEEDED = ("feed", "reconcile")
"""Deployments without which the exchange gets nothing, or nobody looks what it has got."""

WHAT = "Prefect"


async def look_at_prefect() -> list[Look]:
    """What is at the server that this environment names."""
    url = PREFECT_API_URL.value()
    if not url:
        remedy = "Start `prefect server start` and set PREFECT_API_URL; without, runs are by hand only"
        return [Look(what=WHAT, found=Found.NOTICE, told="no server is named", remedy=remedy)]
    async with get_client() as client:
        if (error := await client.api_healthcheck()) is not None:
            told = f"the server at {url} doesn't answer ({type(error).__name__} {error})".strip()
            return [Look(what=WHAT, found=Found.FAULT, told=told, remedy="Start it, or correct PREFECT_API_URL")]
        try:
            tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=["slotfeed"]))
            found = await client.read_deployments(deployment_filter=tagged)
            pools = {deployment.work_pool_name for deployment in found if deployment.work_pool_name}
            workers = [look for pool in sorted(pools) for look in await _workers(client, pool)]
        except PrefectException as error:
            return [Look(what=WHAT, found=Found.FAULT, told=f"{url}: {error}", remedy="See the server's log")]
    return [fine(WHAT, f"the server at {url} answers"), *_deployments(found), *workers]


def _deployments(found: list[DeploymentResponse]) -> list[Look]:
    looks = []
    for name in NEEDED:
        ours = [one for one in found if one.name.split(".")[0] == name]
        active = [one for one in ours if not one.paused and any(schedule.active for schedule in one.schedules)]
        if active:
            looks.append(fine("deployments", f"{name}: {len(active)} with an active schedule"))
            continue
        told = f"{name}: {'its schedule is paused' if ours else 'not deployed'}"
        remedy = "Set it active in Prefect's page" if ours else "Run `prefect deploy --all --no-prompt`"
        looks.append(Look(what="deployments", found=Found.FAULT, told=told, remedy=remedy))
    return looks


async def _workers(client: PrefectClient, pool: str) -> list[Look]:
    online = [
        one
        for one in await client.read_workers_for_work_pool(pool)
        if getattr(one, "status", None) == WorkerStatus.ONLINE
    ]
    if online:
        return [fine("workers", f"{len(online)} online in pool '{pool}'")]
    told = f"none is online in pool '{pool}', so nothing runs"
    return [Look(what="workers", found=Found.FAULT, told=told, remedy=f"Run `prefect worker start --pool {pool}`")]
