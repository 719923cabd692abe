"""Faults of the machine and of what runs beside: disk, database, Prefect, signals, and the same run twice."""

import contextlib
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from flows.local_prefect import prefect_server
from tests.flows.places import SLOT
from tests.reliability.matrix import ALL, HASTE, Life, Table, open_life, quoted
from tests.reliability.postgres import Postgres, own_postgres
from tests.reliability.template import Run

POSTS = "set_energy_forecast"
SLOW = {"do": "delay", "path": POSTS, "seconds": 0.5}
ALL_TAKEN = f"{ALL} accepted"
PATIENCE_S = 120
LAPSED = timedelta(minutes=6)
"""Longer than a lease: what was on its way is taken for lost."""

NO_ROOM = r"0\.0 MB are free on its disk"
FULL, GROWS, LIMITED = "disk full before the run", "disk full while values leave", "files may not grow (EFBIG)"
LOCKED_SHORT, LOCKED = "database locked for a while", "database locked for longer than is waited"
RUBBISH, AWAY = "database file is no database", "PostgreSQL away"
RESTARTED = "PostgreSQL restarted at random moments of three runs"
TWICE, TWICE_POSTGRES = "the same run twice at once, SQLite", "the same run twice at once, PostgreSQL"
ONCE_TERMINATED, TWICE_TERMINATED = "SIGTERM once", "SIGTERM twice"
PREFECT = "Prefect's server killed in mid-run"
CASES = [FULL, GROWS, LIMITED, LOCKED_SHORT, LOCKED, RUBBISH, AWAY, RESTARTED, TWICE, TWICE_POSTGRES]
CASES += [ONCE_TERMINATED, TWICE_TERMINATED, PREFECT]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with open_life(tmp_path_factory.mktemp("community"), tmp_path_factory.mktemp("exchange")) as opened:
        yield opened


@pytest.fixture(scope="module")
def table() -> Table:
    return Table("platform", CASES)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with own_postgres() as server:
        yield server


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB of its own; skips where this user may mount none."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = f"size=8m,uid={folder.stat().st_uid}"
    for prefix in ([], ["sudo", "-n"]):
        with contextlib.suppress(FileNotFoundError):
            mount = [*prefix, "mount", "-t", "tmpfs", "-o", options, "slotfeed-test", str(folder)]
            if subprocess.run(mount, check=False, capture_output=True).returncode == 0:
                yield folder
                subprocess.run([*prefix, "umount", str(folder)], check=True)
                return
    pytest.skip("this user may not mount a small file system; the case of files that may not grow stands for it")


