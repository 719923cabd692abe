"""The bugs that `mutations` puts into delivery: each one that somebody might make."""

from collections.abc import Sequence
from dataclasses import dataclass

ON_SQLITE = "tests/reliability/test_crash_matrix_sqlite.py"
ON_POSTGRES = "tests/reliability/test_crash_matrix_postgresql.py"
CRASHED = "::test_a_killed_run_is_finished"


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One bug."""

    name: str
    file: str
    old: str
    """Lines that stand once in the file."""

    new: str
    tests: tuple[str, ...]
    """What is run until the first test fails."""


def cases(file: str, point: str, *restarts: str) -> tuple[str, ...]:
    """Ids of cases of the crash matrix."""
    return tuple(f"{file}{CRASHED}[{point}-{restart}]" for restart in restarts)


MUTANTS: Sequence[Mutant] = (
    Mutant(
        name="cursor moved before its readings are stored",
        file="pipelines/collect/keep.py",
        old="    with store.writing() as connection:\n        beside(connection)\n",
        new=(
            "    with store.writing() as connection:\n"
            "        _move_cursors(connection, readings, fetch, moving, up_to_date=up_to_date)\n"
            "    with store.writing() as connection:\n        beside(connection)\n"
        ),
        tests=cases(ON_SQLITE, "storing", "same slot", "next slot"),
    ),
    Mutant(
        name="slots committed before the submissions that follow from them",
        file="pipelines/convert/run.py",
        old="            last = oldest_unslotted(connection, ours) is None\n",
        new=(
            "            last = oldest_unslotted(connection, ours) is None\n"
            "        with store.writing() as connection:\n"
        ),
        tests=cases(ON_SQLITE, "converting", "next slot", "six hours later"),
    ),
    Mutant(
        name="marked as accepted before it is sent",
        file="pipelines/deliver/sender.py",
        old="                on_their_way.update(ids)\n",
        new=(
            "                on_their_way.update(ids)\n"
            "                sure = [Outcome(id=i, state=State.ACCEPTED, at=self.client.clock.now()) for i in ids]\n"
            "                record(self.store, sure, worker=self.worker)\n"
        ),
        tests=cases(ON_SQLITE, "mid-body", "same slot", "next slot"),
    ),
    Mutant(
        name="a lease that holds is ignored",
        file="pipelines/deliver/outbox.py",
        old="    lapsed = and_(in_flight(row), row.c.leased_until <= now)\n",
        new="    lapsed = in_flight(row)\n",
        tests=cases(ON_SQLITE, "leased", "same slot", "two workers"),
    ),
    Mutant(
        name="a lease never lapses",
        file="pipelines/deliver/outbox.py",
        old="    lapsed = and_(in_flight(row), row.c.leased_until <= now)\n",
        new="    lapsed = and_(in_flight(row), row.c.leased_until.is_(None))\n",
        tests=cases(ON_SQLITE, "applied", "same slot", "next slot"),
    ),
    Mutant(
        name="a lease lasts longer than a slot",
        file="pipelines/deliver/outbox.py",
        old="LEASE = timedelta(minutes=5)\n",
        new="LEASE = timedelta(minutes=20)\n",
        tests=cases(ON_SQLITE, "answered", "two workers"),
    ),
    Mutant(
        name="what was leased by a dead worker is not given back",
        file="pipelines/deliver/outbox.py",
        old='update(row).where(lapsed).values(state=State.PENDING.value, leased_by="").returning(row.c.id)',
        new='update(row).where(lapsed).values(leased_by="").returning(row.c.id)',
        tests=cases(ON_SQLITE, "renewing", "same slot", "two workers"),
    ),
    Mutant(
        name="two workers may lease the same row",
        file="pipelines/deliver/outbox.py",
        old="        .with_for_update(skip_locked=True)\n",
        new="",
        tests=("tests/deliver/test_two_workers.py",),
    ),
    Mutant(
        name="the mark of one whose lease is another's by now counts",
        file="pipelines/deliver/outbox.py",
        old="            .where(row.c.id == told.c.id, row.c.state == State.SENDING, row.c.leased_by == worker)\n",
        new="            .where(row.c.id == told.c.id, row.c.state == State.SENDING)\n",
        tests=("tests/deliver/test_late_marks.py",),
    ),
    Mutant(
        name="what is overdue is sent all the same",
        file="pipelines/deliver/outbox.py",
        old="    overdue = and_(row.c.closes_at.is_not(None), row.c.closes_at <= now)\n    with",
        new="    overdue = and_(row.c.closes_at.is_not(None), row.c.closes_at <= now - timedelta(days=1))\n    with",
        tests=cases(ON_SQLITE, "planned", "next slot"),
    ),
    Mutant(
        name="a value's deadline isn't held against the clock when it leaves",
        file="pipelines/exchange/client.py",
        old="            if closes_at is not None and self.clock.now() >= closes_at:\n",
        new="            if closes_at is None and self.clock.now() is None:\n",
        tests=("tests/exchange/test_client.py",),
    ),
    Mutant(
        name="an older version is sent after a newer one",
        file="pipelines/deliver/outbox.py",
        old="            ~newer_exists(row),\n            ~older_in_flight(row),\n",
        new="",
        tests=("tests/deliver/test_deliver.py",),
    ),
    Mutant(
        name="what a newer version has replaced stays accepted",
        file="pipelines/deliver/versions.py",
        old="GIVES_WAY = (State.PENDING, State.ACCEPTED, State.CONFIRMED)\n",
        new="GIVES_WAY = (State.PENDING,)\n",
        tests=("tests/deliver/test_deliver.py",),
    ),
    Mutant(
        name="Wh are sent as kWh",
        file="pipelines/exchange/wire.py",
        old="round(sound(value) / 1000, KWH_DIGITS)",
        new="round(sound(value), KWH_DIGITS)",
        tests=cases(ON_SQLITE, "fetched", "next slot"),
    ),
    Mutant(
        name="no answer counts as refused",
        file="pipelines/deliver/posting.py",
        old="return Result(outcomes=self._outcomes(post, State.PENDING, str(away)), answered=False)",
        new="return Result(outcomes=self._outcomes(post, State.REJECTED, str(away)), answered=False)",
        tests=("tests/deliver/test_deliver.py",),
    ),
    Mutant(
        name="each worker renews the token for itself",
        file="pipelines/exchange/tokens.py",
        old="            if self._token == refused:\n",
        new="            if refused:\n",
        tests=("tests/exchange/test_tokens.py",),
    ),
    Mutant(
        name="what was sent is confirmed whatever the exchange holds",
        file="pipelines/reconcile/confirming.py",
        old='pairs.filter(pl.col("agrees") & (pl.col("state") != State.CONFIRMED.value))',
        new='pairs.filter(pl.col("state") != State.CONFIRMED.value)',
        tests=cases(ON_SQLITE, "leased", "next slot"),
    ),
    Mutant(
        name="an asset counts as compared past slots that were not",
        file="pipelines/reconcile/standing.py",
        old="    follows = and_(compared_until(asset) >= start, compared_until(asset) < end)\n",
        new="    follows = compared_until(asset) < end\n",
        tests=("tests/reconcile/test_compared.py",),
    ),
    Mutant(
        name="a migration is committed step by step",
        file="pipelines/store/migrate.py",
        old="    with engine.connect().execution_options(slotfeed_writing=True) as connection, connection.begin():\n",
        new='    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:\n',
        tests=cases(ON_POSTGRES, "migrating", "same slot", "next slot"),
    ),
)
