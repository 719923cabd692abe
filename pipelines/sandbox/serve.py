"""Starts the sandbox's exchange as a server, in a process of its own."""

import ipaddress
import json
import signal
import socket
import sys
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from pipelines.clock import Clock, FixedClock, WallClock
from pipelines.errors import ConfigurationError, Issue
from pipelines.sandbox.accounts import Accounts
from pipelines.sandbox.connections import Connections
from pipelines.sandbox.exchange import create_app
from pipelines.sandbox.faults import Faults
from pipelines.sandbox.journal import Journal
from pipelines.sandbox.market import Market
from pipelines.sandbox.registry import read_registry

TOKEN_LIFETIME_S = 48 * 3600
"""gsy_framework/constants_limits.py:347."""

KEEP_ALIVE_S = 75
"""Idle connections stay open that long, as behind nginx by default."""

DRAIN_S = 2
BACKLOG = 1024


def run(
    *,
    registry_file: Path,
    host: str = "127.0.0.1",
    port: int,
    username: str,
    password: str,
    clock_start: datetime | None = None,
    slot_minutes: int = 15,
    token_lifetime_s: float = TOKEN_LIFETIME_S,
) -> None:
    """Serve until SIGTERM, then end the process with status 0. Prints one line once it accepts connections.

    Args:
        registry_file: GSy's simulation config JSON.
        host: a loopback address: the control paths ask for no token.
        port: 0 takes any free one; the line names it.
        username: of the one account.
        password: of the one account.
        clock_start: aware instant at which the sandbox's clock stands until PUT /sandbox/clock moves it;
            None lives by this machine's clock.
        slot_minutes: divides the hour.
        token_lifetime_s: seconds a token is good for, by the sandbox's clock.

    Raises:
        ConfigurationError: the file or the settings are wrong, or the port is taken; lists every fault found.
    """
    issues = _issues(host, slot_minutes)
    try:
        registry = read_registry(registry_file)
    except ConfigurationError as error:
        raise ConfigurationError([*issues, *error.issues]) from error
    if issues:
        raise ConfigurationError(issues)
    clock: Clock = WallClock() if clock_start is None else FixedClock(clock_start)
    types = {uuid: asset.type for uuid, asset in registry.assets.items()}
    market = Market(timedelta(minutes=slot_minutes), clock.now(), types)
    accounts = Accounts(username=username, password=password, lifetime=timedelta(seconds=token_lifetime_s), clock=clock)
    connections = Connections()
    app = create_app(
        market=market,
        registry=registry,
        accounts=accounts,
        clock=clock,
        journal=Journal(),
        faults=Faults(),
        hang_up=connections.hang_up,
    )
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_level="warning",
        access_log=False,
        date_header=False,  # the sandbox's own clock tells the date
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    config.load()
    config.http_protocol_class = connections.watched(config.http_protocol_class)
    with _listening(host, port) as listener:
        # uvicorn drains on SIGTERM and then raises it once more, for the handler that stood before.
        signal.signal(signal.SIGTERM, _leave)
        _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            address, port = listener.getsockname()[:2]
            sys.stdout.write(f"slotfeed sandbox exchange listening on http://{address}:{port}\n")
            sys.stdout.flush()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _listening(host: str, port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off only for sockets that say they are TCP; with it, every answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        problem = f"can't listen on {host}:{port} ({error.strerror or error})"
        raise ConfigurationError(
            [
                Issue(
                    where="sandbox exchange",
                    field="port",
                    problem=problem,
                    remedy="Take another, or 0 for any free one",
                )
            ]
        ) from error
    return listener


def _issues(host: str, slot_minutes: int) -> list[Issue]:
    issues = []
    if not _is_loopback(host):
        remedy = "Take 127.0.0.1: whoever reaches it drives its clock and faults without a password"
        issues.append(
            Issue(where="sandbox exchange", field="host", problem=f"{host} is no IPv4 loopback address", remedy=remedy)
        )
    if not 1 <= slot_minutes <= 60 or 60 % slot_minutes:
        issues.append(
            Issue(
                where="sandbox exchange",
                field="slot_minutes",
                problem=f"{slot_minutes} doesn't divide the hour",
                remedy="Take 15, or another divisor of 60",
            )
        )
    return issues


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 4 and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def main() -> None:
    """Run with the arguments of `run` as one JSON object on standard input, so that no password is seen in `ps`."""
    arguments: dict[str, Any] = json.load(sys.stdin)
    start = arguments.pop("clock_start", None)
    try:
        run(
            registry_file=Path(arguments.pop("registry_file")),
            clock_start=datetime.fromisoformat(start) if start else None,
            **arguments,
        )
    except ConfigurationError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
