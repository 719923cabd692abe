"""What a protocol needs beside the HTTP client, opened: its aggregator, and the websocket that tells answers."""

import contextlib
from collections.abc import AsyncIterator

from pipelines.community import Community
from pipelines.deliver.posting import Line
from pipelines.exchange import PROTOCOLS, ExchangeClient
from pipelines.exchange.aggregators import find_aggregator
from pipelines.exchange.listener import aggregator_url, open_listener

CONNECT_S = 5.0
"""How long the websocket is waited for before the first post. The number is ours: without it delivery goes on, and
the replies to posts have to do."""


@contextlib.asynccontextmanager
async def open_line(client: ExchangeClient, community: Community) -> AsyncIterator[Line]:
    """The line of the community's protocol, for one run.

    Args:
        client: connected.
        community: names protocol, simulation and aggregator.

    Raises:
        RejectedError: the exchange has no such aggregator, or several.
        ExchangeUnavailable: it doesn't answer. A websocket that is away is no failure.
    """
    section, simulation = community.exchange, community.community.simulation_uuid
    if not PROTOCOLS[section.protocol].abilities.many_assets:
        yield Line()
        return
    aggregator = await find_aggregator(client, simulation, section.aggregator or "")
    url = aggregator_url(section, simulation, aggregator.uuid)
    async with open_listener(client, url=url, slot_length=community.slot_length) as listener:
        await listener.wait_connected(CONNECT_S)
        yield Line(aggregator=aggregator.uuid, listener=listener)
