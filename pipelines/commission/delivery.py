"""Steps 4 and 5: what the exchange has taken, and what it was seen to hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from pipelines.commission.names import RECENT_SLOTS, STALE, Mark, Standing, Step, Terms
from pipelines.commission.streaks import Difference, Streak
from pipelines.frames import State
from pipelines.report.times import local_text
from pipelines.report.words import counted

TAKEN = (State.ACCEPTED.value, State.CONFIRMED.value)

FEED_PAUSE = timedelta(hours=2)
"""A feed plans the coming slot; where the newest one is older than this, none runs (ours)."""


@dataclass(frozen=True, kw_only=True)
class Due:
    """One asset's newest forecasts whose window is over, newest first."""

    slots: Sequence[Mapping[str, Any]]
    """slot_start, state, error; `RECENT_SLOTS` at most."""


def due_forecasts(sent: pl.DataFrame, *, now: datetime) -> dict[str, Due]:
    """asset_id -> its newest forecasts that had to be sent by `now`."""
    over = sent.filter((pl.col("closes_at") <= now) | pl.col("state").is_in(TAKEN))
    columns = ["slot_start", "state", "error"]
    newest = over.sort("slot_start", descending=True).group_by("asset_id", maintain_order=True).head(RECENT_SLOTS)
    found: dict[str, Due] = {}
    for (asset_id,), rows in newest.group_by("asset_id", maintain_order=True):
        found[str(asset_id)] = Due(slots=rows.select(columns).to_dicts())
    return found


def delivered(due: Due | None, *, now: datetime, zone: ZoneInfo, has_fed: bool) -> Standing:
    """Whether what was due lately was taken by the exchange."""
    if due is None or not due.slots:
        return _nothing_due(has_fed=has_fed)
    newest = due.slots[0]
    if now - newest["slot_start"] > FEED_PAUSE:
        return Standing(
            step=Step.DELIVERED,
            mark=Mark.BLOCKED,
            told=f"nothing was sent for a slot after {local_text(newest['slot_start'], zone)}",
            cause="nothing is sent any more",
            remedy="See that feeds run (`slotfeed status`, the worker of `feed`), and that the meter tells",
            since=newest["slot_start"],
        )
    failed = next((row for row in due.slots if row["state"] not in TAKEN), None)
    if failed is newest:
        return _failed(newest, zone)
    taken = sum(row["state"] in TAKEN for row in due.slots)
    if failed is not None or taken < RECENT_SLOTS:
        last = counted(len(due.slots), "slot")
        told = f"the exchange took {taken} of the last {last}; {RECENT_SLOTS} in a row are asked"
        return Standing(step=Step.DELIVERED, mark=Mark.WAITS, told=told)
    told = f"the exchange took the last {RECENT_SLOTS} slots, up to {local_text(newest['slot_start'], zone)}"
    return Standing(step=Step.DELIVERED, mark=Mark.STANDS, told=told)


def _nothing_due(*, has_fed: bool) -> Standing:
    if not has_fed:
        remedy = "Run `slotfeed feed`, or start the worker of the deployment `feed`"
        return Standing(
            step=Step.DELIVERED, mark=Mark.WAITS, told="nothing was sent yet: no feed has run", remedy=remedy
        )
    return Standing(
        step=Step.DELIVERED,
        mark=Mark.WAITS,
        told="nothing was sent yet: no slot was measured whole in time",
        remedy="The first slot is sent once two in a row are measured whole; see step 3 where that doesn't happen",
    )


def _failed(row: Mapping[str, Any], zone: ZoneInfo) -> Standing:
    when, reason = local_text(row["slot_start"], zone), str(row["error"] or "")
    if row["state"] == State.REJECTED.value:
        told = f"the exchange refused slot {when}: {reason or 'without saying why'}"
        cause, remedy = (
            "refused",
            "Read the exchange's reason; correct `uuid` or `type` of the asset in community.yaml",
        )
    else:
        told = f"slot {when} wasn't sent in time" + (f": {reason}" if reason else "")
        cause, remedy = "late", "See why the run was late: `slotfeed status` shows the last runs"
    return Standing(
        step=Step.DELIVERED, mark=Mark.BLOCKED, told=told, cause=cause, remedy=remedy, since=row["slot_start"]
    )


