"""Judges new readings: the good go on, the rest wait in quarantine with the names of the checks they broke.

Every broken check becomes a finding; those that only flag don't keep a reading from being used. A register reading that
breaks its series is suspect first, and judged again with its stream's next readings.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl
from sqlalchemy import Connection

from expectations.names import READING_CHECKS, Check, Suite
from pipelines.community import Community
from pipelines.frames import Kind
from pipelines.store import USABLE, Store, Verdict
from pipelines.validate import rows
from pipelines.validate.engine import broken_rows, warm_up
from pipelines.validate.findings import close_reading_findings, write_findings
from pipelines.validate.outcomes import broken_marks, findings, rejecting
from pipelines.validate.prepare import KEY, channels, prepare

ROWS_AT_ONCE = 200_000
"""Rows judged in one batch and transaction, so that a backfill of years fits in memory."""


@dataclass(frozen=True, kw_only=True)
class ValidateSummary:
    """What one validation did."""

    judged: int = 0
    """New readings that got a verdict."""

    good: int = 0
    """Among them suspects of earlier runs, as in the next."""

    quarantined: int = 0
    by_expectation: Mapping[str, int] = field(default_factory=dict)
    """Check -> how many of the quarantined broke it."""

    flagged: int = 0
    """Checks that readings broke and were used all the same."""

    suspect: int = 0
    """Readings of the judged streams that break their register's series and wait for later ones to decide, whenever
    they came."""

    superseded: int = 0
    """Readings that gave way to another revision of their stamp, among them new ones that never were used."""


def validate(store: Store, community: Community, *, now: datetime, run_id: str) -> ValidateSummary:
    """Judge the community's new readings and write the verdicts, one transaction per batch.

    Suspects of the streams that have new readings are judged with them. Where these show that a register's new series
    begins with a suspect, it turns good and carries `series_start`.

    A good reading supersedes the other revisions of its stamp, usable or quarantined; what a person discarded stays
    discarded. Streams that the community file doesn't name are left alone: nothing is known of their limits.

    Args:
        store: the database.
        community: whose streams are judged.
        now: the run's logical time; readings from after it are of the future.
        run_id: of the run, for messages.

    Raises:
        TerminalError: an expectation could not be evaluated; the readings it was about stay new.
        StoreError: the database can't be used.
    """
    known = channels(community)
    with store.reading() as connection:
        waiting = set(rows.streams_with_new(connection))
    ours = set(known["stream_id"])
    foreign = waiting - ours
    if waiting == foreign:
        return ValidateSummary()
    # Before the first transaction: nobody should wait for the database while libraries are loaded.
    warm_up(Suite.READINGS)
    total = ValidateSummary()
    suspects: dict[str, int] = {}
    while True:
        with store.writing() as connection:
            rows.take_turn(connection)
            batch = rows.read_new(connection, foreign=foreign, limit=ROWS_AT_ONCE)
            if batch.is_empty():
                return replace(total, suspect=sum(suspects.values()))
            if strangers := set(batch["stream_id"]) - ours:
                foreign |= strangers
                continue
            done, of_streams = _validate_batch(connection, batch, known, now=now, run_id=run_id)
            total = _sum(total, done)
            # A stream that goes on in the next batch takes its suspects there with it.
            suspects |= of_streams


def _validate_batch(
    connection: Connection, new: pl.DataFrame, known: pl.DataFrame, *, now: datetime, run_id: str
) -> tuple[ValidateSummary, dict[str, int]]:
    """What was done, and each stream's suspects after it."""
    standing = rows.read_standing(connection, first=new["stream_id"][0], last=new["stream_id"][-1])
    batch = pl.concat([new, rows.read_suspects(connection, new["stream_id"])])
    registers = batch.filter(pl.col("kind") == Kind.REGISTER, pl.col("ts").is_not_null())
    prepared = prepare(
        batch,
        rows.read_usable_registers(connection, registers.select(KEY)),
        known,
        now=now,
        usable=standing.filter(pl.col("verdict").is_in([verdict.value for verdict in USABLE])),
    )
    marks = broken_marks(prepared, broken_rows(Suite.READINGS, prepared, run_id=run_id))
    verdicts = _verdicts(prepared.with_columns(broken=rejecting(marks, prepared.height)))
    good = verdicts.filter(pl.col("verdict") == Verdict.GOOD)
    quarantined = verdicts.filter(pl.col("verdict") == Verdict.QUARANTINED)
    superseded = [
        *verdicts.filter(pl.col("verdict") == Verdict.SUPERSEDED)["id"],
        *standing.join(good, on=KEY, how="semi")["id"],
    ]
    for (verdict, broken, series_start), group in verdicts.filter(pl.col("verdict") != Verdict.SUPERSEDED).group_by(
        "verdict", "broken", "series_start"
    ):
        ids = group["id"].to_list()
        rows.write_verdict(connection, ids, verdict, broken=broken, series_start=series_start)
    # A suspect is neither good nor bad yet.
    settled = marks.filter(verdicts["verdict"].gather(marks["row"]) != Verdict.SUSPECT)
    write_findings(connection, findings(prepared, settled), now=now, run_id=run_id)
    close_reading_findings(connection, superseded, by="corrected", now=now)
    names = Counter(name for broken in quarantined["broken"] for name in broken.split(","))
    waiting = verdicts.group_by("stream_id").agg((pl.col("verdict") == Verdict.SUSPECT).sum())
    summary = ValidateSummary(
        judged=new.height,
        good=good.height,
        quarantined=quarantined.height,
        by_expectation={check.value: names[check.value] for check in READING_CHECKS if names[check.value]},
        flagged=settled.filter(verdicts["verdict"].gather(settled["row"]) == Verdict.GOOD).height,
        superseded=rows.write_verdict(connection, superseded, Verdict.SUPERSEDED),
    )
    return summary, dict(waiting.iter_rows())


def _verdicts(judged: pl.DataFrame) -> pl.DataFrame:
    """Add `verdict`: of the revisions of a stamp that are good, the newest stands; whatever is older gives way.

    So does one that says the same as what stands, only less surely: nobody has to decide about it.
    """
    good = pl.col("broken") == ""
    newer_good = good.cast(pl.Int32).cum_sum().over(*KEY) - good.cast(pl.Int32) > 0
    return judged.with_columns(
        verdict=pl.when(newer_good | (pl.col("broken") == Check.RANK_NOT_LOWER))
        .then(pl.lit(Verdict.SUPERSEDED.value))
        .when(good)
        .then(pl.lit(Verdict.GOOD.value))
        .when("waits")
        .then(pl.lit(Verdict.SUSPECT.value))
        .otherwise(pl.lit(Verdict.QUARANTINED.value))
    )


def _sum(one: ValidateSummary, other: ValidateSummary) -> ValidateSummary:
    return ValidateSummary(
        judged=one.judged + other.judged,
        good=one.good + other.good,
        quarantined=one.quarantined + other.quarantined,
        by_expectation=dict(Counter(one.by_expectation) + Counter(other.by_expectation)),
        flagged=one.flagged + other.flagged,
        superseded=one.superseded + other.superseded,
    )
