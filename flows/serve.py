"""All deployments on one machine, kept running by one process: a Prefect server where there is none, and a worker.

Both are processes of their own. One that ends unasked is started again. Runs are the worker's, as in `prefect worker
start`; Prefect's own `serve` isn't used: it pauses schedules when it stops, and not always all of them.

    signal      what happens
    first       no new run is begun; runs on their way may end, for as long as `RUNS_END_S`; then the server stops
    second      runs are told to stop, which gives back what they had leased

What is due while nothing runs is done by the next run: it sends all that is still in time.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.workers.process import ProcessWorker

from flows.local_prefect import QUIET, START_S, answers
from flows.prefect_words import told_as_ours, without_keys
from flows.serve_deployments import POOL, ROOT
from pipelines.errors import TerminalError

RUNS_END_S = 60.0
"""How long runs on their way may go on after the first signal. Ours."""

STOP_S = 15.0
"""How long a process may take to end when it is told to. Ours."""

LOOK_S = 0.5
LONGEST_REST_S = 60.0
"""Before a process that ends again and again is started anew; it begins with 1 s and doubles. Ours."""

STEADY_S = 300.0
"""After so long a process counts as steady: its next rest is short again. Ours."""

log = logging.getLogger("slotfeed.serve")


@dataclass
class Kept:
    """A process that is started again when it ends, in a group of its own: Ctrl-C reaches it through us only."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    _rest: float = 1.0
    _started: float = field(default=0.0)
    _again_at: float = field(default=0.0)

    def start(self) -> None:
        """Start it."""
        self._started = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            self.command, env=self.environment, cwd=ROOT, start_new_session=True
        )

    def look_after(self) -> None:
        """Start it again if it has ended and rested."""
        if self.running():
            return
        now = time.monotonic()
        if self.process is not None:
            if now - self._started > STEADY_S:
                self._rest = 1.0
            log.warning("%s ended with %s; it starts again in %.0f s", self.name, self.process.returncode, self._rest)
            self.process, self._again_at = None, now + self._rest
            self._rest = min(2 * self._rest, LONGEST_REST_S)
        elif now >= self._again_at:
            self.start()

    def running(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def tell(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send it a signal, or it and all it has started."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.process.pid, number)

    def ended_within(self, seconds: float, sooner: threading.Event | None = None) -> bool:
        """Whether it ends within so long; `sooner` ends the wait."""
        deadline = time.monotonic() + seconds
        while self.running():
            if time.monotonic() >= deadline or (sooner is not None and sooner.wait(LOOK_S)):
                return False
            if sooner is None:
                time.sleep(LOOK_S)
        return True


@dataclass
class Asked:
    """How often the process was told to stop."""

    once: threading.Event = field(default_factory=threading.Event)
    twice: threading.Event = field(default_factory=threading.Event)
    number: int = signal.SIGTERM

    def heard(self, number: int, _: FrameType | None) -> None:
        """A handler of signals."""
        if self.once.is_set():
            self.twice.set()
        else:
            self.number = number
            self.once.set()


def serve(deployments: str, *, limit: int, port: int) -> int:
    """Deploy, and keep server and worker running until told to stop.

    Args:
        deployments: what `prefect deploy` reads, as YAML.
        limit: runs at a time.
        port: of a server that is started because none is configured.

    Returns:
        The exit status by the signal that stopped it: 143 or 130.

    Raises:
        TerminalError: the server doesn't start, or the deployments are refused.
    """
    url = PREFECT_API_URL.value()
    own = url is None
    url = url or f"http://127.0.0.1:{port}/api"
    environment = os.environ | QUIET | {"PREFECT_API_URL": url}
    kept: list[Kept] = []
    with _signals() as asked:
        try:
            if own:
                kept.append(Kept("Prefect's server", _prefect("server", "start", "--port", str(port)), environment))
                kept[0].start()
                _wait(url, kept[0], asked)
            if not asked.once.is_set():
                _deploy(deployments, url, environment)
                worker = _prefect("worker", "start", "--pool", POOL, "--limit", str(limit))
                kept.append(Kept("the worker", worker, environment))
                kept[-1].start()
            while not asked.once.wait(LOOK_S):
                for one in kept:
                    one.look_after()
        finally:
            _stop(kept, asked)
    return 128 + asked.number


def _prefect(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "prefect", *arguments]


def _wait(url: str, server: Kept, asked: Asked) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.running() and not asked.once.wait(LOOK_S):
        if answers(url):
            return
    if not asked.once.is_set():
        raise TerminalError(f"Prefect's server didn't start at {url}; is the port taken? Give another with --port")


def _deploy(text: str, url: str, environment: dict[str, str]) -> None:
    with told_as_ours(), temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        try:
            client.read_work_pool(POOL)
        except ObjectNotFound:
            template = ProcessWorker.get_default_base_job_template()
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prefect.yaml"
        file.write_text(text, encoding="utf-8")
        done = subprocess.run(  # noqa: S603 - our own command
            _prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(file)),
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        said = without_keys(done.stderr or done.stdout).strip()
        raise TerminalError(f"Prefect refused the deployments: {said[-500:]}")


def _stop(kept: Sequence[Kept], asked: Asked) -> None:
    """The worker first, so that its runs can still tell the server how they ended."""
    for one in reversed(kept):
        one.tell(signal.SIGTERM)
        if one.name == "the worker" and not one.ended_within(RUNS_END_S, asked.twice):
            one.tell(signal.SIGTERM, group=True)
        if not one.ended_within(STOP_S):
            one.tell(signal.SIGKILL, group=True)
            one.ended_within(STOP_S)


@contextlib.contextmanager
def _signals() -> Iterator[Asked]:
    asked = Asked()
    former = {one: signal.signal(one, asked.heard) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for one, handler in former.items():
            signal.signal(one, handler)
