"""Doctor's look at Prefect: the server, the deployments, and a worker that takes their runs."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import WorkerStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.server.schemas.schedules import SCHEDULE_TYPES
from prefect.settings import PREFECT_API_URL
from pydantic import TypeAdapter

from flows.doctor import Found, Look, fine
from flows.prefect_words import TROUBLES, address, hold_back_logs, in_words
from pipelines.shares import parts

NEEDED = ("feed", "reconcile")
"""Deployments without which the exchange gets nothing, or nobody looks what it has got."""

REST = "feed-rest"

WHAT = "Prefect"
FEEDS = "feeds"

ANY_SCHEDULE: TypeAdapter[SCHEDULE_TYPES] = TypeAdapter(SCHEDULE_TYPES)

SEVERAL = 12
"""Runs of a schedule that are looked at."""


async def look_at_prefect(*, slot_length: timedelta) -> list[Look]:
    """What is at the server that this environment names; `slot_length` is of the community's market."""
    url = PREFECT_API_URL.value()
    if not url:
        remedy = "Set PREFECT_API_URL (`slotfeed serve` has http://127.0.0.1:4200/api); without, runs are by hand only"
        return [Look(what=WHAT, found=Found.NOTICE, told="no server is named", remedy=remedy)]
    hold_back_logs()
    async with get_client() as client:
        away: Exception | None = await client.api_healthcheck()
        if away is not None:
            told = f"the server at {address(url)} doesn't answer ({in_words(away)})"
            return [Look(what=WHAT, found=Found.FAULT, told=told, remedy="Start it, or correct PREFECT_API_URL")]
        try:
            tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=["slotfeed"]))
            found = await client.read_deployments(deployment_filter=tagged)
            pools = {deployment.work_pool_name for deployment in found if deployment.work_pool_name}
            workers = [look for pool in sorted(pools) for look in await _workers(client, pool)]
        except TROUBLES as error:
            told = f"{address(url)}: {in_words(error)}"
            return [Look(what=WHAT, found=Found.FAULT, told=told, remedy="See the server's log")]
    return [
        fine(WHAT, f"the server at {address(url)} answers"),
        *_deployments(found),
        *await look_at_feeds(found, slot_length=slot_length),
        *workers,
    ]


async def look_at_feeds(found: Sequence[DeploymentResponse], *, slot_length: timedelta) -> list[Look]:
    """Feeds that are in each other's way, or leave a part of a community to nobody.

    Args:
        found: deployments; those that are paused count for nothing.
        slot_length: of the market.
    """
    feeds = [one for one in found if _does(one, "feed") and _active(one)]
    looks: list[Look] = []
    for one in feeds:
        gap = await _smallest_gap(one)
        if gap is not None and gap < slot_length:
            told = f"{one.name} runs every {gap}, and a slot lasts {slot_length}: nothing is sent twice, but it costs"
            looks.append(_notice(told, "Set its schedule to one run a slot"))
    rests = [one for one in found if _does(one, REST) and _active(one)]
    for community in sorted({_fed_by(one) for one in feeds}):
        own = [one for one in feeds if _fed_by(one) == community]
        looks += _shares_of(community, own)
        looks += _rest_of(community, own, [one for one in rests if _fed_by(one) == community])
    return looks


def _fed_by(feed: DeploymentResponse) -> str:
    """The community file, or the files of a fleet."""
    files = feed.parameters.get("communities") or [feed.parameters.get("community", "community.yaml")]
    return ", ".join(map(str, files))


def _shares_of(community: str, feeds: Sequence[DeploymentResponse]) -> Iterator[Look]:
    by_share: dict[str, list[str]] = {}
    for one in feeds:
        by_share.setdefault(_share_of(one), []).append(one.name)
    for share, names in sorted(by_share.items()):
        if len(names) > 1:
            told = f"{' and '.join(sorted(names))} feed the same, share {share} of {community}"
            yield _notice(f"{told}: nothing is sent twice, but it costs", "Pause or delete one of them")
    counts = sorted({share.partition("/")[2] for share in by_share})
    if len(counts) > 1:
        told = f"feeds part {community} into {' and '.join(counts)}: some assets are fed twice, some perhaps not at all"
        yield Look(
            what=FEEDS, found=Found.FAULT, told=told, remedy="Delete the deployments of the old number of shares"
        )
    elif absent := [str(share) for share in parts(int(counts[0])) if str(share) not in by_share]:
        told = f"nobody feeds share {', '.join(absent)} of {community}"
        yield Look(what=FEEDS, found=Found.FAULT, told=told, remedy="Deploy it, or set it active in Prefect's page")


def _rest_of(
    community: str, feeds: Sequence[DeploymentResponse], rests: Sequence[DeploymentResponse]
) -> Iterator[Look]:
    """Whether what a dead worker leaves is carried, and nothing else: in parts that no feed has, all is left."""
    if not rests:
        told = f"no feed-rest of {community}: the slot of a run that dies is lost"
        yield _notice(told, "Deploy it: `prefect deploy --all --no-prompt`, or what `slotfeed deployments` writes")
        return
    if _is_fleet(feeds[0]):
        return
    parted = {_share_of(one).partition("/")[2] for one in feeds}
    for one in rests:
        shares = str(one.parameters.get("shares", 1))
        if shares not in parted:
            told = f"{one.name} parts {community} into {shares}, its feeds into {' and '.join(sorted(parted))}"
            yield Look(
                what=FEEDS,
                found=Found.FAULT,
                told=f"{told}: it feeds all assets once more in each slot",
                remedy="Delete or pause the one of the old number of shares",
            )


def _share_of(feed: DeploymentResponse) -> str:
    return str(feed.parameters.get("share", "1/1"))


async def _smallest_gap(deployment: DeploymentResponse) -> timedelta | None:
    """Between two runs by its active schedules, over a few of them."""
    # The server's own kinds of schedules can tell their dates.
    schedules = [ANY_SCHEDULE.validate_python(one.schedule.model_dump()) for one in deployment.schedules if one.active]
    dates = sorted({date for schedule in schedules for date in await schedule.get_dates(SEVERAL)})
    return min((timedelta(seconds=(later - date).total_seconds()) for date, later in pairwise(dates)), default=None)


def _does(deployment: DeploymentResponse, what: str) -> bool:
    """Whether it is the flow of this name, or a fleet of it."""
    if _is_fleet(deployment):
        return bool(deployment.parameters.get("what") == what)
    file = "feed" if what == REST else what
    return (deployment.entrypoint or "").endswith(f"/{file}.py:{what.replace('-', '_')}")


def _is_fleet(deployment: DeploymentResponse) -> bool:
    return (deployment.entrypoint or "").endswith("/fleet.py:fleet")


def _active(deployment: DeploymentResponse) -> bool:
    return not deployment.paused and any(schedule.active for schedule in deployment.schedules)


def _notice(told: str, remedy: str) -> Look:
    return Look(what=FEEDS, found=Found.NOTICE, told=told, remedy=remedy)


def _deployments(found: list[DeploymentResponse]) -> list[Look]:
    looks = []
    for name in NEEDED:
        ours = [one for one in found if _does(one, name)]
        active = [one for one in ours if _active(one)]
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
