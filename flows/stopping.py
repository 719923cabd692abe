"""How a run started by hand is stopped: the first SIGTERM or Ctrl-C lets it put its work down, the second ends it.

    signal      what happens                                                            exit status
    first       no new work is begun; posts on their way get their answer; the rest     143 (SIGTERM)
                is given back; the run's line in the log says `stopped`                 130 (Ctrl-C)
    second      the process ends there and then, as if killed                           the same, by the second

A run that can't put its work down in time (a database that is locked, an answer that drips) is ended too: whatever
happens, the process is gone 30 s after the first signal. Ended like that, it leaves what a killed one leaves, and the
next run finishes it.

Flow runs of a Prefect worker aren't touched: Prefect has its own handler of SIGTERM, tells from it whether a run was
cancelled or crashed, and cancels the run's coroutine, which gives everything back at once.
"""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn

from pipelines.errors import ExchangeUnavailable, SourceUnavailable

SIGNALS = (signal.SIGTERM, signal.SIGINT)

ANSWERS_S = 22.0
"""How long work in hand may go on after the first signal: longer than an answer over the websocket is waited for
(`posting.ANSWER_S`). Ours."""

END_S = 28.0
"""When the process ends after the first signal, whatever it does: within the 30 s that container runtimes and Prefect
wait before they kill. Ours."""

LINGER_S = 3.0
"""How long threads may go on once the run is closed: a computation that nobody waits for any more. Ours."""

STOPPING = "Stopping: what is on its way gets its answer, the rest waits for the next run. Again to end at once.\n"
ENDED = "Ended at once; the next run finishes what was on its way.\n"
NOT_AGAIN = "not tried again: the run is being stopped"
_POKE = 0


@dataclass
class Stop:
    """Whether a run is to stop, and how its story is told so. Without `heed`, it never is."""

    first: signal.Signals | None = None
    """The signal that came first."""

    _asked: threading.Event = field(default_factory=threading.Event)
    _in_loop: asyncio.Event = field(default_factory=asyncio.Event)
    _cancel: Callable[[], object] | None = None
    """Ends the story; None once it is done or was told."""

    _in_hand: bool = False

    def asked(self) -> bool:
        """Whether no new work is to be begun; to be asked from any thread."""
        return self._asked.is_set()

    @property
    def exit_status(self) -> int:
        """As the shell has it of a process ended by the signal."""
        return 128 + (self.first or signal.SIGTERM)

    def check(self) -> None:
        """Between two steps: end the story here if it is to stop.

        Raises:
            CancelledError: it is.
        """
        if self.asked():
            self._cancel = None
            raise asyncio.CancelledError

    @contextlib.contextmanager
    def in_hand(self) -> Iterator[None]:
        """For work that asks `asked` by itself and puts itself down: it isn't cancelled before `ANSWERS_S` are over."""
        self._in_hand = True
        try:
            yield
        finally:
            self._in_hand = False

    async def sleep(self, seconds: float) -> None:
        """Wait before another try at the exchange.

        Raises:
            ExchangeUnavailable: the run is to stop, so there is none.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._in_loop.wait()
        if self.asked():
            raise ExchangeUnavailable(NOT_AGAIN)

    def pause(self, seconds: float) -> None:
        """The same in a thread that asks a source.

        Raises:
            SourceUnavailable: the run is to stop.
        """
        if self._asked.wait(seconds):
            raise SourceUnavailable(NOT_AGAIN)

    def ask(self, number: signal.Signals) -> None:
        """From any thread: begin no new work from now on."""
        self.first = number
        self._asked.set()

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the event loop: end the story, at once or as soon as what is in hand has had its time."""
        self._in_loop.set()
        if self._in_hand:
            loop.call_later(ANSWERS_S, self._end_story)
        else:
            self._end_story()

    def _end_story(self) -> None:
        if self._cancel is not None:
            cancel, self._cancel = self._cancel, None
            cancel()


@contextlib.contextmanager
def heed() -> Iterator[Stop]:
    """Heed SIGTERM and Ctrl-C during a run; to be entered by the task that runs it.

    Outside the main thread, where signals can't be handled, nothing is changed.

    Raises:
        SystemExit: at the end of a run that was stopped, with the status of its signal.
    """
    task = asyncio.current_task()
    if task is None or threading.current_thread() is not threading.main_thread():
        yield Stop()
        return
    stop = Stop(_cancel=task.cancel)
    watch = _Watch(stop, asyncio.get_running_loop())
    watch.begin()
    try:
        yield stop
    except BaseException:
        if stop.asked():
            raise SystemExit(stop.exit_status) from None
        raise
    finally:
        stop._cancel = None  # noqa: SLF001 - nothing is left to be cancelled
        watch.end()
    if stop.asked():
        raise SystemExit(stop.exit_status)


@contextlib.contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Outside of runs: SIGTERM leaves the process in order, as Ctrl-C does, with status 143."""

    def leave(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


class _Watch:
    """A thread that hears signals while the main thread is in a long computation, where Python's handlers must wait.

    The interpreter writes each signal's number into a socket as it comes (`signal.set_wakeup_fd`); the thread reads
    them, tells the first and ends the process at the second.
    """

    def __init__(self, stop: Stop, loop: asyncio.AbstractEventLoop) -> None:
        self._stop, self._loop = stop, loop
        self._ear, self._mouth = socket.socketpair()
        self._mouth.setblocking(False)
        self._ends_at: float | None = None
        self._thread = threading.Thread(target=self._listen, name="signals", daemon=True)

    def begin(self) -> None:
        self._thread.start()
        self._former_fd = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        # A handler must stand, else the signal does what it does by default; the thread does the work.
        self._former = {one: signal.signal(one, lambda *_: None) for one in SIGNALS}

    def end(self) -> None:
        """Undo it, or after a first signal keep listening for the second until the process has ended."""
        if self._stop.asked():
            self._ends_at = min(self._ends_at or float("inf"), time.monotonic() + LINGER_S)
            self._mouth.send(bytes([_POKE]))
            return
        for one, handler in self._former.items():
            signal.signal(one, handler)
        signal.set_wakeup_fd(self._former_fd)
        self._mouth.close()
        self._thread.join()
        self._ear.close()

    def _listen(self) -> None:
        while heard := self._hear():
            if heard[0] not in SIGNALS:
                continue
            number = signal.Signals(heard[0])
            if self._stop.asked():
                _end_process(128 + number)
            self._ends_at = time.monotonic() + END_S
            self._stop.ask(number)
            _say(STOPPING)
            with contextlib.suppress(RuntimeError):
                # The loop may have ended meanwhile.
                self._loop.call_soon_threadsafe(self._stop.begin, self._loop)

    def _hear(self) -> bytes:
        """One signal's number; b"" where no more is to be heard."""
        if self._ends_at is not None:
            self._ear.settimeout(max(self._ends_at - time.monotonic(), 0.001))
        try:
            return self._ear.recv(1)
        except TimeoutError:
            _end_process(self._stop.exit_status)


def _end_process(status: int) -> NoReturn:
    """As a kill, but with a status: no handler, no thread and no lock is waited for."""
    _say(ENDED)
    os._exit(status)


def _say(words: str) -> None:
    """Past Python's own stderr, whose lock the main thread may hold."""
    with contextlib.suppress(OSError):
        os.write(2, words.encode())
