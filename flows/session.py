"""What every run opens and closes: the community file, secrets, the store, the run log."""

import asyncio
import contextlib
import gc
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prefect.context import FlowRunContext
from prefect.exceptions import TerminationSignal

from flows.moments import in_utc
from flows.secrets import secret_blocks
from flows.stopping import Stop, heed
from flows.textfile import leave_textfile
from flows.tracing import start_tracing, trace_id
from pipelines.check import read_community
from pipelines.clock import Clock, RunningClock, WallClock
from pipelines.community import Community
from pipelines.errors import IncompleteRun, SlotfeedError
from pipelines.exchange import ExchangeClient, open_exchange
from pipelines.metrics.amounts import amounts_of
from pipelines.settings import (
    DATABASE_PASSWORD,
    DEAD_MANS_SWITCH,
    EXCHANGE_PASSWORD,
    EXCHANGE_USERNAME,
    Secrets,
    source_password,
)
from pipelines.shares import WHOLE, Share
from pipelines.store import Store, finish_run, kept_lead, start_run
from pipelines.store.own import open_own_store
from pipelines.traced import span


@dataclass
class Run:
    """One run of one flow."""

    # Not in its repr: asyncio makes one of what a task returns, which took seconds for ten thousand assets.
    community: Community = field(repr=False)
    """What it carries: of a share, its assets alone."""

    whole: Community = field(repr=False)
    """As the file has it."""

    file: Path
    """The community file."""

    secrets: Secrets
    store: Store
    clock: Clock
    run_id: str
    now: datetime
    """The run's logical time: what had happened by then is what the run sees."""

    command: str = ""
    """Its name in the run log."""

    share: Share = WHOLE
    """The part of the community that it carries."""

    summary: dict[str, Any] = field(default_factory=dict)
    """What each step reported, by step."""

    problems: list[str] = field(default_factory=list)
    """What went wrong without ending the run."""

    failure: str = ""
    """What ended it, if an error did."""

    stages_s: dict[str, float] = field(default_factory=dict)
    """How long each step took, all its goes together, in seconds."""

    stop: Stop = field(default_factory=Stop)
    """Whether it was asked to stop; a flow run never is, Prefect cancels it."""

    @property
    def folder(self) -> Path:
        """Of the community file: relative paths in it start here."""
        return self.file.parent

    @property
    def at(self) -> datetime | None:
        """The present, where the run has a time of its own; None where it is the wall clock's."""
        return None if isinstance(self.clock, WallClock) else self.clock.now()

    def note(self, step: str, report: Any) -> None:  # noqa: ANN401 - any dataclass
        """Keep a step's summary, as plain values."""
        self.summary[step] = _plain(asdict(report))

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Around one go of a step: takes its time, and is a span of the run's trace."""
        began = time.monotonic()
        with span(name) as opened:
            try:
                yield
            finally:
                self.stages_s[name] = self.stages_s.get(name, 0.0) + time.monotonic() - began
                opened.set_attributes(_counts(self.summary.get(name)))

    @contextlib.asynccontextmanager
    async def exchange(self) -> AsyncIterator[ExchangeClient]:
        """The exchange, logged in; its market's clock as far ahead as was measured last."""
        section = self.community.exchange
        async with open_exchange(
            base_url=section.base_url,
            username=self.secrets.need(EXCHANGE_USERNAME, purpose="the exchange's user name"),
            password=self.secrets.need(EXCHANGE_PASSWORD, purpose="the exchange's password"),
            clock=self.clock,
            concurrency=section.concurrency,
            allow_http=self.community.allow_http,
            sleep=self.stop.sleep,
        ) as client:
            await client.connect()
            simulation = self.community.community.simulation_uuid
            client.lead = kept_lead(self.store, simulation, now=client.http_clock.now()) or timedelta(0)
            yield client


COLLECTED_AFTER = 50_000
"""New objects after which Python looks for those that hold each other. A run makes very many that stay to its end: with
Python's own 700 (2,000 since 3.13), half the time of reading a community of 10,000 assets goes into looking at them
again and again. Ours."""

STOPPED = (asyncio.CancelledError, KeyboardInterrupt, TerminationSignal)
"""How a run ends that somebody ends: in a flow run, Prefect."""

Teller = Callable[[Run], Awaitable[None]]
"""Shows people what a run did: as artifacts of a flow run, or on the screen of an ad hoc one."""


