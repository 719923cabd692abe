"""How a server of the sandbox listens: on loopback only, with its own clock in the headers, until SIGTERM."""

import asyncio
import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

from pipelines.errors import ConfigurationError, Issue
from pipelines.sandbox.connections import Connections

KEEP_ALIVE_S = 75
"""Idle connections stay open that long, as behind nginx by default."""

DRAIN_S = 2
FAREWELL_S = 0.05
"""For the last words to leave before the connections are closed."""

BACKLOG = 1024


def server_config(
    app: ASGIApp,
    connections: Connections,
    *,
    ws: Literal["none", "websockets-sansio"] = "none",
    lifespan: Literal["off", "on"] = "off",
) -> uvicorn.Config:
    """Settings of the server, with every connection entered in `connections`."""
    config = uvicorn.Config(
        app,
        lifespan=lifespan,
        ws=ws,
        log_level="warning",
        access_log=False,
        date_header=False,  # the sandbox's own clock tells the date
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    config.load()
    logging.getLogger("uvicorn.error").addFilter(_no_fault)
    config.http_protocol_class = connections.watched(config.http_protocol_class)
    if config.ws_protocol_class is not None:
        # A connection that becomes a websocket changes hands, and is closed in the new ones.
        config.ws_protocol_class = connections.watched(config.ws_protocol_class)
    return config


def _no_fault(record: logging.LogRecord) -> bool:
    """Leave out what uvicorn says of every websocket that was refused on purpose."""
    return "without completing handshake" not in record.getMessage()


def serve_until_terminated(
    config: uvicorn.Config,
    *,
    host: str,
    port: int,
    ready: str,
    where: str,
    farewell: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM, then end the process with status 0. Prints one line once it accepts connections.

    Args:
        config: of the server.
        host: an IPv4 address.
        port: 0 takes any free one.
        ready: the line, before the URL.
        where: name of the server in errors.
        farewell: called before the connections are closed.

    Raises:
        ConfigurationError: the port is taken.
    """
    with listening(host, port, where=where) as listener:
        # uvicorn drains on SIGTERM and then raises it once more, for the handler that stood before.
        signal.signal(signal.SIGTERM, _leave)
        _Server(config, ready, farewell).run(sockets=[listener])


def listening(host: str, port: int, *, where: str) -> socket.socket:
    """A socket that listens; connections wait in it until a server takes them.

    Raises:
        ConfigurationError: the port is taken.
    """
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
            [Issue(where=where, field="port", problem=problem, remedy="Take another, or 0 for any free one")]
        ) from error
    return listener


def loopback_issues(host: str, *, where: str) -> list[Issue]:
    """What is wrong with the address to listen at: the control paths ask for no token."""
    if _is_loopback(host):
        return []
    remedy = "Take 127.0.0.1: whoever reaches it drives its clock and faults without a password"
    return [Issue(where=where, field="host", problem=f"{host} is no IPv4 loopback address", remedy=remedy)]


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: str, farewell: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._ready = ready
        self._farewell = farewell

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            address, port = listener.getsockname()[:2]
            sys.stdout.write(f"{self._ready}http://{address}:{port}\n")
            sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._farewell is not None:
            self._farewell()
            await asyncio.sleep(FAREWELL_S)
        await super().shutdown(sockets)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 4 and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
