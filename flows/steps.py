"""The steps of the flows: each a verb over a whole batch, run as a Prefect task inside a flow run and plainly outside.

A task per asset would cost more than a slot lasts; correctness never rests on Prefect's state, so results are not
kept or cached by it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext

from flows.moments import in_utc
from flows.session import Run
from pipelines import convert as converting
from pipelines import deliver as delivering
from pipelines import reconcile as reconciling
from pipelines import validate as validating
from pipelines.collect.run import collect as read_sources
from pipelines.collect.summary import CollectSummary
from pipelines.convert import ConvertSummary
from pipelines.deliver import DeliverSummary
from pipelines.errors import ExchangeMoved, TransientError
from pipelines.exchange import PROTOCOLS
from pipelines.reconcile import ReconcileSummary
from pipelines.reconcile import repair as mending
from pipelines.reconcile.repair import RepairSummary
from pipelines.validate import ValidateSummary

S = TypeVar("S")
Step = Callable[..., Awaitable[S]]


async def worth_repeating(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Only what may succeed next time is tried again: a wrong password would lock the account."""
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, TransientError) and not (isinstance(error, ExchangeMoved) and error.for_good)


_PLAIN: ContextVar[bool] = ContextVar("plain", default=False)


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """Inside, steps are no tasks though a flow runs: a task of each of hundreds of communities costs too much."""
    token = _PLAIN.set(True)
    try:
        yield
    finally:
        _PLAIN.reset(token)


def step(function: Step[S]) -> Step[S]:
    """Make a step of a function whose first argument is the run."""
    name = getattr(function, "__name__", "step")

    @wraps(function)
    async def staged(run: Run, *args: object, **kwargs: object) -> S:
        with run.stage(name):
            return await function(run, *args, **kwargs)

    as_task = task(
        name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=2,
        retry_delay_seconds=[5, 20],
        retry_jitter_factor=0.5,
        retry_condition_fn=worth_repeating,
    )(staged)

    @wraps(function)
    async def call(run: Run, *args: object, **kwargs: object) -> S:
        if FlowRunContext.get() is not None and not _PLAIN.get():
            return await as_task(run, *args, **kwargs)
        # A run to be stopped begins no step, and does nothing with the outcome of one.
        run.stop.check()
        outcome = await staged(run, *args, **kwargs)
        run.stop.check()
        return outcome

    return call


def reason_of(source: str, reason: str) -> str:
    """The reason, with its source named once."""
    return reason if reason.startswith(f"source '{source}'") else f"source '{source}': {reason}"


@step
async def collect(run: Run, *, start: datetime | None = None, end: datetime | None = None) -> CollectSummary:
    """Fetch readings up to the run's time, or those of [start, end]."""
    # In a thread: vendors answer when they like, and Prefect wants to hear from this run meanwhile.
    with run.stop.in_hand():
        report = await asyncio.to_thread(
            read_sources,
            run.store,
            run.community,
            run.secrets,
            folder=run.folder,
            start=None if start is None else in_utc(start),
            end=run.now if end is None else in_utc(end),
            run_id=run.run_id,
            clock=run.clock,
            sleep=run.stop.pause,
            stopping=run.stop.asked,
        )
    run.note("collect", report)
    run.problems += [reason_of(name, reason) for name, reason in report.sources_failed.items()]
    run.problems += [reason_of(name.partition("/")[0], reason) for name, reason in report.devices_failed.items()]
    return report


@step
async def validate(run: Run) -> ValidateSummary:
    """Judge what was collected."""
    report = validating.validate(run.store, run.community, now=run.now, run_id=run.run_id)
    run.note("validate", report)
    return report


@step
async def convert(run: Run, *, forecast: bool = True) -> ConvertSummary:
    """Make slots of good readings, and the outbox rows that follow from them."""
    report = converting.convert(
        run.store,
        run.community,
        abilities=PROTOCOLS[run.community.exchange.protocol].abilities,
        forecast=forecast,
        now=run.now,
        run_id=run.run_id,
    )
    run.note("convert", report)
    return report


@step
async def deliver(run: Run) -> DeliverSummary:
    """Send what is due."""
    async with run.exchange() as client, delivering.open_line(client, run.community) as line:
        with run.stop.in_hand():
            report = await delivering.deliver(run.store, run.community, client, line=line, stopping=run.stop.asked)
    run.note("deliver", report)
    run.problems += report.problems
    return report


@step
async def reconcile(
    run: Run,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    act: bool = False,
    regardless: bool = False,
) -> ReconcileSummary:
    """Compare with the exchange, after closing what can't be sent any more; then repair, or tell what that would do."""
    async with run.exchange() as client:
        delivering.expire_overdue(run.store, now=client.clock.now())
        report = await reconciling.reconcile(run.store, run.community, client, start=start, end=end, run_id=run.run_id)
        repaired = mending.repair(run.store, run.community, act=act, now=client.clock.now(), regardless=regardless)
    run.note("reconcile", report)
    run.note("repair", repaired)
    run.problems += [f"asset '{name}': {reason}" for name, reason in report.unread.items()]
    return report


@step
async def repair(run: Run, *, regardless: bool = False) -> RepairSummary:
    """Repair once more, after a delivery has told whether a cause is gone."""
    async with run.exchange() as client:
        report = mending.repair(run.store, run.community, act=True, now=client.clock.now(), regardless=regardless)
    run.note("repair", report)
    return report
