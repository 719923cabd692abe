"""Runs that don't wait: called in a run's own process ahead of the command.

Waits between tries are written down in place of being waited, and what the program waits at most is made short. Nothing
of what it does otherwise is changed.
"""

import asyncio
import importlib
import os
import resource
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

SHORT_LEASE_S = 10
"""Of a run that `short_leases` makes."""


def hurry(waits: str) -> None:
    """Write each wait between two tries as a line of seconds into this file, and don't wait."""
    from flows.stopping import Stop  # noqa: PLC0415 - the program is imported in the run's own process

    sleep, pause = Stop.sleep, Stop.pause

    def note(seconds: float) -> None:
        with Path(waits).open("a") as file:
            file.write(f"{seconds}\n")

    async def brief_sleep(self: Stop, seconds: float) -> None:
        note(seconds)
        await asyncio.sleep(0)
        await sleep(self, 0)

    def brief_pause(self: Stop, seconds: float) -> None:
        note(seconds)
        pause(self, 0)

    Stop.sleep, Stop.pause = brief_sleep, brief_pause  # type: ignore[method-assign]


def lose_patience(read_s: float, request_s: float) -> None:
    """Wait so long between two bytes of an answer, and for a whole one, in place of half a minute and more."""
    from pipelines.collect.cloud import door  # noqa: PLC0415
    from pipelines.collect.cloud import http as cloud  # noqa: PLC0415
    from pipelines.exchange import client as exchange  # noqa: PLC0415

    timeout = httpx.Timeout(connect=5, read=read_s, write=5, pool=60)
    exchange.TIMEOUT = door.TIMEOUT = timeout
    exchange.REQUEST_S = cloud.REQUEST_S = request_s


def put(place: str, value: Any) -> None:
    """Put a value in the place of a module's own: `module:NAME`."""
    module, _, name = place.partition(":")
    assert hasattr(importlib.import_module(module), name), place
    setattr(importlib.import_module(module), name, value)


def limit_files(size: int) -> None:
    """No file may grow beyond so many bytes: what a full disk is, for whoever may not mount one."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def run_flow(api_url: str, community: str, at: str) -> None:
    """Be a flow run of Prefect's in place of a command, with its server at this address."""
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings  # noqa: PLC0415

    from flows.feed import feed  # noqa: PLC0415

    status = 0
    with temporary_settings({PREFECT_API_URL: api_url, PREFECT_CLIENT_MAX_RETRIES: 1}):
        try:
            asyncio.run(feed(community=community, at=datetime.fromisoformat(at)))
        except Exception as error:  # noqa: BLE001 - whatever Prefect makes of a server that is gone
            print(f"flow ended by {type(error).__name__}: {error}")  # noqa: T201 - its output is what is looked at
            status = 1
    sys.stdout.flush()
    os._exit(status)
