"""A feed killed while its values are on their way, and what the next one makes of it."""

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlmodel import col

from pipelines.deliver.outbox import LEASE
from pipelines.frames import State
from pipelines.store import SubmissionRow
from tests.reliability.invariants import check_all
from tests.reliability.invariants import told as breaches
from tests.reliability.sight import seen

Place = Any
AT = datetime(2016, 10, 29, 21, 47, tzinfo=UTC)
PATIENCE_S = 120


def feed(place: Place, at: datetime) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", "from flows.cli import main; main()", "feed", "--at", at.isoformat()]
    return subprocess.Popen(command, cwd=place.folder, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def posts(place: Place) -> list[tuple[str, float]]:
    entries = place.exchange.get("/sandbox/journal").json()
    rows = entries["entries"] if isinstance(entries, dict) else entries
    return [(row["asset"], row["body"]["energy_Wh"]) for row in rows if "set_energy_forecast" in row["path"]]


def states(place: Place) -> dict[str, int]:
    with place.store() as store, store.reading() as connection:
        state = col(SubmissionRow.state)
        return dict(connection.execute(select(state, func.count()).group_by(state)).all())  # type: ignore[arg-type]


def test_a_feed_killed_in_mid_delivery_is_finished_by_the_next_with_one_repeat_at_most(place: Place) -> None:
    # Applied but never answered in time: the kill falls between post and mark.
    slow = {"do": "delay", "path": "set_energy_forecast", "seconds": 1.0}
    place.exchange.put("/sandbox/faults", json=[slow]).raise_for_status()
    process = feed(place, AT)
    deadline = time.monotonic() + PATIENCE_S
    while len(posts(place)) < 12:
        assert process.poll() is None, process.communicate()[0].decode()
        assert time.monotonic() < deadline, "the feed sent nothing"
        time.sleep(0.05)
    process.kill()
    process.communicate()
    before = states(place)
    assert before[State.SENDING] > 0

    place.exchange.put("/sandbox/faults", json=[]).raise_for_status()
    later = AT + LEASE + timedelta(seconds=30)
    place.live_until(later)
    process = feed(place, later)
    told, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, told.decode()
    assert states(place) == {State.ACCEPTED: 36}

    sent = Counter(asset for asset, _ in posts(place))
    assert len(sent) == 36
    assert max(sent.values()) == 2
    # A repeat is the same value again.
    assert len(set(posts(place))) == 36

    with place.store() as store:
        world = seen(place, store, kills=1, texts={"the second feed": told.decode()})
        assert breaches(check_all(world)) == ""
        assert breaches(check_all(replace(world, kills=0))).count("2 times") == len(sent) - list(sent.values()).count(1)
