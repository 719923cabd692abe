"""The steps of the watch: look, tell people, and vouch for itself."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import timedelta

import httpx
from prefect.context import FlowRunContext

from flows.doctor import Found, disk_looks, skew_look
from flows.notices import emit_events, emit_looked, send_notices
from flows.session import Run
from flows.steps import step
from pipelines.collect.people import quotas
from pipelines.collect.run import Opening
from pipelines.errors import SlotfeedError
from pipelines.exchange import open_exchange
from pipelines.hosts import refuse_clear
from pipelines.settings import DEAD_MANS_SWITCH, EXCHANGE_PASSWORD, EXCHANGE_USERNAME
from pipelines.tls import tls_context
from pipelines.watch import Alarm, Kind, WatchSummary, mark_told, untold
from pipelines.watch import watch as watch_store

LONG = timedelta(days=1)
"""Shorter limits of an account fill up and empty as it works (ours)."""

PATIENCE_S = 10.0


@step
async def look(run: Run) -> WatchSummary:
    """See what is wrong in the store, on the disks, with the clocks and the budgets."""
    run.summary["outside"] = {}
    more = [*_disks(run), *await asyncio.to_thread(lambda: list(_budgets(run))), *await _clock(run)]
    report = watch_store(run.store, run.community, more=more, now=run.now, run_id=run.run_id)
    run.note("watch", report)
    return report


@step
async def tell_people(run: Run) -> None:
    """Tell of what began and what ended since: events for automations, and a message by each block of the file.

    By hand nobody is told: the one who looks sees it, and the next flow run tells the others.
    """
    if FlowRunContext.get() is None:
        return
    incidents = untold(run.store)
    if not incidents:
        return
    emit_events(run.community, incidents)
    failed = await send_notices(run.community, incidents)
    run.problems += failed
    # What nobody got is told again next time.
    if len(failed) < len(run.community.watch.notify) or not run.community.watch.notify:
        mark_told(run.store, incidents, now=run.now)


@step
async def vouch(run: Run) -> None:
    """Tell Prefect and the dead man's switch that somebody looks; they raise the alarm when this stops."""
    if FlowRunContext.get() is None:
        return
    emit_looked(run.community)
    url = run.secrets.find(DEAD_MANS_SWITCH)
    if url is None:
        return
    refuse_clear(url.get_secret_value(), run.community.allow_http, where="the dead man's switch")
    # The client writes addresses and headers into its logs, and this address is a key.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        async with httpx.AsyncClient(verify=tls_context(), timeout=PATIENCE_S) as client:
            response = await client.get(url.get_secret_value())
        told = "" if response.is_success else f"it answered {response.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        told = type(error).__name__
    if told:
        # The address is the switch's key, so it isn't told.
        run.problems.append(f"the dead man's switch ({DEAD_MANS_SWITCH[0]}) wasn't reached: {told}")


def _disks(run: Run) -> Iterator[Alarm]:
    for found in disk_looks(run.community, run.folder):
        if found.found is Found.FAULT:
            yield Alarm(kind=Kind.DISK_FULL, subject="", told=found.told)


def _budgets(run: Run) -> Iterator[Alarm]:
    opening = Opening(
        store=run.store,
        community=run.community,
        secrets=run.secrets,
        folder=run.folder,
        clock=run.clock,
        gives_up=run.now + timedelta(seconds=PATIENCE_S),
    )
    try:
        found = quotas(opening, run.now)
    except SlotfeedError as error:
        run.problems.append(f"budgets of accounts: {error}")
        return
    # For the metrics, which ask no vendor's rules.
    budgets = run.summary["outside"].setdefault("budgets", [])
    for quota in found:
        for standing in quota.standings:
            limit = standing.limit
            budgets.append({"source": quota.source, "limit": limit.name, "left": standing.left, "most": limit.most})
            long = limit.per is None or limit.per >= LONG
            if long and standing.left < run.community.watch.quota_left * limit.most:
                told = f"{standing.left:,} of {limit.most:,} requests are left ({limit.name})"
                yield Alarm(kind=Kind.QUOTA_SHORT, subject=f"source '{quota.source}', {limit.name}", told=told)


async def _clock(run: Run) -> list[Alarm]:
    """This machine's clock beside the exchange's; asked without a login, so that a locked account is no matter."""
    section = run.community.exchange
    try:
        async with open_exchange(
            base_url=section.base_url,
            username=run.secrets.need(EXCHANGE_USERNAME, purpose="the exchange's user name"),
            password=run.secrets.need(EXCHANGE_PASSWORD, purpose="the exchange's password"),
            clock=run.clock,
            concurrency=1,
            allow_http=run.community.allow_http,
        ) as client:
            await client.ask_time()
            ahead = client.http_clock.now() - run.clock.now()
            found = skew_look(ahead, margin=run.community.margin)
            run.summary["outside"]["clock_offset_s"] = round(ahead.total_seconds(), 3)
    except SlotfeedError as error:
        run.problems.append(str(error))
        return []
    return [Alarm(kind=Kind.CLOCK_SKEWED, subject="", told=found.told)] if found.found is Found.FAULT else []
