"""Runs the vendor clouds beside the caller, for demonstrations, tests and benchmarks."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from pipelines.sandbox.clouds.serve import READY, WHERE, FleetKind
from pipelines.sandbox.process import child_server


@contextmanager
def clouds_process(
    *,
    username: str,
    secret: str,
    clock_start: datetime | None = None,
    fleet: FleetKind = "demo",
    devices: int = 1000,
    port: int = 0,
) -> Iterator[str]:
    """All vendor clouds in a process of their own, which ends with the block.

    Args:
        username: of the one account that every vendor has.
        secret: handed over standard input, so it shows in no process list.
        clock_start: see `serve.run`.
        fleet: `demo` or `grown`.
        devices: units per vendor of a grown fleet.
        port: 0 takes any free one.

    Yields:
        Its base URL, without a trailing slash; a vendor's API stands under its module's `PREFIX`.

    Raises:
        TerminalError: it ended before it served, or didn't start in a minute; holds what it wrote to stderr.
    """
    arguments = {
        "port": port,
        "username": username,
        "secret": secret,
        "clock_start": clock_start.isoformat() if clock_start else None,
        "fleet": fleet,
        "devices": devices,
    }
    with child_server("pipelines.sandbox.clouds.serve", arguments, ready=READY, called=WHERE) as url:
        yield url
