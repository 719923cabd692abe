"""`slotfeed watch` by hand, and messages through Prefect's blocks."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from pydantic import Field

from flows import notices
from flows.notices import event_name, message, send_notices
from pipelines.community import Community
from pipelines.watch import Incident, Kind, untold
from tests.conftest import small_community
from tests.flows.places import Place

Command = Callable[..., tuple[int, str]]
AT = "2016-10-29T21:47Z"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_what_is_wrong_is_shown_with_what_to_do_and_told_to_nobody(place: Place, slotfeed: Command) -> None:
    assert slotfeed("feed", "--at", AT)[0] == 0
    place.live_until(datetime(2016, 10, 29, 21, 55, tzinfo=UTC))
    status, told = slotfeed("watch", "--at", "2016-10-29T21:55Z")
    assert (status, "Nothing is wrong that the watch knows" in told) == (0, True), told
    place.live_until(datetime(2016, 10, 29, 22, 40, tzinfo=UTC))
    status, told = slotfeed("watch", "--at", "2016-10-29T22:40Z")
    assert status == 0, told
    assert "feed.missing, since 2016-10-29 22:40 UTC: the last was at 2016-10-29 21:47 UTC" in told
    assert "-> See that Prefect's server and a worker run" in told
    status, told = slotfeed("watch", "--at", "2016-10-29T22:55Z", "--json")
    [incident] = [one for one in json.loads(told)["incidents"] if one["kind"] == "feed.missing"]
    assert incident["opened_at"] == "2016-10-29T22:40:00+00:00"
    with place.store() as store:
        assert Kind.FEED_MISSING in [one.kind for one in untold(store)]


def test_a_clock_that_is_wrong_and_an_exchange_that_is_away(place: Place, slotfeed: Command) -> None:
    place.live_until(datetime(2016, 10, 29, 22, 0, tzinfo=UTC))
    status, told = slotfeed("watch", "--at", "2016-10-29T21:55Z")
    assert status == 0, told
    assert "clock.skewed" in told
    assert "300 s behind the exchange, more than the margin" in told
    place.file.write_text(
        place.file.read_text().replace(str(place.exchange.base_url).rstrip("/"), "http://127.0.0.1:9")
    )
    # Its silence is no skew; that nothing gets there is told by the slots.
    status, told = slotfeed("watch", "--at", "2016-10-29T22:56Z")
    assert status == 0, told
    assert "clock.skewed" not in told


def incident(number: int, *, ended: bool = False) -> Incident:
    return Incident(
        id=number,
        kind=Kind.ASSET_SILENT,
        subject=f"asset 'Flat {number}' (u-{number})",
        told="nothing new",
        opened_at=NOON,
        closed_at=NOON + timedelta(hours=1) if ended else None,
    )


def test_a_message_says_what_began_what_ended_and_what_to_do() -> None:
    subject, body = message(small_community("rest"), [incident(1), incident(2, ended=True)])
    assert subject == "slotfeed, Small: 1 began, 1 ended"
    assert body.splitlines() == [
        "asset.silent asset 'Flat 1' (u-1)",
        "  nothing new",
        "  -> See whether the meter is powered and connected; its forecasts repeat what it said last",
        "Ended: asset.silent asset 'Flat 2' (u-2), since 2026-03-02 12:00 UTC",
    ]
    assert event_name(incident(1)) == "slotfeed.asset.silent.began"
    assert event_name(incident(1, ended=True)) == "slotfeed.asset.silent.ended"


def test_a_message_of_many_stays_short() -> None:
    _, body = message(small_community("rest"), [incident(number) for number in range(300)])
    assert body.count("asset.silent") == notices.SHOWN
    assert body.splitlines()[-1] == "and 280 more: slotfeed watch"


class Carrier(NotificationBlock):
    """Takes messages, or fails."""

    fails: bool = False
    sent: list[tuple[str, str | None]] = Field(default_factory=list)

    async def notify(self, body: str, subject: str | None = None) -> None:
        if self.fails:
            raise RuntimeError("https://hooks.example/secret-key is away")
        self.sent.append((body, subject))


async def test_each_block_gets_the_message_and_a_failing_one_is_told_without_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocks: dict[str, Any] = {"carrier/good": Carrier(), "carrier/bad": Carrier(fails=True), "secret/no": Block()}

    async def load(slug: str) -> Any:
        return blocks[slug]

    monkeypatch.setattr(notices.Block, "aload", load)
    failed = await send_notices(_notifying("carrier/bad", "secret/no", "carrier/gone", "carrier/good"), [incident(1)])
    assert failed == [
        "notification: block 'carrier/bad' of Prefect failed (RuntimeError)",
        "notification: block 'secret/no' of Prefect carries no messages",
        "notification: block 'carrier/gone' of Prefect failed (KeyError)",
    ]
    [(body, subject)] = blocks["carrier/good"].sent
    assert (subject, body.startswith("asset.silent asset 'Flat 1'")) == ("slotfeed, Small: 1 began", True)


def _notifying(*slugs: str) -> Community:
    community = small_community("rest")
    return community.model_copy(update={"watch": community.watch.model_copy(update={"notify": slugs})})
