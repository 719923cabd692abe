"""`slotfeed listen`: what the exchange tells over its websocket, line by line, and the market's lead, kept."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows import screens

if TYPE_CHECKING:
    from pipelines.exchange.messages import Answer, MarketEvent


def listen(
    community: Annotated[
        Path, typer.Option("--community", "-c", envvar="SLOTFEED_COMMUNITY", help="The community file.")
    ] = Path("community.yaml"),
    slots: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many market events; default: at Ctrl-C.")
    ] = None,
) -> None:
    """Show what the exchange tells over its websocket, and keep how far its market is ahead of its clock."""
    from flows.listen import hear
    from flows.session import open_run

    async def story() -> None:
        async with open_run("listen", community, tell=screens.show_problems) as run:
            await hear(run, slots=slots, say=_say)

    asyncio.run(story())


def _say(message: "MarketEvent | Answer | str") -> None:
    line = message if isinstance(message, str) else _line(message)
    screens.out.print(line, markup=False, soft_wrap=True)


def _line(message: "MarketEvent | Answer") -> str:
    """One message on one line, without control signs: what the exchange writes must not steer the terminal."""
    from pipelines.exchange.messages import MarketEvent

    if not isinstance(message, MarketEvent):
        words = [_plain(message.body.get("status", "no status"))]
        words += [_plain(message.body[key]) for key in ("error_message", "message", "error") if message.body.get(key)]
        return f"answer  {_plain(message.command)} {_plain(message.transaction_id)}: {', '.join(words)}"
    slot = f" slot {message.slot:%Y-%m-%d %H:%M} UTC" if message.slot else ""
    done = f", {message.completion:g} % over" if message.completion is not None else ""
    lead = f", the market is {message.lead.total_seconds():+.1f} s ahead" if message.lead is not None else ""
    return f"{message.at:%H:%M:%S}  {_plain(message.event)}{slot}{done}{lead}"


def _plain(value: object) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in str(value)[:200])
