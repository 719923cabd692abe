"""The crash matrix: what is killed where, when it is started again, and what must hold then."""

import asyncio
import contextlib
import io
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, select, text
from sqlmodel import SQLModel

from flows import steps
from flows.session import open_run, tell_nobody
from pipelines.deliver.outbox import LEASE
from pipelines.slots import slot_floor
from pipelines.store import DiscrepancyRow, ExchangeEnergyRow, RunRow, table_of
from tests.flows.places import SLOT, Place
from tests.reliability.crash_points import POINTS, RESTARTS, Point, Restart
from tests.reliability.exchange_server import ExchangeServer
from tests.reliability.grounds import ASSETS, AT, FED, TARGET, Databases, Ground, Prepared
from tests.reliability.invariants import check_all, told
from tests.reliability.posts import Post, posts_in
from tests.reliability.sight import seen
from tests.reliability.tables import hold_table
from tests.reliability.template import Run, Template, open_template
from tests.reliability.world import Key, World

DIE_AT = "tests.reliability.crashes:die_at"
COMPARED = slot_floor(FED[0], SLOT) + SLOT
"""The slot that is over when the run is killed, and not compared yet."""


HEADS = ("killed", "leaves", *(restart.name for restart in RESTARTS), "invariants")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a case showed."""

    left: str
    """What the kill left behind."""

    end: str
    """What became of the slot."""


@dataclass(kw_only=True)
class Matrix:
    """All cases on one kind of database."""

    ground: Ground
    template: Template
    protocols: Mapping[str, str]
    """Restart -> protocol."""

    prepared: Mapping[str, Prepared]
    """By protocol."""

    former: Mapping[str, Prepared]
    """The same with the schema before the newest."""

    found: dict[tuple[str, str], Found] = field(default_factory=dict)

    def run(self, point: Point, restart: Restart, folder: Path) -> None:
        """One case, from the kill to the last check."""
        protocol = self.protocols[restart.name]
        prepared = (self.former if point.former else self.prepared)[protocol]
        with self.ground.copy(prepared, folder, protocol=protocol) as place:
            case = Case(place=place, template=self.template, prepared=prepared, point=point, restart=restart)
            self.found[point.name, restart.name] = case.run()

    def hold(self, name: str) -> None:
        """Hold the page's table against what was found, or write it."""
        if len(self.found) < len(POINTS) * len(RESTARTS):
            pytest.skip("not all cases have ended well: the table isn't held")
        heads = [f"{head} ({self.protocols[head]})" if head in self.protocols else head for head in HEADS]
        hold_table(name, heads, [self._row(point) for point in POINTS])

    def _row(self, point: Point) -> tuple[str, ...]:
        of_point = [self.found[point.name, restart.name] for restart in RESTARTS]
        left = " / ".join(sorted({one.left for one in of_point}))
        return (f"{point.name}: {point.what}", left, *(one.end for one in of_point), "hold")


