"""The commands `slotfeed fleet` and `slotfeed deployments`."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows import screens


class Parted(StrEnum):
    """What shares are of."""

    COMMUNITIES = "communities"
    ASSETS = "assets"


Files = Annotated[list[str], typer.Argument(help="Community files, or patterns of them: 'communities/*.yaml'.")]
At = Annotated[str | None, typer.Option(help="Run as if it were this time, in UTC where it says nothing else.")]
Share = Annotated[str, typer.Option(help="Which part of the files, such as 2/3.")]
Shares = Annotated[int, typer.Option(min=1, max=100, help="Parts that as many workers carry side by side.")]
By = Annotated[Parted, typer.Option(help="What is parted: the communities, or the assets of each.")]
Output = Annotated[Path, typer.Option(help="The file to write.")]
What = Annotated[str, typer.Argument(help="feed, feed-rest, reconcile, quality, watch or retention.")]


def fleet(what: What, files: Files, share: Share = "1/1", at: At = None) -> None:
    """Do the same for many communities, in one process; exit 1 if one of them failed."""
    from flows.fleet import as_rows, members, run_fleet, summed_up
    from flows.moments import parse_moment

    moment = None if at is None else parse_moment(at, option="--at", zone="UTC")
    found = asyncio.run(run_fleet(what, members(files, share), at=moment))
    screens.show_rows(f"{what} of {len(found)} communities", as_rows(found), empty="No community is in this share")
    summed_up(found)


def deployments(
    files: Files, shares: Shares = 1, by: By = Parted.COMMUNITIES, output: Output = Path("prefect.fleet.yaml")
) -> None:
    """Write Prefect's deployments for several workers: many communities as a few runs, or one in shares."""
    from flows.fleet import members
    from flows.fleet_deployments import fleet_yaml, shares_yaml

    found = members(files)
    if by is Parted.ASSETS:
        text = shares_yaml([str(file) for file in found], shares=shares)
        words = f"{len(found)} communities, each in {shares} share(s) of its assets"
    else:
        text, words = fleet_yaml(files, shares=shares), f"{len(found)} communities in {shares} share(s)"
    output.write_text(text, encoding="utf-8")
    screens.out.print(
        f"Wrote {output}: {words}. Next, from this folder:\n  prefect deploy --all --no-prompt --prefect-file {output}",
        soft_wrap=True,
    )