@dataclass(frozen=True, kw_only=True)
class Held:
    """The certificate of an asset that holds so far."""

    number: str
    broken_by: Difference | None
    """The first slot since its period that differs; None: each agrees."""


def confirmed(
    streak: Streak | None,
    held: Held | None,
    *,
    terms: Terms,
    now: datetime,
    zone: ZoneInfo,
    length: timedelta,
    has_reconciled: bool,
) -> Standing:
    """Whether the exchange was seen to hold what was sent, slot by slot.

    Args:
        streak: None: no slot was compared.
        held: None: there is no certificate that holds.
        terms: what is asked.
        now: the run's logical time.
        zone: for words.
        length: of a slot.
        has_reconciled: some asset's slots were compared.
    """
    if streak is None:
        told = "no slot was compared yet" + ("" if has_reconciled else ": no reconciliation has run")
        remedy = "" if has_reconciled else "Run `slotfeed reconcile`, or start the worker of the deployment `reconcile`"
        return Standing(step=Step.CONFIRMED, mark=Mark.WAITS, told=told, remedy=remedy)
    if now - streak.newest - length > STALE:
        return Standing(
            step=Step.CONFIRMED,
            mark=Mark.BLOCKED,
            told=f"its slots were compared up to {local_text(streak.newest + length, zone)} only",
            cause="not compared any more",
            remedy="Run `slotfeed reconcile`, and see that the deployment `reconcile` and its worker run",
            since=streak.newest + length,
        )
    if held is not None:
        return _since_certified(streak, held, zone)
    if streak.broken_by is not None and streak.good == 0:
        return _differs(streak.broken_by, zone, more="")
    return _collecting(streak, terms, zone)


def _since_certified(streak: Streak, held: Held, zone: ZoneInfo) -> Standing:
    if held.broken_by is not None:
        again = f"; {counted(streak.good, 'slot')} in a row confirmed since" if streak.good else ""
        return _differs(held.broken_by, zone, more=again)
    told = f"every slot compared since certificate {held.number} agrees, up to {local_text(streak.last_good, zone)}"
    return Standing(step=Step.CONFIRMED, mark=Mark.STANDS, told=told)


def _differs(found: Difference, zone: ZoneInfo, *, more: str) -> Standing:
    told = f"slot {local_text(found.slot_start, zone)}: {found.diagnosis}: {found.evidence}{more}"
    return Standing(
        step=Step.CONFIRMED,
        mark=Mark.BLOCKED,
        told=told,
        cause=found.diagnosis,
        remedy=found.repair,
        since=found.slot_start,
    )


def _collecting(streak: Streak, terms: Terms, zone: ZoneInfo) -> Standing:
    enough = streak.good >= terms.slots
    if enough and streak.energies >= terms.energies:
        until = local_text(streak.last_good, zone)
        told = f"{counted(streak.good, 'slot')} in a row confirmed, {streak.energies} different energies, up to {until}"
        return Standing(step=Step.CONFIRMED, mark=Mark.STANDS, told=told)
    told = f"{streak.good} slots" if enough else f"{streak.good} of {terms.slots} slots"
    told += " in a row confirmed"
    if streak.energies < terms.energies:
        told += f", {streak.energies} of {terms.energies} different energies above zero"
    if streak.broken_by is not None:
        when = local_text(streak.broken_by.slot_start, zone)
        told += f"; the last that differed was {when}: {streak.broken_by.diagnosis}"
    if not enough:
        return Standing(step=Step.CONFIRMED, mark=Mark.WAITS, told=told)
    remedy = "Wait until energy flows: slots that agree at 0, or at a value that stands still, prove nothing"
    return Standing(step=Step.CONFIRMED, mark=Mark.WAITS, told=told, cause="too little energy yet", remedy=remedy)
