"""Incidents to people: events that automations wait for, and messages through Prefect's notification blocks."""

import inspect
from collections.abc import Sequence
from typing import Any

from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.events import emit_event

from pipelines.community import Community
from pipelines.plain import plain
from pipelines.watch import Incident, headline

BEGAN, ENDED = "began", "ended"
LOOKED = "slotfeed.watch.looked"
"""A watch has seen what there is to see: of a run that could not open the store nothing is told."""

SHOWN = 20


def event_name(incident: Incident) -> str:
    """Such as `slotfeed.asset.silent.began`; these names don't change."""
    return f"slotfeed.{incident.kind.value}.{BEGAN if incident.closed_at is None else ENDED}"


def emit_events(community: Community, incidents: Sequence[Incident]) -> None:
    """An event for each incident that began or ended."""
    for one in incidents:
        emit_event(
            event=event_name(one),
            resource={
                **_resource(community),
                "slotfeed.kind": one.kind.value,
                "slotfeed.subject": one.subject,
            },
            payload={"told": one.told, "remedy": one.remedy, "opened_at": one.opened_at.isoformat()},
        )


def emit_looked(community: Community) -> None:
    """An event for each look; an automation waits for it to stay away."""
    emit_event(event=LOOKED, resource=_resource(community))


def _resource(community: Community) -> dict[str, str]:
    section = community.community
    return {
        "prefect.resource.id": f"slotfeed.community.{section.simulation_uuid}",
        "prefect.resource.name": section.name,
    }


async def send_notices(community: Community, incidents: Sequence[Incident]) -> list[str]:
    """One message of all incidents through each block that the file names.

    Returns:
        What went wrong, a line for each block that failed.
    """
    subject, body = message(community, incidents)
    failed = []
    for slug in community.watch.notify:
        try:
            block: Any = await Block.aload(slug)
            if not isinstance(block, NotificationBlock):
                failed.append(f"notification: block '{slug}' of Prefect carries no messages")
                continue
            with block.raise_on_failure():
                sent = block.notify(body, subject=subject)
                if inspect.isawaitable(sent):
                    await sent
        except Exception as error:  # noqa: BLE001 - each block fails in a way of its own
            # Their texts may hold the address, which is often the key.
            failed.append(f"notification: block '{slug}' of Prefect failed ({type(error).__name__})")
    return failed


def message(community: Community, incidents: Sequence[Incident]) -> tuple[str, str]:
    """Subject and text of a message."""
    began = [one for one in incidents if one.closed_at is None]
    ended = [one for one in incidents if one.closed_at is not None]
    counts = [f"{len(part)} {word}" for part, word in ((began, BEGAN), (ended, ENDED)) if part]
    lines = [
        line for one in began[:SHOWN] for line in (plain(headline(one)), f"  {plain(one.told)}", f"  -> {one.remedy}")
    ]
    lines += [f"Ended: {plain(headline(one))}, since {one.opened_at:%Y-%m-%d %H:%M} UTC" for one in ended[:SHOWN]]
    more = max(0, len(began) - SHOWN) + max(0, len(ended) - SHOWN)
    if more:
        lines.append(f"and {more} more: slotfeed watch")
    return f"slotfeed, {community.community.name}: {', '.join(counts)}", "\n".join(lines)
