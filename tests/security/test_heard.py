"""What the exchange says over its websocket, as `slotfeed listen` shows it and as refusals keep it."""

import json
from datetime import timedelta

import httpx
from pydantic import SecretStr

from flows.listen_cli import _line
from pipelines.clock import FixedClock
from pipelines.exchange import open_exchange
from pipelines.exchange.listener import Listener
from pipelines.exchange.messages import Answer
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
