"""The command `slotfeed doctor`."""

import asyncio
from collections import Counter
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from flows import screens

File = Annotated[Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.")]
AsJson = Annotated[bool, typer.Option("--json", help="For other programs.")]
COLOURS = {"fine": "green", "notice": "yellow", "fault": "red", "not tried": "dim"}


def doctor(community: File = Path("community.yaml"), as_json: AsJson = False) -> None:
    """Try everything that a feed needs, live, and say what to do; exit 1 if something is at fault."""
    from flows.doctor import Found, Look, examine
    from flows.doctor_prefect import look_at_prefect

    async def look() -> list[Look]:
        return [*await examine(community), *await look_at_prefect(slot_length=_slot_length(community))]

    looks = asyncio.run(look())
    if as_json:
        screens.show_json({"looks": [asdict(one) for one in looks]})
    else:
        for one in looks:
            colour = COLOURS[one.found.value]
            screens.out.print(
                f"[{colour}]{one.found:<9}[/] [bold]{escape(one.what)}[/]: {escape(one.told)}", soft_wrap=True
            )
            if one.remedy:
                screens.out.print(f"          [dim]->[/] {escape(one.remedy)}", soft_wrap=True)
        counted = Counter(one.found for one in looks)
        told = ", ".join(f"{counted[found]} {found}" for found in Found if counted[found])
        screens.out.print(f"[bold]{told}[/]")
    if any(one.found is Found.FAULT for one in looks):
        raise typer.Exit(1)


def _slot_length(community: Path) -> timedelta:
    """The community's; the exchange's own where its file is at fault, which is told by then."""
    from pipelines.check import read_community
    from pipelines.errors import SlotfeedError

    try:
        return read_community(community).slot_length
    except SlotfeedError:
        return timedelta(minutes=15)
