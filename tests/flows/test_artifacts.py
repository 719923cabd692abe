"""What a manager sees of a run in Prefect's page, also where the run came to nothing."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from flows import artifacts
from flows.artifacts import leave_feed, leave_watch
from flows.feed import feed_once
from flows.session import open_run
from flows.watch import watch_once
from pipelines.errors import AuthenticationError
from tests.flows.places import FIRST_RUN, SLOT, Place


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Key -> what was left under it last: words, or rows."""
    found: dict[str, Any] = {}

    async def leave(content: Any, *, key: str, description: str) -> None:
        found[key] = content
        found[f"{key} title"] = description

    monkeypatch.setattr(artifacts, "acreate_markdown_artifact", leave)
    monkeypatch.setattr(artifacts, "acreate_table_artifact", leave)
    return found


def test_a_refused_login_is_told_with_what_it_kept_from_being_sent_and_who_had_nothing_to_send(
    place: Place, left: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def feed() -> None:
        async with open_run("feed", place.file, at=FIRST_RUN, tell=leave_feed) as run:
            await feed_once(run)

    # A plant of which nothing is heard.
    place.file.write_text(place.file.read_text().replace("INV-03", "INV-93"))
    monkeypatch.setenv("SLOTFEED_EXCHANGE_PASSWORD", "of last year")
    with pytest.raises(AuthenticationError):
        asyncio.run(feed())
    words = left["feed-summary"].splitlines()
    assert words[0] == "**LV1.111 community**: sending did not come to its end"
    assert words[-1].startswith("- the run ended: login at 127.0.0.1: user name or password refused (401)")
    assert [row["state"] for row in left["feed-table"]] == ["pending"] * 35
    assert "- nothing to send for 1 live asset(s), silent or put aside: PV 3" in words


def test_the_watch_tells_since_when_and_what_to_do(place: Place, left: dict[str, Any]) -> None:
    async def look(at: datetime) -> None:
        async with open_run("watch", place.file, at=at, tell=leave_watch) as run:
            await watch_once(run)

    asyncio.run(look(FIRST_RUN))
    assert left["watch-summary"] == "**LV1.111 community**: nothing is wrong\n"
    place.live_until(FIRST_RUN + SLOT)
    asyncio.run(look(FIRST_RUN + timedelta(minutes=5)))
    words = left["watch-summary"].splitlines()
    assert words[0] == "**LV1.111 community**: one thing is wrong"
    assert words[2].startswith("- **clock.skewed**: this machine is 600 s behind the exchange")
    assert words[3] == (
        "    - since 2016-10-29 21:52 UTC. What to do: Let this machine's clock follow a time server (NTP)"
    )
