"""What `slotfeed serve` deploys: the entries of prefect.yaml, or those of `slotfeed deployments`, for given files."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from flows.fleet_deployments import fleet_yaml
from pipelines.errors import TerminalError

ROOT = Path(__file__).parents[1]
"""From which entrypoints such as `flows/feed.py:feed` are found."""

POOL = "slotfeed"


def entries_for_one(file: Path) -> str:
    """The deployments of prefect.yaml, with their schedules and limits, for one community file.

    Raises:
        TerminalError: this is no checkout, so there is no prefect.yaml.
    """
    source = ROOT / "prefect.yaml"
    if not source.is_file():
        raise TerminalError(f"{source} isn't there: serve from a checkout, or give files with --communities")
    found = yaml.safe_load(source.read_text(encoding="utf-8"))
    for entry in found["deployments"]:
        entry["parameters"]["community"] = str(file.resolve())
    return yaml.safe_dump(found, sort_keys=False)


def entries_for_many(patterns: Sequence[str]) -> str:
    """What `slotfeed deployments` writes for these files in one share; patterns stay patterns, but absolute."""
    return fleet_yaml([str(Path.cwd() / pattern) for pattern in patterns], shares=1)
