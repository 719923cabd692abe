"""Starts the sandbox's exchange as a server, in a process of its own."""

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines.clock import Clock, FixedClock, WallClock
from pipelines.errors import ConfigurationError, Issue
from pipelines.sandbox.connections import Connections
from pipelines.sandbox.exchange.app import create_app
from pipelines.sandbox.exchange.ctn import AT_ONCE, TOKEN_LIFETIME, open_ctn
from pipelines.sandbox.exchange.engine.twin import Twin
from pipelines.sandbox.exchange.faults import Rule
from pipelines.sandbox.exchange.ways_in import read_origin
from pipelines.sandbox.listen import loopback_issues, serve_until_terminated, server_config

TOKEN_LIFETIME_S = TOKEN_LIFETIME.total_seconds()

TICK = timedelta(seconds=15)
"""gsy_framework/constants_limits.py:71."""

READY = "slotfeed sandbox exchange listening on "
"""The line that is printed once it accepts connections, before the URL."""


def run(
    *,
    source: Path,
    host: str = "127.0.0.1",
    port: int,
    username: str,
    password: str,
    database: Path | None = None,
    clock_start: datetime | None = None,
    tick_s: float | None = None,
    lead_s: float = 0,
    faults: Sequence[Rule] = (),
    token_lifetime_s: float = TOKEN_LIFETIME_S,
) -> None:
    """Serve until SIGTERM, then end the process with status 0. Prints one line once it accepts connections.

    Args:
        source: the file the twin is made of; see `ways_in`.
        host: a loopback address: the control paths ask for no token.
        port: 0 takes any free one; the line names it.
        username: of the one account.
        password: of the one account.
        database: SQLite file that outlives the process; None keeps everything in memory.
        clock_start: aware instant at which the sandbox's clock stands until PUT /sandbox/clock moves it;
            None lives by this machine's clock.
        tick_s: seconds between two ticks, at which commands are served; 0 serves them at once. Default: 15 by this
            machine's clock, 0 by a driven one.
        lead_s: seconds the engine is ahead of the clock.
        faults: rules in force from the start.
        token_lifetime_s: seconds a token is good for, by the sandbox's clock.

    Raises:
        ConfigurationError: the file or the settings are wrong, or the port is taken; lists every fault found.
    """
    issues = loopback_issues(host, where="sandbox exchange")
    try:
        origin = read_origin(source)
    except ConfigurationError as error:
        raise ConfigurationError([*issues, *error.issues]) from error
    issues += _strangers(faults, origin.twin)
    tick = (TICK if clock_start is None else AT_ONCE) if tick_s is None else timedelta(seconds=tick_s)
    issues += _wrong_times(tick, timedelta(seconds=lead_s), origin.twin.settings.slot_length)
    if issues:
        raise ConfigurationError(issues)
    clock: Clock = WallClock() if clock_start is None else FixedClock(clock_start)
    connections = Connections()
    ctn = open_ctn(
        twin=origin.twin,
        clock=clock,
        database=database,
        admin=(username, password),
        tick=tick,
        lead=timedelta(seconds=lead_s),
        token_lifetime=timedelta(seconds=token_lifetime_s),
        hang_up=connections.hang_up,
    )
    ctn.faults.replace(faults)
    for asset, text in origin.profiles.items():
        ctn.market.furnish(asset, text, "ENERGY_KWH", by=username, at=clock.now())
    config = server_config(create_app(ctn), connections, ws="websockets-sansio", lifespan="on")
    serve_until_terminated(config, host=host, port=port, ready=READY, where="sandbox exchange", farewell=ctn.finish)


def _strangers(faults: Sequence[Rule], twin: Twin) -> Iterator[Issue]:
    """Rules that would never meet anything."""
    known = {name for asset in twin.assets.values() for name in (asset.uuid, asset.name)}
    for rule in faults:
        if rule.asset is not None and rule.asset not in known:
            remedy = "Name an asset of the simulation by its uuid or name"
            yield Issue(where="sandbox exchange", field="fault", problem=f"no asset is {rule.asset!r}", remedy=remedy)


def _wrong_times(tick: timedelta, lead: timedelta, slot_length: timedelta) -> Iterator[Issue]:
    where = "sandbox exchange"
    if not timedelta(0) <= tick <= slot_length:
        problem = f"a tick of {tick.total_seconds():g} s doesn't fit a slot"
        yield Issue(where=where, field="tick", problem=problem, remedy="Take 15, or 0 to answer at once")
    if abs(lead) >= slot_length:
        problem = f"{lead.total_seconds():g} s are more than a slot"
        yield Issue(where=where, field="lead", problem=problem, remedy="Take some seconds, such as 7")


def main() -> None:
    """Run with the arguments of `run` as one JSON object on standard input, so that no password is seen in `ps`."""
    arguments: dict[str, Any] = json.load(sys.stdin)
    start, database = arguments.pop("clock_start", None), arguments.pop("database", None)
    try:
        run(
            source=Path(arguments.pop("source")),
            database=Path(database) if database else None,
            faults=[Rule.model_validate(rule) for rule in arguments.pop("faults", ())],
            clock_start=datetime.fromisoformat(start) if start else None,
            **arguments,
        )
    except ConfigurationError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
