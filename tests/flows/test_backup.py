"""A database that was copied while a feed wrote and put back later: the next feed carries on."""

import shutil
import subprocess
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from pipelines.frames import State
from pipelines.store import RunRow, SubmissionRow, table_of
from tests.flows.places import FIRST_RUN, SLOT, Place
from tests.reliability.invariants import check_all
from tests.reliability.invariants import told as breaches
from tests.reliability.sight import seen

Command = Callable[..., tuple[int, str]]

FORGOTTEN = FIRST_RUN + 3 * SLOT - timedelta(minutes=2)
"""The slot whose forecast was posted after the copy was taken."""


def feed(place: Place, slotfeed: Command, number: int) -> None:
    at = FIRST_RUN + number * SLOT
    place.live_until(at)
    status, told = slotfeed("feed", "--at", at.isoformat())
    assert status == 0, told


def postgres_tool(name: str) -> str:
    """The program of the server's own release; an older pg_dump refuses a newer server."""
    try:
        import pgserver  # noqa: PLC0415 - absent on newer Pythons
    except ImportError:
        return str(max(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")))
    return str(Path(pgserver.__file__).parent / "pginstall" / "bin" / name)


def busy(place: Place, go_on: threading.Event, written: list[int]) -> None:
    """Another process's writes, one after the other, for as long as the copy takes."""
    with place.store() as store:
        row = table_of(RunRow)
        while not go_on.is_set():
            number = len(written)
            stamp = {"logical_time": FIRST_RUN, "started_at": FIRST_RUN, "outcome": "ok", "summary": {}}
            with store.writing() as connection:
                connection.execute(row.insert().values(run_id=f"other-{number}", command="other", **stamp))
            written.append(number)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_what_was_posted_after_the_backup_is_harmless(
    place: Place, slotfeed: Command, tmp_path: Path, request: pytest.FixtureRequest, database: str
) -> None:
    if database == "postgresql":
        place.write_file(database=request.getfixturevalue("postgres_url"))
    feed(place, slotfeed, 0)
    feed(place, slotfeed, 1)
    copy, end, written = tmp_path / "copies" / "slotfeed.copy", threading.Event(), list[int]()
    copy.parent.mkdir()
    writer = threading.Thread(target=busy, args=(place, end, written))
    writer.start()
    try:
        while not written:
            assert writer.is_alive()
        take(place, slotfeed, copy)
    finally:
        end.set()
        writer.join()
    assert len(written) > 1
    # The exchange goes on from here, and the database falls back behind it.
    feed(place, slotfeed, 2)
    put_back(place, copy)
    feed(place, slotfeed, 3)
    at = FIRST_RUN + 5 * SLOT
    place.live_until(at)
    status, told = slotfeed("reconcile", "--at", at.isoformat())
    assert status == 0, told
    with place.store() as store:
        row = table_of(SubmissionRow).c
        with store.reading() as connection:
            moving = select(func.count()).where(row.state.in_((State.PENDING, State.SENDING)))
            assert connection.execute(moving).scalar_one() == 0
            late = select(row.state, row.attempts).where(row.slot_start == FORGOTTEN, row.quantity == "forecast")
            assert set(connection.execute(late).tuples()) == {("expired", 0)}
        # The exchange has taken what this database never sent; it is what it would have sent, and reconcile says so.
        found = [one for one in check_all(seen(place, store, kills=1)) if not of_the_forgotten(str(one))]
        assert breaches(found) == ""
    assert "144 agree, 0 differ" in told


def of_the_forgotten(violation: str) -> bool:
    return violation.startswith("(2)") and f"{FORGOTTEN:%Y-%m-%d %H:%M} UTC forecast" in violation


def take(place: Place, slotfeed: Command, copy: Path) -> None:
    """As docs/backup.md says."""
    url = place.community.database
    if url.startswith("sqlite"):
        status, told = slotfeed("backup", copy)
        assert status == 0, told
        assert "found it sound" in told
        status, told = slotfeed("backup", copy)
        assert (status, "is there already" in told) == (1, True)
    else:
        plain = url.replace("+psycopg", "")
        subprocess.run([postgres_tool("pg_dump"), "--format=custom", f"--file={copy}", plain], check=True)


def put_back(place: Place, copy: Path) -> None:
    """As docs/backup.md says: what is there goes, and the copy takes its place."""
    url = place.community.database
    if url.startswith("sqlite"):
        for suffix in ("", "-wal", "-shm"):
            (place.folder / f"slotfeed.sqlite{suffix}").unlink(missing_ok=True)
        shutil.copy(copy, place.folder / "slotfeed.sqlite")
    else:
        plain = url.replace("+psycopg", "")
        restore = [postgres_tool("pg_restore"), "--clean", "--if-exists", "--exit-on-error", f"--dbname={plain}", copy]
        subprocess.run(restore, check=True)
