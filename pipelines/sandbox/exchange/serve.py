"""Starts the sandbox's exchange as a server, in a process of its own."""

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines.clock import Clock, FixedClock, WallClock
from pipelines.errors import ConfigurationError, Issue
from pipelines.sandbox.connections import Connections
from pipelines.sandbox.exchange.accounts import Accounts
from pipelines.sandbox.exchange.app import create_app
from pipelines.sandbox.exchange.faults import Faults
from pipelines.sandbox.exchange.journal import Journal
from pipelines.sandbox.exchange.market import Market
from pipelines.sandbox.exchange.registry import read_registry
from pipelines.sandbox.listen import loopback_issues, serve_until_terminated, server_config

TOKEN_LIFETIME_S = 48 * 3600
"""gsy_framework/constants_limits.py:347."""

READY = "slotfeed sandbox exchange listening on "
"""The line that is printed once it accepts connections, before the URL."""


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
    serve_until_terminated(server_config(app, connections), host=host, port=port, ready=READY, where="sandbox exchange")


def _issues(host: str, slot_minutes: int) -> list[Issue]:
    issues = loopback_issues(host, where="sandbox exchange")
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
