"""Runs that are stopped by signals: what they leave, and what the next one makes of it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from flows import stopping
from flows.stopping import Stop
from pipelines.errors import ExchangeUnavailable, SourceUnavailable
from pipelines.frames import State
from pipelines.store import RunRow, SubmissionRow, table_of

Place = Any
Process = subprocess.Popen[str]
AT = datetime(2016, 10, 29, 21, 47, tzinfo=UTC)
ASSETS = 36
PATIENCE_S = 120
FEED = "from flows.cli import main; main()"
STORY = """
import asyncio, time
from flows import stopping

async def story():
    with stopping.heed():
        print("begun", flush=True)
        {what}

stopping.END_S = {end_s}
asyncio.run(story())
"""


def start(code: str, *arguments: str) -> Process:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def begun(what: str, *, end_s: float = 60) -> Process:
    """A run of a story, in its midst."""
    process = start(STORY.format(what=what, end_s=end_s))
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def send(process: Process, number: signal.Signals) -> str:
    """Send a signal, and wait for the words that it is answered with."""
    assert process.stderr is not None
    process.send_signal(number)
    return process.stderr.readline()


def left_with(process: Process) -> int:
    """Its exit status; closes its pipes."""
    process.communicate(timeout=PATIENCE_S)
    return process.returncode


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_story_that_waits_ends_at_the_first_signal(number: signal.Signals, status: int) -> None:
    process = begun("await asyncio.Event().wait()")
    assert send(process, number) == stopping.STOPPING
    assert left_with(process) == status


@pytest.mark.parametrize(("second", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_second_signal_ends_a_computation_too(second: signal.Signals, status: int) -> None:
    process = begun("time.sleep(600)")
    assert send(process, signal.SIGTERM) == stopping.STOPPING
    assert send(process, second) == stopping.ENDED
    assert left_with(process) == status


def test_what_does_not_end_in_time_is_ended() -> None:
    process = begun("time.sleep(600)", end_s=0.2)
    assert send(process, signal.SIGTERM) == stopping.STOPPING
    assert left_with(process) == 143


def test_a_thread_that_nobody_waits_for_any_more_does_not_hold_the_process() -> None:
    process = begun("stopping.LINGER_S = 0.2; await asyncio.to_thread(time.sleep, 600)")
    assert send(process, signal.SIGTERM) == stopping.STOPPING
    assert left_with(process) == 143


async def test_work_in_hand_is_cancelled_only_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    stop = Stop(_cancel=lambda: ended.append("cancelled"))
    monkeypatch.setattr(stopping, "ANSWERS_S", 0.0)
    with stop.in_hand():
        stop.ask(signal.SIGTERM)
        stop.begin(asyncio.get_running_loop())
        assert (stop.asked(), ended) == (True, [])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert ended == ["cancelled"]


async def test_between_two_steps_the_story_ends_once() -> None:
    ended: list[str] = []
    stop = Stop(_cancel=lambda: ended.append("cancelled"))
    stop.check()
    stop.ask(signal.SIGINT)
    with pytest.raises(asyncio.CancelledError):
        stop.check()
    # The loop hears of the signal later: what tidies up now isn't cancelled.
    stop.begin(asyncio.get_running_loop())
    assert (ended, stop.exit_status) == ([], 130)


async def test_a_wait_before_another_try_ends_with_the_run() -> None:
    stop = Stop()
    await stop.sleep(0)
    stop.pause(0)
    waiting = asyncio.create_task(stop.sleep(600))
    await asyncio.sleep(0)
    stop.ask(signal.SIGTERM)
    stop.begin(asyncio.get_running_loop())
    with pytest.raises(ExchangeUnavailable, match="not tried again"):
        await waiting
    with pytest.raises(SourceUnavailable, match="not tried again"):
        stop.pause(600)


def test_outside_of_runs_sigterm_leaves_in_order() -> None:
    former = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left, stopping.exit_on_sigterm():
        signal.raise_signal(signal.SIGTERM)
    assert left.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is former


def feed(place: Place, at: datetime) -> Process:
    place.live_until(at)
    return start(FEED, "feed", "--at", at.isoformat())


def slow(place: Place, seconds: float) -> None:
    """Posts are applied, and answered so much later."""
    rule = {"do": "delay", "path": "set_energy_forecast", "seconds": seconds}
    place.exchange.put("/sandbox/faults", json=[rule] if seconds else []).raise_for_status()


def posted(place: Place) -> Counter[str]:
    """How often each asset's value reached the exchange."""
    rows = place.exchange.get("/sandbox/journal").json()
    return Counter(row["asset"] for row in rows if "set_energy_forecast" in row["path"])


def wait_for(holds: Callable[[], bool], process: Process) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the feed sent nothing"
        time.sleep(0.05)


def outbox(place: Place) -> list[tuple[str, datetime | None]]:
    """State and lease of each submission."""
    row = table_of(SubmissionRow)
    with place.store() as store, store.reading() as connection:
        return [(one.state, one.leased_until) for one in connection.execute(select(row.c.state, row.c.leased_until))]


def outcomes(place: Place) -> list[str]:
    """Of all runs, in the order of their start."""
    row = table_of(RunRow)
    with place.store() as store, store.reading() as connection:
        return [one.outcome for one in connection.execute(select(row.c.outcome).order_by(row.c.started_at))]


def test_a_stopped_feed_marks_what_is_on_its_way_and_gives_back_the_rest(place: Place) -> None:
    slow(place, 2.0)
    told = {signal.SIGTERM: 143, signal.SIGINT: 130}
    for count, (number, status) in enumerate(told.items(), start=1):
        before = len(posted(place))
        process = feed(place, AT + count * timedelta(seconds=10))
        wait_for(lambda before=before: len(posted(place)) > before, process)
        assert send(process, number) == stopping.STOPPING
        assert left_with(process) == status

        sent = posted(place)
        assert before < len(sent) < ASSETS
        # Each value on its way was answered and marked; nothing is leased that never left.
        assert Counter(outbox(place)) == {(State.ACCEPTED, None): len(sent), (State.PENDING, None): ASSETS - len(sent)}
        assert outcomes(place) == ["stopped"] * count

    slow(place, 0)
    # Long before a lease would have lapsed.
    assert left_with(feed(place, AT + timedelta(seconds=30))) == 0
    assert set(outbox(place)) == {(State.ACCEPTED, None)}
    sent = posted(place)
    assert (len(sent), set(sent.values())) == (ASSETS, {1})
    assert outcomes(place) == ["stopped", "stopped", "ok"]


def test_a_second_signal_leaves_a_feed_as_a_kill_does(place: Place) -> None:
    slow(place, 8.0)
    process = feed(place, AT)
    wait_for(lambda: bool(posted(place)), process)
    assert send(process, signal.SIGTERM) == stopping.STOPPING
    assert send(process, signal.SIGTERM) == stopping.ENDED
    assert left_with(process) == 143
    assert {state for state, _ in outbox(place)} == {State.SENDING}
    assert outcomes(place) == ["running"]
    assert set(posted(place).values()) == {1}
