"""Does the state machine find bugs? Deliberate ones, each in a process of its own; the checkout isn't touched.

    python -m tests.reliability.machine_mutations             # all of them, a table
    python -m tests.reliability.machine_mutations --write     # and the table into docs/reliability.md

A mutation replaces a function of the program before the machine runs, with the settings that it has in the suite.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import false

from pipelines.deliver.posting import Poster
from pipelines.exchange import ExchangeClient, Fate, Verdict
from pipelines.frames import State
from tests.reliability.tables import WRITING, hold_table

ROOT = Path(__file__).parents[2]
AGES = timedelta(days=1000)

Mutation = Callable[[], None]


def _put(target: str, value: object) -> None:
    """Until the process ends."""
    mock.patch(target, value).start()


def _taken_for_granted() -> None:
    original = Poster._outcomes

    def outcomes(self: Poster, rows: Any, state: State, *rest: Any, **more: Any) -> Any:
        return original(self, rows, State.ACCEPTED if state is State.PENDING else state, *rest, **more)

    _put("pipelines.deliver.posting.Poster._outcomes", outcomes)


def _no_deadline() -> None:
    original = ExchangeClient.post

    async def post(self: ExchangeClient, request: Any, *, step: str, closes_at: Any) -> object:
        return await original(self, request, step=step, closes_at=None)

    _put("pipelines.exchange.client.ExchangeClient.post", post)


def _sends_kwh() -> None:
    from pipelines.exchange import wire  # noqa: PLC0415

    _put("pipelines.exchange.protocols.sound", lambda wh: wire.sound(wh) / 1000)
    original = wire.kwh_by_slot
    _put("pipelines.exchange.protocols.kwh_by_slot", lambda wh: {s: 1000 * v for s, v in original(wh).items()})


def _another_slot() -> None:
    from pipelines.convert import plan  # noqa: PLC0415

    original = plan.forecast_window
    _put("pipelines.convert.plan.forecast_window", lambda slot, **m: original(slot + m["length"], **m))


def _loses_a_reading() -> None:
    from pipelines.collect import keep  # noqa: PLC0415

    original = keep.append_frame

    def append(connection: Any, model: Any, frame: Any) -> None:
        original(connection, model, frame.head(-1) if frame.height > 1 else frame)

    _put("pipelines.collect.keep.append_frame", append)


def _loses_a_plan() -> None:
    from pipelines.convert import outbox  # noqa: PLC0415

    original = outbox._add_submissions

    def add(connection: Any, rows: list[Any], **more: Any) -> int:
        return original(connection, rows[:2], **more)

    _put("pipelines.convert.outbox._add_submissions", add)


def _sends_again_at_once() -> None:
    _put("pipelines.deliver.outbox.LEASE", timedelta(0))


def _never_lapses() -> None:
    _put("pipelines.deliver.outbox.LEASE", AGES)


def _older_ones_too() -> None:
    for name in ("newer_exists", "older_in_flight"):
        _put(f"pipelines.deliver.outbox.{name}", lambda _: false())
    for name in ("supersede_given_back", "supersede_older"):
        _put(f"pipelines.deliver.outbox.{name}", lambda *_, **__: None)


def _no_correction() -> None:
    _put("pipelines.convert.outbox._same_value", lambda *_: True)


def _slots_of_the_past_alone() -> None:
    _put("pipelines.convert.run._newest", lambda _: None)


def _clock_that_sleeps() -> None:
    from pipelines import clock  # noqa: PLC0415

    def awake_s() -> float:
        # The machine puts its own clocks there.
        return clock.time.monotonic()

    _put("pipelines.clock._passed_s", awake_s)


def _lease_without_end() -> None:
    original = Poster.send

    async def send(self: Poster, post: Any, *, lease_ends: Any) -> Any:
        return await original(self, post, lease_ends=lease_ends + AGES)

    _put("pipelines.deliver.posting.Poster.send", send)


def _lists_nothing() -> None:
    _put("pipelines.reconcile.run.write_discrepancies", lambda *_, **__: None)


def _compared_too_far() -> None:
    from pipelines.reconcile import run  # noqa: PLC0415

    original = run.keep_compared

    def keep(connection: Any, pairs: Any, *, start: Any, end: Any) -> None:
        original(connection, pairs, start=start, end=end + timedelta(minutes=15))

    _put("pipelines.reconcile.run.keep_compared", keep)


def _refused_is_taken() -> None:
    original = Poster._outcomes

    def outcomes(self: Poster, rows: Any, state: State, *rest: Any, **more: Any) -> Any:
        return original(self, rows, State.ACCEPTED if state is State.REJECTED else state, *rest, **more)

    _put("pipelines.deliver.posting.Poster._outcomes", outcomes)


def _race_is_taken() -> None:
    from pipelines.exchange import batch  # noqa: PLC0415

    original = batch._judged

    def judged(response: Mapping[str, object]) -> Verdict:
        verdict = original(response)
        return Verdict(fate=Fate.READY) if verdict.fate is Fate.RACED else verdict

    _put("pipelines.exchange.batch._judged", judged)


def _nobody_listens() -> None:
    async def heard(*_: object) -> None:
        return None

    _put("pipelines.deliver.posting.Poster._heard", heard)


MUTATIONS: Mapping[str, tuple[str, Mutation]] = {
    "a post without an answer counts as accepted": ("rest", _taken_for_granted),
    "a refused post counts as accepted": ("rest", _refused_is_taken),
    "tries go on after the deadline": ("rest", _no_deadline),
    "a lease lapses at once": ("sdk", _sends_again_at_once),
    "a lease never lapses": ("rest", _never_lapses),
    "a post leaves after its lease has ended": ("sdk", _lease_without_end),
    "the exchange's clock stands while the machine sleeps": ("rest", _clock_that_sleeps),
    "older versions are sent too": ("sdk", _older_ones_too),
    "a correction is not planned": ("sdk", _no_correction),
    "a late run's corrections are left out": ("sdk", _slots_of_the_past_alone),
    "one asset of three is never planned": ("rest", _loses_a_plan),
    "windows are a slot late": ("rest", _another_slot),
    "kWh in the place of Wh, and Wh in the place of kWh": ("sdk", _sends_kwh),
    "a reading is lost behind its cursor": ("rest", _loses_a_reading),
    "nothing is listed": ("rest", _lists_nothing),
    "an asset counts as compared a slot too far": ("sdk", _compared_too_far),
    "what a market cycle threw away counts as accepted": ("batch", _race_is_taken),
    "a batch's own answer is never looked at": ("batch", _nobody_listens),
}
"""What is broken -> the protocol in which it is looked for, and how."""


def main() -> None:
    """Run them all, or one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--one", choices=list(MUTATIONS), help="in this process")
    parser.add_argument("--write", action="store_true", help="the table into docs/reliability.md")
    asked = parser.parse_args()
    if asked.one:
        _run(asked.one)
        return
    rows = []
    for name, (protocol, _) in MUTATIONS.items():
        rows.append((name, protocol, _found(name)))
        sys.stdout.write(" | ".join(rows[-1]) + "\n")
        sys.stdout.flush()
    if asked.write:
        os.environ[WRITING] = "1"
        hold_table("state machine's mutations", ("deliberate bug", "protocol", "first told"), rows)


def _run(name: str) -> None:
    from tests.reliability import test_state_machine  # noqa: PLC0415

    protocol, mutate = MUTATIONS[name]
    mutate()
    try:
        test_state_machine.drive(protocol)
    except AssertionError as error:
        number = re.match(r"\((\d)\)", str(error))
        sys.stdout.write(f"FOUND {f'invariant {number[1]}' if number else 'what differs is listed'}\n")
        sys.stderr.write(f"{error}\n")
        return
    sys.stdout.write("NOTHING\n")


def _found(name: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.reliability.machine_mutations", "--one", name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        if line.startswith("FOUND "):
            return line.removeprefix("FOUND ")
        if line == "NOTHING":
            return "not found"
    return f"status {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"


if __name__ == "__main__":
    main()
