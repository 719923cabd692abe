"""Real processes of the program without the seconds that its libraries' imports take.

A template process imports the libraries once. Each run is a fork of it: with a pid, a session, a working directory and
an environment of its own, and its output in a file. It can be killed like any other. The program itself, and polars,
which starts threads, are imported by the run.

    with open_template() as template:
        run = template.start("feed", "--at", at.isoformat(), cwd=place.folder, output=tmp_path / "feed.txt")
        assert run.wait() == 0, run.printed

A run may be prepared: `before` names functions of the tests, with their arguments, that are called in its process ahead
of the command. So a test can have a process kill itself between two lines, and knows where it died.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
LIBRARIES = (
    "prefect",
    "great_expectations",
    "pandas",
    "pyarrow",
    "sqlmodel",
    "alembic.command",
    "psycopg",
    "httpx_aiohttp",
    "typer",
    "rich.table",
    "jinja2",
    "jwt",
    "tenacity",
    "holidays",
    "astral.sun",
    "rich.markdown",
)
BESIDE = {"python", "jemalloc_bg_thd"}
"""Threads that a fork gets over: the one that forks, and pyarrow's allocator, which minds forks."""

Call = tuple[Any, ...]
"""Dotted name of a function, its module and name parted by a colon, and its arguments as JSON has them."""


@dataclass
class Run:
    """One process of the program."""

    template: "Template"
    pid: int
    output: Path
    """What it prints, both streams."""

    status: int | None = None
    """Its exit status once it has ended; negative: the signal that ended it."""

    @property
    def printed(self) -> str:
        """All that it has printed so far."""
        return self.output.read_text(errors="replace")

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""
        self.template.hear(0)
        return self.status

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Its exit status, when it has ended.

        Raises:
            TimeoutError: it hasn't; the message holds what it printed.
        """
        ends = time.monotonic() + timeout_s
        while self.status is None:
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"process {self.pid} still runs after {timeout_s} s; it printed:\n{self.printed}")
            self.template.hear(left)
        return self.status

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it is gone."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as `kill -9` does, and wait until it is gone."""
        self.send(signal.SIGKILL)
        self.wait()


class Template:
    """The client's side of a template process. Of one thread."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        """Take over a process that `open_template` has started."""
        self._process = process
        self._runs: dict[int, Run] = {}
        self._started: list[int] = []
        self._lines: list[bytes] = []
        self._rest = b""
        self._selector = selectors.DefaultSelector()
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ)

    def start(
        self,
        *arguments: str,
        cwd: Path,
        output: Path,
        before: Sequence[Call] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Run:
        """Run `slotfeed` with these arguments.

        Args:
            arguments: of the command line.
            cwd: its working directory.
            output: file that takes what it prints.
            before: called in its process ahead of the command.
            environment: its whole environment; default: this process's as it is now.
        """
        asked = {
            "arguments": arguments,
            "cwd": str(cwd),
            "output": str(output),
            "before": before,
            "environment": dict(os.environ if environment is None else environment),
        }
        output.touch()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        while not self._started:
            self.hear(PATIENCE_S)
        run = Run(template=self, pid=self._started.pop(), output=output)
        self._runs[run.pid] = run
        return run

    def hear(self, timeout_s: float) -> None:
        """Take one message of the template, if there is one within the time."""
        if not self._lines:
            if not self._selector.select(timeout_s):
                return
            assert self._process.stdout is not None
            # Not by the stream's own lines: it would keep the second of two, and the selector wouldn't know.
            part = os.read(self._process.stdout.fileno(), 1 << 16)
            assert part, f"the template ended with status {self._process.wait()}"
            *lines, self._rest = (self._rest + part).split(b"\n")
            self._lines += lines
            if not lines:
                return
        told = json.loads(self._lines.pop(0))
        if "started" in told:
            self._started.append(told["started"])
        elif (run := self._runs.pop(told["ended"], None)) is not None:
            run.status = told["status"]

    def close(self) -> None:
        """End what still runs, then the template."""
        for run in list(self._runs.values()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.pid, signal.SIGKILL)
        self._selector.close()
        self._process.communicate()


@contextlib.contextmanager
def open_template(*more: str) -> Iterator[Template]:
    """A template, ready.

    Args:
        more: libraries that it imports besides; `prefect.main` takes Prefect's settings from the environment as it is
            now, so that runs can't have their own.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.reliability.template", *more],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        template = Template(process)
        try:
            yield template
        finally:
            template.close()


def serve() -> dict[str, Any] | None:
    """The template's own loop: returns in each fork with what it is to run, and with None where no more will come.

    A line of standard input asks for a run; lines of standard output tell when one has started and ended.
    """
    ear, mouth = socket.socketpair()
    for end in (ear, mouth):
        end.setblocking(False)
    # No SA_RESTART is needed: the wake-up is what the loop waits for.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(ear, selectors.EVENT_READ)
        selector.register(requests, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if ear in ready:
                ear.recv(4096)
                _tell_the_ended()
            if requests not in ready:
                continue
            part = os.read(requests.fileno(), 1 << 20)
            if not part:
                return None
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                pid = os.fork()
                if pid == 0:
                    asked: dict[str, Any] = json.loads(line)
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for end in (ear, mouth):
                        end.close()
                    requests.close()
                    return asked
                _tell(started=pid)


def run(asked: Mapping[str, Any]) -> None:
    """In a fork: become the process that was asked for."""
    os.setsid()
    output = os.open(asked["output"], os.O_WRONLY | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["cwd"])
    sys.argv = ["slotfeed", *asked["arguments"]]
    for dotted, *arguments in asked["before"]:
        module, _, name = dotted.partition(":")
        getattr(importlib.import_module(module), name)(*arguments)
    _leave(_status(importlib.import_module("flows.cli").main))


def _status(main: Callable[[], None]) -> int:
    """Exit status of the program, as the interpreter would give it."""
    try:
        main()
    except SystemExit as left:
        if left.code is None or isinstance(left.code, int):
            return left.code or 0
        sys.stderr.write(f"{left.code}\n")
        return 1
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        return 1
    return 0


def _leave(status: int) -> None:
    """End in order, but for taking all imported modules to pieces: that copies the template's memory and takes 1 s."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


def _tell_the_ended() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _tell(ended=pid, status=os.waitstatus_to_exitcode(status))


def _tell(**told: int) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    for library in (*LIBRARIES, *sys.argv[1:]):
        importlib.import_module(library)
    # A fork takes over one thread alone: what another has locked stays locked in it.
    threads = sorted(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))
    assert threads.count("python") == 1, threads
    assert set(threads) <= BESIDE, threads
    # The forks' garbage collectors would write into every page that they share.
    gc.freeze()
    if (job := serve()) is not None:
        run(job)
