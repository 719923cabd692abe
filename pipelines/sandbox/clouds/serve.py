"""Starts the vendor clouds as a server: in a process of its own, or in a thread of this one."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Literal

import uvicorn

from pipelines.clock import FixedClock, WallClock
from pipelines.errors import ConfigurationError, Issue
from pipelines.sandbox.clouds.app import create_app
from pipelines.sandbox.clouds.demo import demo_fleet, grown_fleet
from pipelines.sandbox.clouds.fleet import QUARTER, Fleet
from pipelines.sandbox.clouds.world import World
from pipelines.sandbox.connections import Connections
from pipelines.sandbox.listen import listening, loopback_issues, serve_until_terminated, server_config
from pipelines.slots import slot_floor

READY = "slotfeed sandbox clouds listening on "
"""The line that is printed once they accept connections, before the URL."""

WHERE = "sandbox clouds"

FleetKind = Literal["demo", "grown"]

LIVE_BEFORE, LIVE_FOR = timedelta(days=2), timedelta(days=34)
"""By this machine's clock the demo's two days are repeated from two days before the start, for a month. Ours."""


def run(
    *,
    host: str = "127.0.0.1",
    port: int,
    username: str,
    secret: str,
    clock_start: datetime | None = None,
    fleet: FleetKind = "demo",
    devices: int = 1000,
) -> None:
    """Serve until SIGTERM, then end the process with status 0. Prints one line once it accepts connections.

    Args:
        host: a loopback address: the control paths ask for no token.
        port: 0 takes any free one; the line names it.
        username: of the one account that every vendor has.
        secret: its password, API key, token, system code and client secret.
        clock_start: aware instant at which the clock stands until PUT /sandbox/clock moves it, with the demo's data on
            the days they were measured; None lives by this machine's clock, with the data of those days repeated now.
        fleet: `demo`, or `grown` for `devices` units at every vendor.
        devices: of a grown fleet.

    Raises:
        ConfigurationError: the settings are wrong, or the port is taken; lists every fault found.
    """
    issues = loopback_issues(host, where=WHERE)
    if devices < 1:
        issues.append(
            Issue(where=WHERE, field="devices", problem=f"{devices} is no number of devices", remedy="Take 1 or more")
        )
    if issues:
        raise ConfigurationError(issues)
    clock = WallClock() if clock_start is None else FixedClock(clock_start)
    world = World(
        fleet=_fleet(fleet, devices, None if clock_start else clock.now()),
        clock=clock,
        username=username,
        secret=secret,
    )
    serve_until_terminated(_config(world), host=host, port=port, ready=READY, where=WHERE)


@contextmanager
def in_thread(world: World) -> Iterator[str]:
    """Serve this world in a thread until the block ends, so that a caller can hold what the vendors share.

    Yields:
        The base URL, without a trailing slash.
    """
    with listening("127.0.0.1", 0, where=WHERE) as listener:
        server = uvicorn.Server(_config(world))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name=WHERE)
        thread.start()
        try:
            # Connections wait in the listening socket until the server takes them.
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _config(world: World) -> uvicorn.Config:
    connections = Connections()
    return server_config(create_app(world, hang_up=connections.hang_up), connections, ws="websockets-sansio")


def _fleet(kind: FleetKind, devices: int, live_at: datetime | None) -> Fleet:
    when: dict[str, Any] = {}
    if live_at is not None:
        when = {"first": slot_floor(live_at - LIVE_BEFORE, timedelta(days=1)), "quarter_hours": LIVE_FOR // QUARTER}
    return grown_fleet(devices, **when) if kind == "grown" else demo_fleet(**when)


def main() -> None:
    """Run with the arguments of `run` as one JSON object on standard input, so that no secret is seen in `ps`."""
    arguments: dict[str, Any] = json.load(sys.stdin)
    start = arguments.pop("clock_start", None)
    try:
        run(clock_start=datetime.fromisoformat(start) if start else None, **arguments)
    except ConfigurationError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