def fill(folder: Path) -> Path:
    """Fill a disk to its last byte."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * size) == size:
                    pass
    return filler


def wait_for(holds: Callable[[], bool], run: Run) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not holds():
        assert run.poll() is None, run.printed
        assert time.monotonic() < ends, f"nothing came:\n{run.printed}"
        time.sleep(0.02)


def test_a_disk_that_is_full_before_the_run(life: Life, table: Table, small_disk: Path) -> None:
    life.begin(database=f"sqlite:///{small_disk / 'slotfeed.sqlite'}")
    assert life.run().status == 0
    life.to(life.now + SLOT)
    filler = fill(small_disk)
    ended = life.run()
    words = ended.words(NO_ROOM)
    filler.unlink()
    seen = life.states()
    assert (ended.status, seen) == (1, ALL_TAKEN)
    life.recover()
    assert life.states() == f"{2 * ALL} accepted"
    table.take(FULL, f"exit 1; {quoted(words)}; nothing left", life.states(), life.breaches())
    life.place.write_file()


def test_a_disk_that_fills_while_values_leave(life: Life, table: Table, small_disk: Path) -> None:
    life.begin(database=f"sqlite:///{small_disk / 'slotfeed.sqlite'}")
    life.set_faults(SLOW)
    run = life.start()
    wait_for(lambda: life.posts().total() > 0, run)
    filler = fill(small_disk)
    ended = life.end(run)
    words = ended.words(NO_ROOM)
    filler.unlink()
    seen = life.states()
    assert (ended.status, seen) == (1, f"{ALL} sending")
    life.recover(after=LAPSED)
    table.take(GROWS, f"exit 1; {quoted(words)}; {seen}", life.states(), life.breaches(kills=1))
    assert life.states() == ALL_TAKEN
    life.place.write_file()


def test_files_that_may_not_grow(life: Life, table: Table) -> None:
    life.begin()
    ended = life.run(before=[(f"{HASTE}:limit_files", 300_000)])
    words = ended.words("disk I/O error")
    seen = life.states()
    life.recover()
    assert life.states() == ALL_TAKEN
    table.take(LIMITED, f"exit {ended.status}; {quoted(words)}; {seen}", life.states(), life.breaches())


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Somebody else's write transaction."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def database(life: Life) -> Path:
    return life.place.folder / f"case-{life.number}.sqlite"


def test_a_database_that_is_locked_for_a_while(life: Life, table: Table) -> None:
    life.begin()
    life.place.store().__enter__().close()
    with locked(database(life)):
        run = life.start()
        time.sleep(3)
        assert run.poll() is None, run.printed
    ended = life.end(run)
    seen = life.states()
    assert (ended.status, seen) == (0, ALL_TAKEN)
    life.recover()
    table.take(LOCKED_SHORT, f"exit 0; {seen}", life.states(), life.breaches())


def test_a_database_that_stays_locked(life: Life, table: Table) -> None:
    life.begin()
    life.place.store().__enter__().close()
    with locked(database(life)):
        ended = life.run(before=[(f"{HASTE}:put", "pipelines.store.engine:LOCK_WAIT_S", 1)])
    words = ended.words("database is locked")
    seen = life.states()
    assert (ended.status, seen) == (1, "none planned")
    life.recover()
    assert life.states() == ALL_TAKEN
    table.take(LOCKED, f"exit 1; {quoted(words)}; {seen}", life.states(), life.breaches())


def test_a_file_that_is_no_database(life: Life, table: Table) -> None:
    life.begin()
    assert life.run().status == 0
    life.to(life.now + SLOT)
    kept = database(life).read_bytes()
    database(life).write_bytes(b"not a database at all" * 1000)
    ended = life.run()
    words = ended.words("file is not a database")
    assert ended.status == 1
    database(life).write_bytes(kept)
    life.recover()
    assert life.states() == f"{2 * ALL} accepted"
    table.take(RUBBISH, f"exit 1; {quoted(words)}", life.states(), life.breaches())


def test_postgresql_that_is_away(life: Life, table: Table, postgres: Postgres) -> None:
    life.begin(database=postgres.url("away"))
    assert life.run().status == 0
    life.to(life.now + SLOT)
    postgres.crash()
    try:
        ended = life.run()
    finally:
        postgres.start()
    words = ended.words("connection to server on socket|connection failed")
    assert ended.status == 1
    life.recover()
    assert life.states() == f"{2 * ALL} accepted"
    table.take(AWAY, f"exit 1; {quoted(words)}", life.states(), life.breaches())


def test_postgresql_restarted_at_random(life: Life, table: Table, postgres: Postgres) -> None:
    """Each run meets one restart while it begins, collects or converts, and one while values leave."""
    life.begin(database=postgres.url("restarted"))
    assert life.run().status == 0
    dice = random.Random(20161029)  # noqa: S311 - no secret
    slot = life.now
    for number in range(1, 4):
        life.to(slot + number * SLOT)
        life.set_faults({**SLOW, "seconds": 0.1})
        before = life.posts().total()
        run = life.start()
        time.sleep(dice.uniform(0.2, 1.5))
        _restart(postgres, run)
        enough = before + dice.randrange(1, ALL // 2)
        while run.poll() is None and life.posts().total() < enough:
            time.sleep(0.02)
        _restart(postgres, run)
        ended = life.end(run)
        assert ended.status in {0, 1}
        if ended.status:
            ended.words("slotfeed's database postgresql")
        life.recover(after=LAPSED)
    states = life.states()
    assert states == f"{4 * ALL} accepted"
    table.take(RESTARTED, "each run ends by itself, told or whole", states, life.breaches(kills=2))


def _restart(postgres: Postgres, run: Run) -> None:
    """Unless the run has ended: then there is nothing to disturb."""
    if run.poll() is None:
        postgres.crash()
        postgres.start()


@pytest.mark.parametrize("name", [TWICE, TWICE_POSTGRES])
def test_the_same_run_twice_at_once(life: Life, table: Table, request: pytest.FixtureRequest, name: str) -> None:
    url = request.getfixturevalue("postgres").url("twice") if name == TWICE_POSTGRES else None
    life.begin(database=url)
    life.set_faults({**SLOW, "seconds": 0.1})
    runs = [life.start(), life.start()]
    ended = [life.end(run) for run in runs]
    statuses, states, posts = [one.status for one in ended], life.states(), life.posts()
    assert (statuses, states) == ([0, 0], ALL_TAKEN)
    assert (len(posts), set(posts.values())) == (ALL, {1})
    life.recover()
    table.take(name, f"exit 0 and 0; {states}; each posted once", life.states(), life.breaches())


def test_a_run_that_is_terminated(life: Life, table: Table) -> None:
    life.begin()
    life.set_faults(SLOW)
    run = life.start()
    wait_for(lambda: life.posts().total() > 0, run)
    run.send(signal.SIGTERM)
    ended = life.end(run)
    sent, states = len(life.posts()), life.states()
    assert 0 < sent < ALL
    assert (ended.status, states) == (143, f"{ALL - sent} pending, {sent} accepted")
    ended.words("Stopping: what is on its way gets its answer, the rest waits for the next run")
    life.recover()
    assert life.states() == ALL_TAKEN
    assert set(life.posts().values()) == {1}
    table.take(ONCE_TERMINATED, "exit 143; what had left is accepted, the rest pending", life.states(), life.breaches())


def test_a_run_that_is_terminated_twice(life: Life, table: Table) -> None:
    life.begin()
    life.set_faults({**SLOW, "seconds": 4})
    run = life.start()
    wait_for(lambda: life.posts().total() > 0, run)
    run.send(signal.SIGTERM)
    wait_for(lambda: "Stopping" in run.printed, run)
    run.send(signal.SIGTERM)
    ended = life.end(run)
    states = life.states()
    assert (ended.status, states) == (143, f"{ALL} sending")
    ended.words("Ended at once; the next run finishes what was on its way")
    # What was on its way arrives all the same.
    arrived = len(life.posts())
    wait_for_all(lambda: sum(e["answer"] == "ready" for e in life.journal() if POSTS in e["path"]) == arrived)
    life.recover(after=LAPSED)
    assert life.states() == ALL_TAKEN
    assert Counter(life.posts().values()) == Counter({2: arrived, 1: ALL - arrived})
    table.take(TWICE_TERMINATED, f"exit 143; {states}", life.states(), life.breaches(kills=1))


def wait_for_all(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.mark.prefect
def test_prefects_server_killed_in_mid_run(
    life: Life, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.local_prefect.START_S", 300)
    life.begin()
    life.set_faults(SLOW)
    with prefect_server(tmp_path / "prefect") as server:
        server.wait()
        flow = (f"{HASTE}:run_flow", server.url, str(life.place.file), life.now.isoformat())
        run = life.start(before=[flow], PREFECT_HOME=str(tmp_path / "prefect"))
        wait_for(lambda: life.posts().total() > 0, run)
        server.process.kill()
        ended = life.end(run, foreign=True)
    words = ended.words("No artifacts: Prefect's server doesn't answer")
    states, outcomes = life.states(), life.outcomes()
    # Prefect can't be told how it ended; what counts is done.
    assert (ended.status, states, outcomes) == (1, ALL_TAKEN, ["ok"])
    life.recover()
    table.take(PREFECT, f"exit 1; {quoted(words)}; {states}", life.states(), life.breaches())


def test_the_table(table: Table) -> None:
    table.hold()
