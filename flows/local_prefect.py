"""A Prefect server on loopback, for the demo's flow runs and the tests of the deployment."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from prefect.settings import PREFECT_API_URL, temporary_settings

from pipelines.errors import TerminalError

START_S = 120
"""An empty database takes the server 15 to 25 s on two cores."""

QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "PREFECT_LOGGING_LEVEL": "WARNING"}


def answers(url: str) -> bool:
    """Whether a Prefect server does, at this address of its API."""
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/health", timeout=5).is_success
    return False


@dataclass(frozen=True)
class PrefectServer:
    """A server that may still be starting."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Flow runs inside the block are this server's; waits until it answers."""
        self.wait()
        with temporary_settings({PREFECT_API_URL: self.url}):
            yield

    def flow_runs(self) -> list[str]:
        """Name and state of each flow run, in the order of their start."""
        answer = httpx.post(f"{self.url}/flow_runs/filter", json={"sort": "START_TIME_ASC"}, timeout=30)
        return [f"{run['name']} ({run['state_name']})" for run in answer.raise_for_status().json()]

    def wait(self) -> None:
        """Return once it answers.

        Raises:
            TerminalError: it ended, or took too long.
        """
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            if answers(self.url):
                return
            time.sleep(0.2)
        raise TerminalError(f"Prefect's server didn't start; its log: {self.log}")


@contextlib.contextmanager
def prefect_server(home: Path) -> Iterator[PrefectServer]:
    """Start a server with its own database in `home`; it ends with the block."""
    home.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = home / "server.log"
    url = f"http://127.0.0.1:{port}/api"
    # Its pages ask the server that they are of, not one on Prefect's usual port.
    environment = os.environ | QUIET | {"PREFECT_HOME": str(home), "PREFECT_UI_API_URL": url}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)  # noqa: S603 - own command
        try:
            yield PrefectServer(process=process, url=url, log=log)
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
