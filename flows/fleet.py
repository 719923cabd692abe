"""A fleet: many communities as a few runs.

A flow run costs seconds of two cores and a task milliseconds of the server, so a run and four tasks for each of
hundreds of communities would last longer than a slot. Here one run carries them all, several at a time, without tasks;
each has its own line in its own run log as ever. What goes wrong with one is no matter to the others.

Several workers part a fleet by shares (`2/3`): a file's name decides which share it is in, so that it stays there when
others come or go. A community that two runs carry at once, as while the number of shares is changed, is harmless: the
outbox decides what leaves.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.context import FlowRunContext

from flows.artifacts import leave_fleet
from flows.feed import feed_once, rest_once
from flows.patterns import fitting_files
from flows.quality import look
from flows.reconcile import reconcile_once
from flows.secrets import remembered
from flows.session import Run, open_run, tell_nobody
from flows.steps import plainly
from flows.stopping import Stop, heed
from flows.upkeep_steps import retention
from flows.watch import watch_once
from pipelines.errors import ConfigurationError, IncompleteRun, Issue, SlotfeedError
from pipelines.shares import Share

TOGETHER = 8
"""Communities at a time: while one waits for its exchange, another computes. Ours."""


async def _reconcile(run: Run) -> None:
    await reconcile_once(run, repair=run.community.reconcile.repair)


STORIES: Mapping[str, Callable[[Run], Awaitable[object]]] = {
    "feed": feed_once,
    "feed-rest": rest_once,
    "reconcile": _reconcile,
    "quality": look,
    "watch": watch_once,
    "retention": retention,
}
"""What a fleet can do, as the flows of the same names do it."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """How one community came through."""

    file: str
    outcome: str
    """`ok`, `incomplete` or `failed`, as in the run log."""

    told: str = ""
    """What went wrong, in words."""


@flow(name="fleet", description="The same flow for many communities, in one run.")
async def fleet(
    communities: list[str], what: str = "feed", share: str = "1/1", at: datetime | None = None
) -> dict[str, Any]:
    """Run a flow's story for each community.

    Args:
        communities: paths of community files, or patterns of them: communities/*.yaml.
        what: feed, feed-rest (those whose feed has not ended in this slot), reconcile, quality, watch or retention.
        share: which part of them, such as 2/3.
        at: the runs' logical time; by default now.

    Returns:
        How many came through, by outcome.
    """
    with remembered():
        found = await run_fleet(what, members(communities, share), at=at)
    troubles = [one for one in found if one.outcome != "ok"]
    words = f"{what} of {len(found):,} communities (share {share}): {len(troubles):,} with trouble"
    await leave_fleet(f"fleet-{what}-{share.replace('/', '-of-')}", words, as_rows(troubles or found))
    return summed_up(found)


async def run_fleet(what: str, files: Sequence[Path], *, at: datetime | None = None) -> list[Member]:
    """Run the story for each file, several at a time; how each came through, in their order.

    Raises:
        ConfigurationError: there is no such story.
    """
    if what not in STORIES:
        raise _fault("what", f"a fleet can't do '{what}'", f"Known: {', '.join(STORIES)}")
    turn = asyncio.Semaphore(TOGETHER)

    async def one(file: Path) -> Member:
        async with turn:
            return await _member(what, file, at=at)

    # By hand, the first signal cancels them all, which gives everything back; Prefect does the same.
    with plainly(), heed() if FlowRunContext.get() is None else contextlib.nullcontext():
        return list(await asyncio.gather(*map(one, files)))


def members(patterns: Iterable[str], share: str = "1/1") -> list[Path]:
    """The files of a share, sorted.

    Raises:
        ConfigurationError: a pattern that fits no file, or no share.
    """
    part = Share.parse(share)
    return [file for file in fitting_files(patterns) if part.holds(file.name)]


def as_rows(found: Sequence[Member]) -> list[dict[str, str]]:
    """How each came through, for people."""
    return [{"community": one.file, "outcome": one.outcome, "what went wrong": one.told} for one in found]


def summed_up(found: Sequence[Member]) -> dict[str, Any]:
    """How many came through, by outcome.

    Raises:
        IncompleteRun: one or more didn't; their words.
    """
    troubles = [f"{one.file}: {one.told}" for one in found if one.outcome != "ok"]
    if troubles:
        raise IncompleteRun(troubles)
    return {"ok": len(found)}


async def _member(what: str, file: Path, *, at: datetime | None) -> Member:
    try:
        async with open_run(what, file, tell=tell_nobody, at=at, stop=Stop()) as run:
            await STORIES[what](run)
    except IncompleteRun as error:
        return Member(file=str(file), outcome="incomplete", told=str(error))
    except SlotfeedError as error:
        return Member(file=str(file), outcome="failed", told=str(error))
    except Exception as error:  # noqa: BLE001 - whatever befalls one, the others are carried on
        return Member(file=str(file), outcome="failed", told=f"{type(error).__name__}, see its run log")
    return Member(file=str(file), outcome="ok")


def _fault(field: str, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Issue(where="fleet", field=field, problem=problem, remedy=remedy)])
