"""Deployments for several workers, as a file for `prefect deploy --all --prefect-file`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import yaml

from pipelines.shares import parts

APART = timedelta(seconds=20)
"""Between the starts of two shares: they don't ask the same clouds and the same server at once. Ours."""

REST = timedelta(minutes=9)
"""Into the slot, when what a dead worker had leased two minutes into it is free again
(`pipelines.deliver.outbox.LEASE`), and time is left to send it."""

HEAD = """# Made by `slotfeed deployments`; make it anew when the number of workers changes.
# Deploy with `prefect deploy --all --no-prompt --prefect-file` and this file's name, then start as many workers:
#   prefect worker start --pool slotfeed --limit 2
"""

COMMAND = """sh -c 'exec "$(tr "\\0" "\\n" < /proc/$PPID/cmdline | head -n 1)" -m prefect.engine'"""
"""Starts a run with the worker's own Python. Where none is given, the worker starts a process that starts it, and a run
begins two seconds later."""

SLOT_S = 900
Entry = dict[str, Any]


def fleet_yaml(files: Sequence[str], *, shares: int) -> str:
    """Many communities, each whole in one share.

    Args:
        files: community files or patterns, as the workers find them.
        shares: into which the communities are parted; each has its own feed, the rest have one run for all.
    """
    entries = []
    for place, share in enumerate(parts(shares)):
        name = "feed" if shares == 1 else f"feed-{share.number}-of-{shares}"
        schedule = _each_slot(timedelta(minutes=2) + _jitter(files) + place * APART)
        entries.append(_fleet("feed", files, str(share), schedule, name=name))
    entries.append(_fleet("feed-rest", files, "1/1", _each_slot(REST)))
    return _file(entries + _others(files))


def shares_yaml(files: Sequence[str], *, shares: int) -> str:
    """Each community in shares of its assets.

    Args:
        files: community files, as the workers find them.
        shares: into which the assets of each are parted; each has its own feed, the rest have one run for all.
    """
    entries = []
    for file in files:
        of = Path(file).stem
        for place, share in enumerate(parts(shares)):
            start = timedelta(minutes=2) + _jitter([file]) + place * APART
            parameters = {"community": file, "share": str(share)}
            name = f"feed-{of}-{share.number}-of-{shares}"
            entries.append(_entry(name, "flows/feed.py:feed", parameters, _each_slot(start)))
        rest = {"community": file, "shares": shares}
        entries.append(_entry(f"feed-rest-{of}", "flows/feed.py:feed_rest", rest, _each_slot(REST)))
    return _file(entries + _others(files))


def _others(files: Sequence[str]) -> list[Entry]:
    """What looks at whole communities; it needs no second worker."""
    return [
        # Eleven minutes into each slot, when feeds that began on time have ended, and those of dead workers, too.
        _fleet("watch", files, "1/1", _each_slot(timedelta(minutes=11))),
        _fleet("reconcile", files, "1/1", {"cron": "5 * * * *"}),
        _fleet("quality", files, "1/1", {"cron": "40 4 * * *"}),
        # Before quality, as in prefect.yaml.
        _fleet("retention", files, "1/1", {"cron": "50 2 * * *"}),
    ]


def _fleet(what: str, files: Sequence[str], share: str, schedule: Entry, *, name: str | None = None) -> Entry:
    parameters = {"communities": list(files), "what": what, "share": share}
    return _entry(f"fleet-{name or what}", "flows/fleet.py:fleet", parameters, schedule)


def _entry(name: str, entrypoint: str, parameters: Mapping[str, Any], schedule: Entry) -> Entry:
    return {
        "name": name,
        "entrypoint": entrypoint,
        "tags": ["slotfeed"],
        "parameters": dict(parameters),
        # A run that piles up heals nothing that the next doesn't: any of them sends all that is due.
        "concurrency_limit": {"limit": 1, "collision_strategy": "CANCEL_NEW"},
        "schedules": [schedule | {"timezone": "UTC", "slug": "on-time"}],
        "work_pool": {"name": "slotfeed", "job_variables": {"command": COMMAND, "env": {"DO_NOT_TRACK": "1"}}},
    }


def _jitter(files: Sequence[str]) -> timedelta:
    """Up to 19 s, always the same for the same files: installations all over don't ask one exchange at once."""
    return timedelta(seconds=int.from_bytes(blake2b("\n".join(files).encode(), digest_size=4).digest()) % 20)


def _each_slot(into: timedelta) -> Entry:
    return {"interval": SLOT_S, "anchor_date": (datetime(2026, 1, 1, tzinfo=UTC) + into).isoformat()}


def _file(entries: Sequence[Entry]) -> str:
    return HEAD + yaml.safe_dump({"name": "slotfeed", "deployments": list(entries)}, sort_keys=False, width=120)
