"""Runs a server of the sandbox beside the caller, for demonstrations and tests."""

import json
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.errors import TerminalError

STARTS_WITHIN_S = 60.0
ENDS_WITHIN_S = 10.0


@contextmanager
def child_server(module: str, arguments: dict[str, object], *, ready: str, called: str) -> Iterator[str]:
    """A server of the sandbox in a process of its own, which ends with the block.

    Args:
        module: run with `python -m`.
        arguments: written to its standard input as JSON.
        ready: what it prints before its URL once it accepts connections.
        called: its name in errors.

    Yields:
        Its base URL, without a trailing slash.

    Raises:
        TerminalError: it ended before it served, or didn't start in a minute; holds what it wrote to stderr.
    """
    with (
        # A file, not a pipe: nobody reads while the server runs, and a full pipe would stop it.
        tempfile.TemporaryFile("w+", encoding="utf-8") as complaints,
        subprocess.Popen(  # noqa: S603 - modules of this package only
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        ) as process,
    ):
        try:
            url = _started(process, json.dumps(arguments), ready)
            if url is None:
                _end(process)
                complaints.seek(0)
                raise TerminalError(
                    f"The {called} didn't start (exit status {process.returncode}): "
                    f"{complaints.read().strip() or 'it wrote nothing to stderr'}"
                )
            yield url
        finally:
            _end(process)


def _started(process: subprocess.Popen[str], arguments: str, ready: str) -> str | None:
    """The URL it serves at; None where it didn't start."""
    assert process.stdin is not None  # noqa: S101 - both are pipes, which Popen's type doesn't tell
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(arguments)
        process.stdin.close()
    except BrokenPipeError:
        return None
    readable, _, _ = select.select([process.stdout], [], [], STARTS_WITHIN_S)
    line = process.stdout.readline() if readable else ""
    return line.removeprefix(ready).strip() if line.startswith(ready) else None


def _end(process: subprocess.Popen[str]) -> None:
    """Ask the process to end, and make it where it doesn't listen."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
