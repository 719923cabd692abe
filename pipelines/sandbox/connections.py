"""Closes a client's connection for good, which no ASGI message can ask a server to do."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

from starlette.types import Scope

HangUp = Callable[[Scope, bool], None]
"""Closes a request's connection; with True so that the client sees a reset (RST), else an end (FIN)."""

_LINGER_ZERO = struct.pack("ii", 1, 0)
"""SO_LINGER on, for zero seconds: the kernel ends the connection with RST in place of FIN (socket(7))."""


class Connections:
    """The open connections of a server, by the client's address."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def watched(self, protocol: type[asyncio.Protocol]) -> type[asyncio.Protocol]:
        """The server's protocol, whichever it is, with its connections entered here."""
        transports = self._transports

        class Watched(protocol):  # type: ignore[misc, valid-type]
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self._client = _address(transport.get_extra_info("peername"))
                transports[self._client] = cast("asyncio.Transport", transport)
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                transports.pop(self._client, None)
                super().connection_lost(exc)

        return Watched

    def hang_up(self, scope: Scope, reset: bool) -> None:
        """Close the connection of a request: with RST if `reset`, else with FIN."""
        transport = self._transports[_address(scope["client"])]
        if reset:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        transport.abort()


def refuse_to_answer(scope: Scope, reset: bool) -> None:  # noqa: ARG001 - the shape of HangUp
    """Hangs up where there is no connection: the caller in this process gets the error a socket would give.

    Raises:
        ConnectionResetError: always.
    """
    raise ConnectionResetError(f"The sandbox closed the connection of {scope['method']} {scope['path']}")


def _address(peer: Any) -> tuple[str, int]:  # noqa: ANN401 - a tuple of two or four, by address family
    return str(peer[0]), int(peer[1])