@dataclass(kw_only=True)
class Case:
    """One run that is killed, and those that follow it."""

    place: Place
    template: Template
    prepared: Prepared
    point: Point
    restart: Restart
    in_flight: set[Key] = field(default_factory=set)
    """Leased by the run that was killed."""

    def run(self) -> Found:
        """Kill, start again, reconcile, check."""
        left = self._kill()
        killed_at = len(self._posts())
        for after in self.restart.after:
            # While no lease holds anything up, one feed is enough.
            if after == self.restart.after[0] or self.in_flight:
                self._start_again(after)
        again = Counter(_key(post) for post in self._posts()[killed_at:])
        assert max(again.values(), default=0) == 1, f"after the kill, each value is sent once: {again.most_common(3)}"
        with self._settled() as world:
            broken = told(check_all(world))
            assert broken == "", broken
            return Found(left=left, end=_end(world, self._slot()))

    def _kill(self) -> str:
        """Run the command, which dies at the point; what it leaves, in words."""
        before = self._schema() if self.point.former else None
        mark = self.place.ledger.parent / "mark"
        self._set_faults(*self.point.faults)
        run = self._start(self.point.command, AT, "killed", before=[(DIE_AT, self.point.name, str(mark))])
        status = run.wait()
        assert (status, mark.exists()) == (-signal.SIGKILL, True), run.printed
        assert mark.read_text(encoding="utf-8") == self.point.name
        self._set_faults()
        if before is not None:
            assert self._schema() == before
            return "the former schema"
        with self._world(settled=False) as world:
            # Later runs may mend what a kill has broken, and nobody would know.
            broken = told(check_all(world))
            assert broken == "", broken
            self.in_flight = {key for key, rows in world.submissions.items() if rows[-1]["state"] == "sending"}
            return _left(world)

    def _start_again(self, after: timedelta) -> None:
        """Feed so long after the kill, in as many processes at once."""
        at = AT + after
        self.place.live_until(at)
        before = len(self._posts())
        workers = range(1, self.restart.workers + 1)
        runs = [self._start("feed", at, f"worker {number} after {after.seconds} s") for number in workers]
        for run in runs:
            assert run.wait() == 0, run.printed
        if after < LEASE:
            again = {_key(post) for post in self._posts()[before:]}
            assert not again & self.in_flight, "sent while the lease of the killed run held"

    @contextlib.contextmanager
    def _settled(self) -> Iterator[World]:
        """The world when the slot that the last feed served is over and reconciled."""
        over = slot_floor(AT + self.restart.after[-1], SLOT) + 2 * SLOT + timedelta(minutes=2)
        self.place.live_until(over)
        self._output("reconcile").write_text(asyncio.run(_reconciled(self.place, over)), encoding="utf-8")
        with self._world(settled=True) as world:
            yield world

    @contextlib.contextmanager
    def _world(self, *, settled: bool) -> Iterator[World]:
        with self.place.store() as store:
            journal = [*self.prepared.journal, *self._journal()]
            texts = {file.stem: file.read_text(encoding="utf-8") for file in self.place.ledger.parent.glob("*.txt")}
            yield seen(self.place, store, journal=journal, texts=texts, kills=1, settled=settled)

    def _slot(self) -> datetime:
        """Whose fate the case is about: the one that was to be sent, or to be compared."""
        return TARGET if self.point.command == "feed" else COMPARED

    def _start(self, command: str, at: datetime, name: str, **more: Any) -> Run:
        return self.template.start(
            command, "--at", at.isoformat(), cwd=self.place.folder, output=self._output(name), **more
        )

    def _output(self, name: str) -> Path:
        """File of what a run prints."""
        return self.place.ledger.parent / f"{name}.txt"

    def _set_faults(self, *rules: Mapping[str, Any]) -> None:
        self.place.exchange.put("/sandbox/faults", json=rules).raise_for_status()

    def _journal(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.place.exchange.get("/sandbox/journal").json()
        return found

    def _posts(self) -> list[Post]:
        return posts_in(self._journal(), slot_length=SLOT, lead=timedelta(0))

    def _schema(self) -> tuple[str, dict[str, list[str]]]:
        """Revision, and tables with their columns."""
        engine = create_engine(self.place.community.database)
        with engine.connect() as connection:
            revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
            found = inspect(connection)
            columns = {table: [one["name"] for one in found.get_columns(table)] for table in found.get_table_names()}
        engine.dispose()
        return revision, columns


def _key(post: Post) -> tuple[str, datetime | None, str]:
    return post.asset, post.slot_start, post.quantity


async def _reconciled(place: Place, at: datetime) -> str:
    """Reconcile in this process; all that was printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        async with open_run("reconcile", place.file, at=at, tell=tell_nobody) as run:
            await steps.reconcile(run)
    return printed.getvalue()


def _left(world: World) -> str:
    """What the run that was killed has left in the store and at the exchange, in words."""
    (run_id,) = (row["run_id"] for row in _rows(world, RunRow) if row["outcome"] == "running")
    states = Counter(
        row["state"]
        for key, versions in world.submissions.items()
        for row in versions
        if row["run_id"] == run_id and key[1:] == (TARGET, "forecast")
    )
    if states:
        sent = any(post.taken and post.slot_start == TARGET for post in world.posts)
        return f"{_shares(states)}; {'some' if sent else 'none'} arrived"
    readings = [row for row in world.readings if row["run_id"] == run_id]
    if readings:
        return "readings, not judged" if readings[0]["verdict"] == "new" else "readings, judged"
    compared = _rows(world, ExchangeEnergyRow) or any(
        row["state"] == "confirmed" for versions in world.submissions.values() for row in versions
    )
    return "a comparison" if compared else "nothing"


def _end(world: World, slot: datetime) -> str:
    """What became of the slot's forecasts, in words."""
    causes = {
        (row["asset_id"], row["slot_start"]): row["diagnosis"]
        for row in _rows(world, DiscrepancyRow)
        if row["closed_at"] is None
    }
    newest = {key: rows[-1] for key, rows in world.submissions.items() if key[1:] == (slot, "forecast")}
    assert len(newest) == ASSETS
    ends: Counter[str] = Counter()
    for key, row in newest.items():
        confirmed = row["state"] == "confirmed"
        assert confirmed != (key[:2] in causes), f"{key}: {row['state']}, listed as {causes.get(key[:2])}"
        ends["confirmed" if confirmed else f"listed as {causes[key[:2]]}"] += 1
    return _shares(ends)


def _shares(counts: Counter[str]) -> str:
    """Words without numbers: how many it is depends on the moment."""
    return ", ".join(f"{'some' if len(counts) > 1 else 'all'} {what}" for what in sorted(counts))


def _rows(world: World, model: type[SQLModel]) -> list[dict[str, Any]]:
    with world.store.reading() as connection:
        return [dict(row) for row in connection.execute(select(table_of(model))).mappings()]


@contextlib.contextmanager
def open_matrix(folder: Path, databases: Databases, protocols: Mapping[str, str]) -> Iterator[Matrix]:
    """All that the cases of a file share.

    Args:
        folder: for the prepared states.
        databases: of the kind in question.
        protocols: restart -> protocol.
    """
    server = ExchangeServer()
    with contextlib.ExitStack() as stack:
        ground = Ground(server=server, exchange=stack.enter_context(server.serving()), databases=databases)
        template = stack.enter_context(open_template("prefect.main"))
        prepared, former = {}, {}
        for protocol in sorted(set(protocols.values())):
            prepared[protocol] = stack.enter_context(ground.prepared(template, folder / protocol, protocol=protocol))
            former[protocol] = stack.enter_context(ground.former(prepared[protocol], folder / f"{protocol}, former"))
        yield Matrix(ground=ground, template=template, protocols=protocols, prepared=prepared, former=former)
