"""What each command is called with where all is sound, and where everybody it asks complains.

The command line itself says which commands there are: one that stands in neither table is a failing test.
"""

from collections.abc import Iterator
from typing import Any

import typer

from flows.cli import app

AT = "2016-10-29T21:47Z"
NEXT = "2016-10-29T22:02Z"
EVENING = ("--start", "2016-10-29T20:00", "--end", "2016-10-30")
SATURDAY = ("--start", "2016-10-29", "--end", "2016-10-30")

Steps = list[tuple[str, tuple[str, ...], int]]
"""Command, its further arguments, and its exit status; in this order."""

SOUND: Steps = [
    ("init", ("new.yaml",), 0),
    ("aggregators create", ("Demo aggregator",), 0),
    ("aggregators list", (), 0),
    ("aggregators select", ("--all", "--yes"), 0),
    ("sources authorise", ("solaredge",), 0),
    ("sources list", (), 0),
    ("sources resume", ("inexogy",), 0),
    ("check", ("--connect",), 0),
    ("assets list", (), 0),
    ("assets sync", (), 0),
    ("backfill", (*EVENING, "--at", AT), 0),
    ("feed", ("--at", AT), 0),
    ("feed", ("--at", NEXT), 0),
    ("feed", ("--at", NEXT, "--dry-run"), 0),
    ("listen", ("--slots", "1"), 0),
    ("reconcile", ("--at", "2016-10-29T22:17Z"), 0),
    ("sources quota", (), 0),
    ("grid-fees", ("--dry-run", "--at", AT), 0),
    ("grid-fees show", ("--at", AT), 0),
    ("archive run", (), 0),
    ("archive list", (), 0),
    ("archive add", ("results.zip",), 0),
    ("archive verify", (), 0),
    ("quality", ("--at", "2016-10-31T08:00+01:00"), 0),
    ("findings", ("--most", "3"), 0),
    ("checks", (), 0),
    ("backtest", ("--dry-run",), 1),  # a day is too little for one
    ("report", ("--output", "report.html"), 0),
    ("profiles export", ("--all", "--days-complete-only", *SATURDAY), 1),  # no day in UTC is whole
    ("quarantine list", (), 0),
    ("quarantine discard", ("QUARANTINED", "--reason", "a storm"), 0),
    ("quarantine release", ("QUARANTINED", "--reason", "it was so"), 0),
    # The exchange's clock is years behind this machine's.
    ("doctor", ("--json",), 1),
    ("watch", ("--json",), 0),
    ("status", ("--json",), 0),
    ("commission", ("--all", "--json"), 1),
    ("metrics show", (), 0),
    ("metrics serve", ("--listen", "127.0.0.1:0"), 130),
    ("retention run", (), 0),
    ("retention status", (), 0),
    ("retention verify", (), 0),
    ("retention restore", SATURDAY, 0),
    ("retention compact", (), 0),
    ("backup", ("copy.sqlite", "--community", "small.yaml"), 0),
    ("fleet", ("watch", "community.yaml"), 0),
    ("deployments", ("community.yaml", "--output", "fleet.yaml"), 0),
    ("automations", ("--urgent", "slack-webhook/ops", "--output", "automations.yaml"), 0),
    ("aggregators unselect", ("--all",), 0),
    ("aggregators delete", ("Demo aggregator", "--yes"), 0),
]

NOT_SOUND = {
    "serve": "its processes are Prefect's own and flow runs: test_prefect_keeps_no_secret_of_runs_that_fail",
    "demo": "a minute of feeds in this process, the same story as `feed`, with a password that it makes itself",
    "sandbox exchange": "the scene's own exchange is its server, and its files and journal are looked through",
    "sandbox clouds": "the same; it writes nothing",
}

FAILS: Steps = [
    ("init", ("community.yaml",), 1),
    ("check", ("--connect",), 1),
    ("sources list", (), 1),
    ("sources authorise", ("solaredge",), 1),
    ("sources resume", ("nobody",), 1),
    ("sources quota", (), 0),
    ("assets list", (), 1),
    ("assets sync", (), 1),
    ("aggregators create", ("Demo aggregator",), 1),
    ("aggregators list", (), 1),
    ("aggregators select", ("--all", "--yes", "--aggregator", "Demo aggregator"), 1),
    ("aggregators unselect", ("--all", "--aggregator", "Demo aggregator"), 1),
    ("aggregators delete", ("Demo aggregator", "--yes"), 1),
    ("backfill", (*EVENING, "--at", AT), 1),
    ("feed", ("--at", AT), 1),
    ("feed", ("--at", AT, "--dry-run"), 1),
    ("listen", ("--slots", "1"), 130),
    ("reconcile", ("--at", NEXT, *SATURDAY), 0),
    ("grid-fees", ("--at", AT), 1),
    ("grid-fees show", ("--at", AT), 0),
    ("archive run", (), 1),
    ("archive list", (), 0),
    ("archive verify", (), 0),
    ("archive add", ("community.yaml",), 1),
    ("quality", ("--at", NEXT), 0),
    ("findings", (), 0),
    ("checks", (), 0),
    ("backtest", ("--dry-run",), 1),
    ("report", ("--output", "report.html"), 0),
    ("profiles export", ("--all", *SATURDAY), 1),
    ("quarantine list", (), 0),
    ("quarantine discard", ("1", "--reason", "none"), 1),
    ("quarantine release", ("1", "--reason", "none"), 1),
    ("doctor", ("--json",), 1),
    ("watch", ("--json",), 0),
    ("status", ("--json",), 0),
    ("commission", ("--all", "--json"), 1),
    ("metrics show", (), 0),
    ("metrics serve", ("--listen", "127.0.0.1:0"), 130),
    ("retention run", (), 0),
    ("retention status", (), 0),
    ("retention verify", (), 0),
    ("retention restore", SATURDAY, 0),
    ("retention compact", (), 0),
    ("backup", ("community.yaml",), 1),
    ("fleet", ("feed", "community.yaml", "--at", AT), 1),
    ("deployments", ("nowhere.yaml",), 1),
    ("automations", ("--urgent", "slack-webhook/ops"), 1),
    ("serve", (), 1),
    ("demo", ("--protocol", "none"), 1),
    ("sandbox exchange", ("--from", "community.yaml", "--fault", "do=drop asset=nobody", "--port", "0"), 1),
    ("sandbox clouds", ("--devices", "-1", "--port", "0"), 1),
]

WITHOUT_DATABASE = {
    "init": "asks nobody",
    "checks": "reads the file alone",
    "deployments": "reads the file alone",
    "automations": "asks Prefect alone",
    "serve": "asks Prefect alone",
    "demo": "has a database of its own",
    "sandbox exchange": "has a database of its own",
    "sandbox clouds": "has none",
    "archive list": "reads the archive's files alone",
    "archive verify": "reads the archive's files alone",
    "archive add": "looks at the download first",
    "metrics serve": "goes on, and tells a community that can't be read as `slotfeed_up 0`",
    "assets list": "asks the exchange alone",
    "assets sync": "asks the exchange alone",
    **dict.fromkeys(
        (f"aggregators {verb}" for verb in ("create", "list", "select", "unselect", "delete")),
        "asks the exchange alone",
    ),
}
"""Commands that don't open slotfeed's database, with the reason; all others meet one that is away."""


def commands() -> set[str]:
    """Every command there is, as it is typed."""
    return set(_commands(typer.main.get_command(app), ()))


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None or getattr(command, "invoke_without_command", False):
        yield " ".join(path)
    for name, one in (inner or {}).items():
        yield from _commands(one, (*path, name))
