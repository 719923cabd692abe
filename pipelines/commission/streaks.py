"""How many slots in a row agree: each asset's newest unbroken run of confirmed slots."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from pipelines.commission.names import SKIPPED, Terms
from pipelines.frames import State
from pipelines.reconcile.same import TOLERANCE_WH


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A compared slot that isn't confirmed."""

    slot_start: datetime
    diagnosis: str
    evidence: str
    repair: str


@dataclass(frozen=True, kw_only=True)
class Streak:
    """One asset's compared slots, the newest run of good ones first."""

    newest: datetime
    """Start of the newest slot that was compared."""

    good: int
    """Confirmed slots of the run."""

    energies: int
    """Different energies above zero among them."""

    start: datetime | None
    """First confirmed slot of the run; None: the newest slot isn't good."""

    last_good: datetime | None
    """Newest confirmed slot, in the run or before."""

    unbroken: bool
    """No slot that was read breaks the run: further back it may be longer."""

    broken_by: Difference | None
    """The newest compared slot that differs."""


def different_energies(column: str, where: pl.Expr) -> pl.Expr:
    """How many different energies above zero there are, as the exchange tells them apart, where `where` holds."""
    told_apart = (pl.col(column) / TOLERANCE_WH).round()
    return told_apart.filter(where & (pl.col(column) > TOLERANCE_WH)).n_unique()


def with_runs(compared: pl.DataFrame, length: timedelta) -> pl.DataFrame:
    """Mark each asset's newest run: slots are `skipped`, `bad`, and `in_run` after the last that breaks it.

    Args:
        compared: of `Evidence`, sorted.
        length: of a slot.
    """
    skipped = ~pl.col("good") & pl.col("diagnosis").is_in(list(SKIPPED)).fill_null(value=False)
    marked = compared.with_columns(skipped=skipped).with_columns(bad=~pl.col("good") & ~pl.col("skipped"))
    gap = (pl.col("slot_start").diff() > length).over("asset_id").fill_null(value=False)
    begins = pl.when(pl.col("bad")).then(pl.col("slot_start") + length).when(gap).then(pl.col("slot_start"))
    begun = begins.max().over("asset_id")
    return marked.with_columns(in_run=begun.is_null() | (pl.col("slot_start") >= begun), unbroken=begun.is_null())


def streaks(runs: pl.DataFrame) -> dict[str, Streak]:
    """asset_id -> its streak, from the rows of `with_runs`; an asset of which nothing was compared isn't among them."""
    run = pl.col("in_run") & pl.col("good")
    differs = pl.struct("slot_start", "diagnosis", "evidence", "repair", "state")
    found = runs.group_by("asset_id", maintain_order=True).agg(
        newest=pl.col("slot_start").max(),
        good=run.sum(),
        energies=different_energies("sent_wh", run),
        start=pl.col("slot_start").filter(run).min(),
        last_good=pl.col("slot_start").filter(pl.col("good")).max(),
        unbroken=pl.col("unbroken").first(),
        broken_by=differs.filter(pl.col("bad")).last(),
    )
    return {
        row["asset_id"]: Streak(
            newest=row["newest"],
            good=row["good"],
            energies=row["energies"],
            start=row["start"],
            last_good=row["last_good"],
            unbroken=row["unbroken"],
            broken_by=_difference(row["broken_by"]),
        )
        for row in found.iter_rows(named=True)
    }


def period(run: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """The rows a certificate rests on: the newest slots of the run that meet the terms, or all of it.

    Args:
        run: one asset's rows that are `in_run`, sorted; skipped slots among them.
        terms: what is asked.
    """
    good = run.filter("good")
    newest = good.tail(terms.slots)
    if newest.is_empty():
        return newest
    enough: int = newest.select(different_energies("sent_wh", pl.col("good"))).item()
    return newest if enough >= terms.energies else good


def _difference(row: dict[str, Any] | None) -> Difference | None:
    if row is None or row["slot_start"] is None:
        return None
    if row["diagnosis"] is None:
        # Nobody has listed it yet: a value is on its way, or the next reconciliation will.
        told = f"its value is {row['state']}, and not confirmed yet"
        if row["state"] is None:
            told = "no value was sent"
        elif row["state"] == State.CONFIRMED.value:
            told = "it was confirmed, and the exchange holds another value since"
        return Difference(
            slot_start=row["slot_start"],
            diagnosis="not confirmed",
            evidence=told,
            repair="Run `slotfeed reconcile`, which confirms it or names the cause",
        )
    return Difference(
        slot_start=row["slot_start"],
        diagnosis=row["diagnosis"],
        evidence=row["evidence"],
        repair=row["repair"],
    )
