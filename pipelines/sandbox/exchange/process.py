"""Runs the local exchange beside the caller, for demonstrations and tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pipelines.sandbox.exchange.serve import READY, TOKEN_LIFETIME_S
from pipelines.sandbox.process import child_server


@contextmanager
def exchange_process(
    registry_file: Path,
    *,
    username: str,
    password: str,
    clock_start: datetime | None = None,
    slot_minutes: int = 15,
    token_lifetime_s: float = TOKEN_LIFETIME_S,
    port: int = 0,
) -> Iterator[str]:
    """A sandbox exchange in a process of its own, which ends with the block.

    Args:
        registry_file: GSy's simulation config JSON.
        username: of the one account.
        password: handed over standard input, so it shows in no process list.
        clock_start: see `serve.run`.
        slot_minutes: divides the hour.
        token_lifetime_s: seconds.
        port: 0 takes any free one.

    Yields:
        Its base URL, without a trailing slash.

    Raises:
        TerminalError: it ended before it served, or didn't start in a minute; holds what it wrote to stderr.
    """
    arguments = {
        "registry_file": str(registry_file.resolve()),
        "port": port,
        "username": username,
        "password": password,
        "clock_start": clock_start.isoformat() if clock_start else None,
        "slot_minutes": slot_minutes,
        "token_lifetime_s": token_lifetime_s,
    }
    with child_server("pipelines.sandbox.exchange.serve", arguments, ready=READY, called="sandbox exchange") as url:
        yield url
