"""The feed of `week.py` as its parent has it: a process that is asked, and killed."""

import json
import os
import select
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ANSWER_S = 900.0


class Feed:
    """The feed's process."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.week_feed"],
            cwd=folder,
            env={**_environment(), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, command: str, at: datetime, *, kill_after_s: float | None = None) -> dict[str, Any] | None:
        """Run a command; None: it was killed before it had ended.

        Raises:
            RuntimeError: it ended by itself, or doesn't answer.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, "at": at.isoformat()}) + "\n")
        self._process.stdin.flush()
        patience_s = ANSWER_S if kill_after_s is None else kill_after_s
        if not select.select([self._process.stdout], [], [], patience_s)[0]:
            self._process.kill()
            self._process.wait()
            if kill_after_s is None:
                raise RuntimeError(f"the feed's process doesn't answer to {command}")
            return None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the feed's process ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()


def _environment() -> dict[str, str]:
    return {**os.environ, "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
