"""Deployments of a fleet, as a file for `prefect deploy --all --prefect-file`."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

APART = timedelta(seconds=20)
"""Between the starts of two shares: they don't ask the same clouds and the same server at once. Ours."""

HEAD = """# Made by `slotfeed deployments`; make it anew when the number of workers changes.
# Deploy with `prefect deploy --all --no-prompt --prefect-file` and this file's name, then start as many workers:
#   prefect worker start --pool slotfeed --limit 2
"""

SLOT_S = 900


def fleet_yaml(files: Sequence[str], *, shares: int) -> str:
    """The file.

    Args:
        files: community files or patterns, as the workers find them.
        shares: into which the communities are parted; each has its own feed, the rest have one run for all.
    """
    entries = [_feed(files, number, shares) for number in range(1, shares + 1)]
    entries += [
        # Ten minutes into each slot, when feeds that began on time have ended.
        _entry("watch", files, "1/1", {"interval": SLOT_S, "anchor_date": _anchor(minutes=10)}),
        _entry("reconcile", files, "1/1", {"cron": "5 * * * *"}),
        _entry("quality", files, "1/1", {"cron": "40 4 * * *"}),
    ]
    return HEAD + yaml.safe_dump({"name": "slotfeed", "deployments": entries}, sort_keys=False, width=120)


def _feed(files: Sequence[str], number: int, shares: int) -> dict[str, Any]:
    start = _anchor(minutes=2, later=(number - 1) * APART)
    name = "feed" if shares == 1 else f"feed-{number}-of-{shares}"
    return _entry("feed", files, f"{number}/{shares}", {"interval": SLOT_S, "anchor_date": start}, name=name)


def _entry(
    what: str, files: Sequence[str], share: str, schedule: dict[str, Any], *, name: str | None = None
) -> dict[str, Any]:
    return {
        "name": f"fleet-{name or what}",
        "entrypoint": "flows/fleet.py:fleet",
        "tags": ["slotfeed"],
        "parameters": {"communities": list(files), "what": what, "share": share},
        # A run that piles up heals nothing that the next doesn't: any of them sends all that is due.
        "concurrency_limit": {"limit": 1, "collision_strategy": "CANCEL_NEW"},
        "schedules": [schedule | {"timezone": "UTC", "slug": "on-time"}],
        "work_pool": {"name": "slotfeed", "job_variables": {"env": {"DO_NOT_TRACK": "1"}}},
    }


def _anchor(*, minutes: int, later: timedelta = timedelta(0)) -> str:
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes) + later).isoformat()
