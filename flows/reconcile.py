"""Reconciliation: what the exchange holds against what it should hold, and the repair of what differs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from prefect import flow

from flows.artifacts import leave_reconcile
from flows.session import Run, open_run
from flows.steps import deliver
from flows.steps import reconcile as compare
from flows.steps import repair as repair_again

SUMS = {
    "repair": ("resent", "resent_by", "tried", "lost", "lost_wh", "lost_by"),
    "deliver": ("accepted", "rejected", "expired", "given_back", "energy_wh", "margins", "margin_s", "problems"),
}
"""Parts of a step's summary that are sums over the run."""


@flow(name="reconcile", description="Read back every asset's slots, name the cause of each difference, repair.")
async def reconcile(
    community: str = "community.yaml",
    start: datetime | None = None,
    end: datetime | None = None,
    at: datetime | None = None,
    repair: bool | None = None,
) -> dict[str, Any]:
    """Prove that what was sent is what the exchange used, and mend what can be mended.

    Args:
        community: path of the community file.
        start: first slot; by default the oldest that isn't settled, and a day back at least.
        end: slots from here on are left out; by default the last that has finished.
        at: the run's logical time; by default now.
        repair: whether to send again and to give up; by default what `reconcile: repair:` in the file says.

    Returns:
        What was found and done.
    """
    async with open_run("reconcile", community, at=at, tell=leave_reconcile) as run:
        allowed = run.community.reconcile.repair if repair is None else repair
        await reconcile_once(run, start=start, end=end, repair=allowed)
    return run.summary


async def reconcile_once(
    run: Run,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    repair: bool = False,
    regardless: bool = False,
) -> None:
    """The story of one reconciliation.

    Args:
        run: open.
        start: first slot to compare.
        end: slots from here on are left out.
        repair: whether to; else it is told what a repair would do.
        regardless: repair also what was refused so often, or so lately, that it would be left alone.
    """
    await compare(run, start=start, end=end, act=repair, regardless=regardless)
    if not repair:
        return
    await deliver(run)
    first = dict(run.summary)
    if first["repair"]["tried"] and first["deliver"]["accepted"]:
        # The cause is gone: what waited for that follows at once.
        again = await repair_again(run, regardless=regardless)
        run.summary["repair"] = added(first["repair"], run.summary["repair"], SUMS["repair"])
        if again.resent:
            await deliver(run)
            run.summary["deliver"] = added(first["deliver"], run.summary["deliver"], SUMS["deliver"])


def added(first: Mapping[str, Any], second: Mapping[str, Any], sums: Sequence[str]) -> dict[str, Any]:
    """What one step did in two goes, as one summary; what says how things stand is the second one's."""
    return {**second, **{key: _sum(first[key], second[key]) for key in sums}}


def _sum(first: Any, second: Any) -> Any:  # noqa: ANN401 - numbers, lists, or counts by name
    if isinstance(first, Mapping):
        return {key: first.get(key, 0) + second.get(key, 0) for key in {**first, **second}}
    return first + second
