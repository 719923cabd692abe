"""What the cases of the fault matrix share: lives of a community, their runs, and the table of what was found.

A case lives in a store of its own, which begins empty, and on one exchange and one meter database that all cases of a
file share: their clock goes on from case to case. Its runs are processes of the program, hurried by `haste`.
"""

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from pipelines.frames import State
from pipelines.sandbox.demo_community import demo_assets
from pipelines.store import DiscrepancyRow, RunRow, SubmissionRow, table_of
from tests.flows.places import FIRST_RUN, SLOT, Place, living_in, open_place
from tests.reliability.invariants import check_all, told
from tests.reliability.short_history import forget
from tests.reliability.sight import seen
from tests.reliability.tables import hold_table
from tests.reliability.template import Call, Run, Template, open_template

HISTORY = timedelta(hours=3)
"""What the meters keep: a short history is enough here, and quickly read."""

INTO_SLOT = timedelta(minutes=2)
SOON = timedelta(minutes=4)
"""After a run that failed, within the same slot."""

ALL = len(demo_assets())
HASTE = "tests.reliability.haste"
HEADS = ("case", "what was seen", "once the fault was gone", "invariants")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run that has ended."""

    status: int
    printed: str
    waits: Sequence[float]
    """Seconds between tries that it would have waited."""

    def words(self, pattern: str) -> str:
        """What it printed that fits the pattern.

        Raises:
            AssertionError: nothing; the message holds all that it printed.
        """
        found = re.search(pattern, self.printed)
        assert found, f"no {pattern!r} in what was printed:\n{self.printed}"
        return found[0]


@dataclass
class Life:
    """A community's life, one case after the other."""

    place: Place
    template: Template
    now: datetime
    number: int = 0
    """Of the case."""

    runs: int = 0
    protocol: str = "rest"
    mark: int = 0
    """Number of the exchange's last entry before this case."""

    texts: dict[str, str] = field(default_factory=dict)
    origin: str | None = None
    """Address of the exchange as the community file has it; None: its own."""

    def begin(self, *, protocol: str = "rest", database: str | None = None) -> None:
        """A new case: an empty store, and the next slot."""
        self.number, self.runs, self.texts, self.origin = self.number + 1, 0, {}, None
        self.mark = max((entry["seq"] for entry in self._entries(0)), default=0)
        self.set_faults()
        self.place.write_file(protocol=protocol, database=database or f"sqlite:///case-{self.number}.sqlite")
        self.protocol = protocol
        self.to(self.now.replace(minute=self.now.minute // 15 * 15, second=0) + SLOT + INTO_SLOT)
        forget(self.place.folder / "meters.sqlite", before=self.now - HISTORY)

    def speak_to(self, origin: str | None) -> None:
        """Write another address of the exchange into the community file; None: the right one."""
        text = self.place.file.read_text()
        self.place.file.write_text(re.sub(r"base_url: .*", f'base_url: "{origin or self.address}"', text))

    @property
    def address(self) -> str:
        """Of the exchange."""
        return str(self.place.exchange.base_url).rstrip("/")

    def to(self, moment: datetime) -> None:
        """Let time pass, for meters and exchange."""
        self.now = moment
        self.place.live_until(moment)

    def set_faults(self, *rules: Mapping[str, Any]) -> None:
        """The exchange's faults from now on; none: it is well."""
        self.place.exchange.put("/sandbox/faults", json=list(rules)).raise_for_status()

    def start(
        self,
        command: str = "feed",
        *more: str,
        at: datetime | None = None,
        before: Sequence[Call] = (),
        **environment: str,
    ) -> Run:
        """Start a run at this moment, or believing in another; what is no run has no moment."""
        self.runs += 1
        name = f"case {self.number}, run {self.runs} ({command})"
        folder = self.place.ledger.parent
        output = folder / f"{name}.txt"
        hurried: Call = (f"{HASTE}:hurry", str(output.with_suffix(".waits")))
        return self.template.start(
            command,
            *more,
            *(["--at", (at or self.now).isoformat()] if command in {"feed", "reconcile"} else []),
            cwd=self.place.folder,
            output=output,
            before=[hurried, *before],
            environment={**os.environ, "COLUMNS": "500", **environment},
        )

    def end(self, run: Run, *, foreign: bool = False) -> Ended:
        """Wait until it has ended; `foreign`: it isn't slotfeed alone that speaks, and others show tracebacks."""
        status = run.wait()
        printed = " ".join(run.printed.split())
        self.texts[run.output.stem] = run.printed
        waits = run.output.with_suffix(".waits")
        noted = [float(line) for line in waits.read_text().split()] if waits.exists() else []
        assert foreign or "Traceback" not in printed, run.printed
        return Ended(status=status, printed=printed, waits=noted)

    def run(self, command: str = "feed", *more: str, **options: Any) -> Ended:
        """Run to the end."""
        return self.end(self.start(command, *more, **options))

    def recover(self, *, after: timedelta = SOON) -> Ended:
        """The fault is gone: feed once more, a while later."""
        self.set_faults()
        self.speak_to(None)
        self.to(self.now + after)
        ended = self.run()
        assert ended.status == 0, ended.printed
        return ended

    def settle(self) -> Ended:
        """Reconcile once the slot that begins next is over."""
        self.to(self.now + 2 * SLOT)
        return self.run("reconcile")

    def outbox(self, slot_start: datetime | None = None) -> dict[str, dict[str, Any]]:
        """Asset's name -> its submission's row, of this slot or of its newest."""
        names = {asset.asset_id: asset.name for asset in self.place.community.assets}
        row = table_of(SubmissionRow)
        query = select(row).order_by(row.c.slot_start, row.c.version)
        if slot_start is not None:
            query = query.where(row.c.slot_start == slot_start)
        with self.place.store() as store, store.reading() as connection:
            found = {names[one["asset_id"]]: dict(one) for one in connection.execute(query).mappings()}
        return {name: found[name] for name in names.values() if name in found}

    def states(self) -> str:
        """How many submissions stand where: `34 accepted, 2 pending`."""
        row = table_of(SubmissionRow)
        with self.place.store() as store, store.reading() as connection:
            counts = Counter(one.state for one in connection.execute(select(row.c.state)))
        return ", ".join(f"{counts[state]} {state}" for state in State if counts[state]) or "none planned"

    def outcomes(self) -> list[str]:
        """Of all runs, in the order of their start."""
        row = table_of(RunRow)
        with self.place.store() as store, store.reading() as connection:
            return [one.outcome for one in connection.execute(select(row.c.outcome).order_by(row.c.started_at))]

    def diagnoses(self) -> dict[str, str]:
        """Asset's name -> diagnosis of its open discrepancy."""
        names = {asset.asset_id: asset.name for asset in self.place.community.assets}
        row = table_of(DiscrepancyRow)
        with self.place.store() as store, store.reading() as connection:
            query = select(row.c.asset_id, row.c.diagnosis).where(row.c.closed_at.is_(None))
            return {names[one.asset_id]: one.diagnosis for one in connection.execute(query)}

    def journal(self) -> list[dict[str, Any]]:
        """What reached the exchange during this case."""
        return self._entries(self.mark)

    def posts(self) -> Counter[str]:
        """Posts by asset's uuid."""
        return Counter(entry["asset"] for entry in self.journal() if "energy" in entry["path"])

    def logins(self) -> int:
        """How often somebody logged in, or tried to."""
        return sum(entry["method"] == "POST" and "token-auth" in entry["path"] for entry in self.journal())

    def breaches(self, *, lost: Sequence[str] = (), **more: Any) -> str:
        """What the checker of the eight invariants says.

        Args:
            lost: faults by which the reply didn't get through in this case: delays beyond what is waited.
            more: of the world.
        """
        journal = [{**one, "fault": "lose_reply"} if one["fault"] in lost else one for one in self.journal()]
        with self.place.store() as store:
            world = replace(seen(self.place, store), **{"journal": journal, "texts": self.texts, **more})
            return told(check_all(world))

    def _entries(self, after: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.place.exchange.get("/sandbox/journal", params={"after": after}).json()
        return found


@contextlib.contextmanager
def open_life(folder: Path, outside: Path) -> Iterator[Life]:
    """A place, its exchange's process and a template, for all cases of a file."""
    with open_place(folder, outside) as place, open_template() as template, living_in(place):
        yield Life(place, template, FIRST_RUN)


def quoted(words: str) -> str:
    """The program's words as they stand in a table."""
    mark = "``" if "`" in words else "`"
    blank = " " if "`" in words else ""
    return f"{mark}{blank}{words.strip()}{blank}{mark}"


@dataclass
class Table:
    """The rows of one table of the page, as the cases fill them in."""

    name: str
    cases: Sequence[str]
    """All there are, in the order in which they are told."""

    rows: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def take(self, case: str, seen_then: str, afterwards: str, breaches: str) -> None:
        """Take a case's row; fails where an invariant is broken."""
        assert case in self.cases, case
        assert breaches == "", f"{case}: {breaches}"
        self.rows[case] = (seen_then, afterwards, "hold")

    def hold(self) -> None:
        """Hold the page's table against what was found, or write it."""
        missing = [case for case in self.cases if case not in self.rows]
        if missing:
            pytest.skip(f"{len(missing)} case(s) of {len(self.cases)} didn't end: the table isn't held")
        hold_table(self.name, HEADS, [(case, *self.rows[case]) for case in self.cases])
