"""The feed's process of `week.py`: runs the program's steps when it is told to, and tells how long they took.

It is asked and answers in lines of JSON. It is killed now and then, and knows nothing of it.
"""

import asyncio
import json
import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from flows import steps
from flows.session import Run
from pipelines.clock import RunningClock
from pipelines.community import Community
from pipelines.errors import SlotfeedError
from pipelines.settings import Secrets
from pipelines.store import Store, finish_run, open_store, start_run
from tests.benchmarks.week_place import PASSWORD, USERNAME


def main() -> None:
    """Serve until standard input ends."""
    os.environ |= {"SLOTFEED_EXCHANGE_USERNAME": USERNAME, "SLOTFEED_EXCHANGE_PASSWORD": PASSWORD}
    folder = Path.cwd()
    community = Community.model_validate_json((folder / "community.json").read_text())
    store = open_store(f"sqlite:///{folder / 'slotfeed.sqlite'}")
    for line in sys.stdin:
        asked = json.loads(line)
        at = datetime.fromisoformat(asked["at"])
        found = asyncio.run(_run(asked["command"], store, community, folder, at))
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


async def _run(command: str, store: Store, community: Community, folder: Path, at: datetime) -> dict[str, Any]:
    began = time.perf_counter()
    run = Run(
        community=community,
        folder=folder,
        secrets=Secrets(folder),
        store=store,
        clock=RunningClock(at),
        run_id=start_run(store, command, logical_time=at, now=at),
        now=at,
    )
    seconds: dict[str, float] = {}
    error = ""
    try:
        if command == "reconcile":
            await steps.reconcile(run)
        else:
            for step in (steps.collect, steps.validate, steps.convert, steps.deliver):
                seconds[step.__name__] = -time.perf_counter()
                try:
                    await step(run)
                finally:
                    seconds[step.__name__] += time.perf_counter()
    except SlotfeedError as failed:
        error = str(failed)
    outcome = "failed" if error else ("incomplete" if run.problems else "ok")
    finish_run(store, run.run_id, outcome=outcome, summary=run.summary, now=run.clock.now())
    return {
        "seconds": time.perf_counter() - began,
        "steps": seconds,
        "summary": run.summary,
        "error": error,
        "problems": run.problems[:3],
    }


if __name__ == "__main__":
    main()