async def tell_nobody(_: Run) -> None:
    """For runs whose line in the run log says it all."""


@contextlib.asynccontextmanager
async def open_run(
    command: str,
    community_file: str | Path,
    *,
    tell: Teller,
    at: datetime | None = None,
    stop: Stop | None = None,
    share: Share = WHOLE,
) -> AsyncIterator[Run]:
    """Open a run, log and tell its end, however it ends.

    Args:
        command: its name in the run log.
        community_file: path of `community.yaml`.
        tell: shows what it did.
        at: the run's logical time; None: now. Deadlines are the exchange's business and follow its own clock.
        stop: whether it is to stop; None: a signal tells, save in flow runs.
        share: the part of the community that it carries.

    Raises:
        ConfigurationError: faults in the file, or secrets that are missing.
        IncompleteRun: at the end, if steps noted problems.
        SystemExit: it was stopped by a signal, outside of flow runs; see `flows.stopping`.
    """
    gc.set_threshold(COLLECTED_AFTER, *gc.get_threshold()[1:])
    path = Path(community_file).expanduser().resolve()
    community = read_community(path)
    secrets = Secrets(path.parent)
    if FlowRunContext.get() is not None:
        wanted = [*EXCHANGE_USERNAME, *EXCHANGE_PASSWORD, *DATABASE_PASSWORD, *DEAD_MANS_SWITCH]
        wanted += [name for source in community.sources for name in source_password(source)]
        blocks = await secret_blocks(wanted, path.parent)
        secrets = Secrets(path.parent, elsewhere=blocks.get)
    with contextlib.ExitStack() as closing:
        start_tracing()
        opened = closing.enter_context(span(command, community=community.community.name))
        # Prefect has its own handler in a flow run's process and tells by it whether the run was cancelled.
        if stop is None:
            stop = Stop() if FlowRunContext.get() is not None else closing.enter_context(heed())
        store = open_own_store(community, path.parent, secrets)
        closing.callback(store.close)
        clock: Clock = WallClock() if at is None else RunningClock(in_utc(at))
        now = clock.now() if at is None else in_utc(at)
        run = Run(
            community=share.part(community),
            whole=community,
            share=share,
            file=path,
            secrets=secrets,
            store=store,
            clock=clock,
            run_id=start_run(
                store,
                command,
                logical_time=now,
                now=clock.now(),
                share=str(share),
                release=version("slotfeed"),
                worker=f"{socket.gethostname()}:{os.getpid()}",
            ),
            command=command,
            now=now,
            stop=stop,
        )
        opened.set_attribute("slotfeed.run_id", run.run_id)
        try:
            yield run
        except BaseException as error:
            _log_end_by(error, run)
            raise
        finally:
            await tell(run)
        _log_end(run, "incomplete" if run.problems else "ok", {"problems": run.problems})
        if run.problems:
            raise IncompleteRun(run.problems)


def _log_end_by(error: BaseException, run: Run) -> None:
    """Also a cancelled or stopped run leaves its line in the log."""
    message = str(error) if isinstance(error, SlotfeedError) else type(error).__name__
    if run.stop.first is not None:
        outcome, message = "stopped", f"by {run.stop.first.name}"
    else:
        outcome = "stopped" if isinstance(error, STOPPED) else "failed"
        run.failure = message
    _log_end(run, outcome, {"error": message, "error_type": type(error).__name__})


def _log_end(run: Run, outcome: str, told: dict[str, Any]) -> None:
    """The run's line in the log, what it adds to the counters, and the metrics' file."""
    stages_s = {name: round(seconds, 3) for name, seconds in run.stages_s.items()}
    summary = run.summary | told | {"stages_s": stages_s} | ({"trace_id": trace} if (trace := trace_id()) else {})
    amounts = amounts_of(run.whole, run.command, outcome, summary)
    finish_run(run.store, run.run_id, outcome=outcome, summary=summary, now=run.clock.now(), amounts=amounts)
    # One that is stopped has other work to put down.
    if outcome != "stopped":
        leave_textfile(run.store, run.whole, run.folder, run.secrets, now=run.clock.now())


def _counts(summary: object) -> dict[str, int]:
    """What of a step's summary a span may carry: counts, no energies and no words."""
    parts = summary.items() if isinstance(summary, dict) else ()
    return {f"slotfeed.{name}": value for name, value in parts if isinstance(value, int)}


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """JSON's own types all the way down."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value
