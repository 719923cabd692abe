"""Runs the local exchange beside the caller, for demonstrations and tests."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pipelines.sandbox.exchange.faults import Rule
from pipelines.sandbox.exchange.serve import READY, TOKEN_LIFETIME_S
from pipelines.sandbox.process import child_server


@contextmanager
def exchange_process(
    source: Path,
    *,
    username: str,
    password: str,
    database: Path | None = None,
    clock_start: datetime | None = None,
    tick_s: float | None = None,
    lead_s: float = 0,
    faults: Sequence[Rule] = (),
    token_lifetime_s: float = TOKEN_LIFETIME_S,
    port: int = 0,
) -> Iterator[str]:
    """A sandbox exchange in a process of its own, which ends with the block.

    Args:
        source: see `serve.run`.
        username: of the administrator.
        password: handed over standard input, so it shows in no process list.
        database: see `serve.run`.
        clock_start: see `serve.run`.
        tick_s: see `serve.run`.
        lead_s: see `serve.run`.
        faults: rules in force from the start.
        token_lifetime_s: seconds.
        port: 0 takes any free one.

    Yields:
        Its base URL, without a trailing slash.

    Raises:
        TerminalError: it ended before it served, or didn't start in a minute; holds what it wrote to stderr.
    """
    arguments: dict[str, object] = {
        "source": str(source.resolve()),
        "database": str(database.resolve()) if database else None,
        "port": port,
        "username": username,
        "password": password,
        "clock_start": clock_start.isoformat() if clock_start else None,
        "tick_s": tick_s,
        "lead_s": lead_s,
        "faults": [rule.model_dump(mode="json") for rule in faults],
        "token_lifetime_s": token_lifetime_s,
    }
    with child_server("pipelines.sandbox.exchange.serve", arguments, ready=READY, called="sandbox exchange") as url:
        yield url
