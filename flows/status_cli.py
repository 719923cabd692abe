"""`slotfeed status`: whether somebody must act, and where everything stands."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows import screens
from pipelines.errors import ConfigurationError, SlotfeedError

if TYPE_CHECKING:
    from flows.status_screen import Standing

File = Annotated[
    Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.", show_default=True)
]
Many = Annotated[
    list[str] | None, typer.Option(help="Community files, or patterns of them ('communities/*.yaml'): a line each.")
]
At = Annotated[str | None, typer.Option(help="Look as if it were this time; by default now.")]
Start = Annotated[str | None, typer.Option(help="First slot of a period whose sums to show: a date or a time.")]
End = Annotated[str | None, typer.Option(help="Its end, itself not included.")]
AsJson = Annotated[bool, typer.Option("--json", help="For other programs; docs/metrics.md has the keys.")]

SCHEMA = 1
"""Of the JSON: raised when a key goes or changes its meaning. Keys may be added."""

LAST_DAY = timedelta(hours=24)


def status(
    community: File = Path("community.yaml"),
    *,
    communities: Many = None,
    at: At = None,
    start: Start = None,
    end: End = None,
    as_json: AsJson = False,
) -> None:
    """Whether somebody must act and what for, and where everything stands: on one screen."""
    if communities:
        _show_many(communities, at, as_json=as_json)
    else:
        _show_one(community, at=at, start=start, end=end, as_json=as_json)


def _show_one(path: Path, *, at: str | None, start: str | None, end: str | None, as_json: bool) -> None:
    from flows.moments import parse_moment
    from flows.opened import open_community
    from flows.status_screen import screen
    from pipelines.clock import WallClock
    from pipelines.metrics.overview import overview
    from pipelines.report.status import status as sum_up

    found, store = open_community(path)

    def moment(text: str | None, option: str) -> datetime | None:
        return None if text is None else parse_moment(text, option=option, zone=found.community.time_zone)

    now = moment(at, "--at") or WallClock().now()
    first, last = moment(start, "--start"), moment(end, "--end")
    if not as_json and (first or last):
        screens.show_status(sum_up(store, found, start=first, end=last, now=now))
        return
    view = overview(store, found, path.resolve().parent, now=now)
    if not as_json:
        _print(screen(view))
        return
    sums = sum_up(store, found, start=first, end=last, within=LAST_DAY, now=now)
    screens.show_json({"schema": SCHEMA} | view.to_dict() | sums.to_dict())


def _show_many(patterns: list[str], at: str | None, *, as_json: bool) -> None:
    from flows.moments import parse_moment
    from flows.patterns import fitting_files
    from flows.status_screen import many
    from pipelines.clock import WallClock

    now = WallClock().now() if at is None else parse_moment(at, option="--at", zone="UTC")
    found = [_standing(file, now) for file in fitting_files(patterns)]
    if not as_json:
        _print(many(found))
        return
    level = max(one.level for one in found)
    screens.show_json(
        {
            "schema": SCHEMA,
            "act": level.name.lower(),
            "at": now.isoformat(),
            "communities": [_plain(one) for one in found],
        }
    )


def _standing(file: Path, now: datetime) -> "Standing":
    from flows.opened import closing_stores, open_community
    from flows.status_screen import Standing
    from pipelines.metrics.overview import overview

    try:
        with closing_stores():
            community, store = open_community(file)
            return Standing(file=str(file), overview=overview(store, community, file.resolve().parent, now=now))
    except ConfigurationError as error:
        return Standing(file=str(file), overview=None, trouble=error.issues[0].problem)
    except SlotfeedError as error:
        return Standing(file=str(file), overview=None, trouble=str(error))


def _plain(one: "Standing") -> dict[str, Any]:
    if one.overview is None:
        return {"file": one.file, "act": one.level.name.lower(), "trouble": one.trouble}
    return {"file": one.file, "community": one.overview.name, "trouble": None} | one.overview.to_dict()


def _print(lines: list[Any]) -> None:
    for line in lines:
        screens.out.print(line, no_wrap=True, overflow="ellipsis", crop=False, soft_wrap=False)
