"""Aggregators: who sends for which asset. Selecting is exclusive, and stops the exchange's own trading for the asset.

Paths and bodies are those of GSy's Python SDK 1.3; its replies count only if they hold `uuid` (create, delete) or
`aggregator_uuid` (select, unselect).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote
from uuid import uuid4

from pipelines.errors import RejectedError
from pipelines.exchange.client import ExchangeClient
from pipelines.exchange.wire import Request

TAKEN = re.compile(r"already have selected\s+([\w-]+)")
"""The engine's words for an asset that is with an aggregator already, and that one's uuid."""

SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Aggregator:
    """An aggregator of a simulation."""

    uuid: str
    name: str


async def list_aggregators(client: ExchangeClient, simulation: str) -> list[Aggregator]:
    """The aggregators that this login may use, by name.

    Raises:
        RejectedError: the answer isn't the list that GSy's client expects; errors of `ExchangeClient.get`.
    """
    step = "list of the aggregators"
    found = await client.get(_path(simulation, "list-aggregators/"), step=step)
    if not isinstance(found, list):
        raise RejectedError(f"{step}: expected a list, got {type(found).__name__}")
    aggregators = []
    for entry in found:
        uuid, name = (entry.get("uuid"), entry.get("name")) if isinstance(entry, Mapping) else (None, None)
        if not isinstance(uuid, str) or not uuid:
            raise RejectedError(f"{step}: an entry has no uuid: {client.hide(str(entry))[:80]}")
        aggregators.append(Aggregator(uuid=uuid, name=str(name or "")))
    return sorted(aggregators, key=lambda one: (one.name, one.uuid))


async def find_aggregator(client: ExchangeClient, simulation: str, name_or_uuid: str) -> Aggregator:
    """The aggregator with this uuid, or else the only one with this name.

    Raises:
        RejectedError: none, or several with this name: names aren't unique at the exchange.
    """
    known = await list_aggregators(client, simulation)
    by_uuid = [one for one in known if one.uuid == name_or_uuid]
    found = by_uuid or [one for one in known if one.name == name_or_uuid]
    if len(found) == 1:
        return found[0]
    if found:
        uuids = ", ".join(one.uuid for one in found[:SHOWN])
        raise RejectedError(f"{len(found)} aggregators are called '{name_or_uuid}': name the uuid instead ({uuids})")
    names = ", ".join(f"'{one.name}'" for one in known[:SHOWN]) or "none"
    raise RejectedError(
        f"the exchange has no aggregator '{name_or_uuid}' for this simulation; it has: {names}. "
        "Correct `exchange.aggregator`, or make one: slotfeed aggregators create NAME"
    )


async def create_aggregator(client: ExchangeClient, simulation: str, name: str) -> Aggregator:
    """Make an aggregator.

    Raises:
        RejectedError: there is one of that name, or the reply holds no `uuid`.
    """
    same = [one for one in await list_aggregators(client, simulation) if one.name == name]
    if same:
        raise RejectedError(f"there is an aggregator '{name}' already ({same[0].uuid}); use it, or take another name")
    uuid = await _ask(client, simulation, "create-aggregator", {"name": name}, holds="uuid", step=f"making '{name}'")
    return Aggregator(uuid=uuid, name=name)


async def delete_aggregator(client: ExchangeClient, simulation: str, aggregator: Aggregator) -> None:
    """Delete an aggregator; the assets that selected it are free again.

    Raises:
        RejectedError: refused, or the reply holds no `uuid`.
    """
    body = {"aggregator_uuid": aggregator.uuid}
    await _ask(client, simulation, "delete-aggregator", body, holds="uuid", step=f"deleting '{aggregator.name}'")


async def select_aggregator(
    client: ExchangeClient, simulation: str, aggregator: Aggregator, *, asset: str, name: str
) -> bool:
    """Let an asset be sent for by the aggregator.

    Args:
        client: connected.
        simulation: its uuid.
        aggregator: the one to select.
        asset: the asset's uuid.
        name: the asset's, for messages.

    Returns:
        Whether that is new; False: it was so already.

    Raises:
        RejectedError: the asset is with another aggregator, or the exchange refuses for another reason.
    """
    body = {"aggregator_uuid": aggregator.uuid, "device_uuid": asset}
    step = f"selecting '{aggregator.name}' for asset '{name}'"
    try:
        await _ask(client, simulation, "select-aggregator", body, holds="aggregator_uuid", step=step)
    except RejectedError as refused:
        taken = TAKEN.search(str(refused))
        if taken is None:
            raise
        if taken[1] == aggregator.uuid:
            return False
        raise RejectedError(
            f"{step}: the asset is with aggregator {taken[1]} already, and an asset has one at most. "
            f"Free it first: slotfeed aggregators unselect --aggregator {taken[1]} --asset '{name}'"
        ) from refused
    return True


async def unselect_aggregator(
    client: ExchangeClient, simulation: str, aggregator: Aggregator, *, asset: str, name: str
) -> None:
    """Free an asset from the aggregator.

    Raises:
        RejectedError: refused, or the reply holds no `aggregator_uuid`.
    """
    body = {"aggregator_uuid": aggregator.uuid, "device_uuid": asset}
    step = f"unselecting '{aggregator.name}' for asset '{name}'"
    await _ask(client, simulation, "unselect-aggregator", body, holds="aggregator_uuid", step=step)


async def _ask(
    client: ExchangeClient, simulation: str, what: str, body: Mapping[str, str], *, holds: str, step: str
) -> str:
    content = json.dumps({**body, "transaction_id": str(uuid4())}, separators=(",", ":")).encode()
    answer = await client.post(Request(path=_path(simulation, f"{what}/"), body=content), step=step, closes_at=None)
    value = answer.get(holds) if isinstance(answer, Mapping) else None
    if not isinstance(value, str) or not value:
        raise RejectedError(f"{step}: the exchange's reply holds no {holds}, so nothing was done")
    return value


def _path(simulation: str, what: str) -> str:
    return f"/external-connection/aggregator-api/{quote(simulation, safe='')}/{what}"
