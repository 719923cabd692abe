"""What the exchange says over its websocket, as `slotfeed listen` shows it and as refusals keep it."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
from pydantic import SecretStr
from sqlalchemy import select
from sqlmodel import col

from flows.listen_cli import _line
from pipelines.clock import FixedClock
from pipelines.deliver import deliver
from pipelines.deliver.posting import Line
from pipelines.exchange import open_exchange
from pipelines.exchange.listener import Listener
from pipelines.exchange.messages import Answer
from pipelines.store import SubmissionRow
from tests.security.doors import NOW, PASSWORD, TOKEN, no_wait


async def test_an_answer_that_sends_back_what_it_was_sent_is_shown_without_it() -> None:
    def login(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"access": TOKEN})

    async with open_exchange(
        base_url="https://exchange.example",
        username=SecretStr("me"),
        password=SecretStr(PASSWORD),
        clock=FixedClock(NOW),
        concurrency=1,
        transport=httpx.MockTransport(login),
    ) as client:
        await client.connect()
        listener = Listener(client, url="wss://exchange.example/x/", slot_length=timedelta(minutes=15), sleep=no_wait)
        expected = listener.expect("batch_commands", "t-1")
        words = f"JWT {TOKEN} of {PASSWORD}: \x1b[2Jnot allowed"
        body = {"command": "batch_commands", "transaction_id": "t-1", "status": "error", "error_message": words}
        listener._take(json.dumps(body).encode())
        ((_, kept),) = listener._kept
        assert isinstance(kept, Answer)
        shown = _line(kept)
        assert TOKEN not in shown
        assert PASSWORD not in shown
        assert "\x1b" not in shown
        assert "not allowed" in shown
        # Who waits for it gets it as it came, and hides its words when it tells of them.
        heard = await expected.within(1)
        assert heard == body
        assert TOKEN not in client.hide(str(heard))


async def test_a_refusal_of_one_value_is_kept_without_what_it_sends_back(
    make_light_world: Callable[[str], Any], noon: datetime
) -> None:
    """In the outbox, where it stays: inside an answer that is a success as a whole."""
    world = make_light_world("batch")
    world.submit("load-1", noon + timedelta(minutes=15), 500.0)

    def answer(request: httpx.Request) -> httpx.Response:
        if "token" in request.url.path:
            return httpx.Response(200, json={"access": TOKEN})
        body = json.loads(request.content)
        words = f"not allowed for {request.headers['Authorization']} (hush)"
        told = {"command": "set_energy_forecast", "area_uuid": "load-1", "status": "error", "error_message": words}
        common = {"command": "batch_commands", "transaction_id": body["transaction_id"]}
        return httpx.Response(200, json={**common, "responses": {"load-1": [told]}})

    async with world.client(transport=httpx.MockTransport(answer)) as client:
        await deliver(world.store, world.community, client, line=Line(aggregator="agg"))
    with world.store.reading() as connection:
        (error,) = connection.execute(select(col(SubmissionRow.error))).scalars()
    assert "the exchange refuses it: not allowed for JWT *** (***)" in error
