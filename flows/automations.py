"""Prefect's automations for what the watch sees: who is told now, and who by day.

The watch's own messages (`watch: notify:`) need no automation. These are for who wants urgent troubles elsewhere than
the rest, by the rules of Prefect's page, or to be told by Prefect itself when runs no longer begin.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

import yaml
from prefect.client.orchestration import PrefectClient
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

from flows.notices import BEGAN, ENDED, LOOKED
from pipelines.errors import ConfigurationError, Issue
from pipelines.metrics.overview import CAN_WAIT
from pipelines.watch import Kind

HEAD = """# Made by `slotfeed automations --output`. To create them: prefect automation create --from-file
# The blocks' ids are of the server that was asked; make the file anew for another.
"""

UNWATCHED = timedelta(hours=1)
"""The watch looks every 15 minutes. Ours."""

LATE = timedelta(minutes=30)
LATE_RUNS = 3
"""So many runs that no worker took in that time; one may be late. Ours."""

SUBJECT = "slotfeed, {{ event.resource.name }}: {{ event.resource['slotfeed.kind'] }} %s"
BODY = "{{ event.resource['slotfeed.subject'] }}\n{{ event.payload.told }}\n-> {{ event.payload.remedy }}"

OF_SLOTFEED = {"prefect.resource.id": "prefect.tag.slotfeed", "prefect.resource.role": "tag"}


def automations(*, urgent: Sequence[UUID], by_day: Sequence[UUID] = ()) -> list[AutomationCore]:
    """The automations.

    Args:
        urgent: blocks that carry messages to who is woken.
        by_day: the same to who reads by day; of none, these troubles are told to nobody.
    """
    wakes = [kind for kind in Kind if kind not in CAN_WAIT]
    found = [
        _of_events("slotfeed: act now", "Slots are lost, or soon will be.", wakes, BEGAN, urgent),
        _of_events("slotfeed: over", "What was urgent has ended.", wakes, ENDED, urgent),
        AutomationCore(
            name="slotfeed: nobody watches",
            description="No watch has looked for an hour: its schedule, the worker, the store, or Prefect itself.",
            trigger=EventTrigger(
                posture=Posture.Proactive,
                # Of any community: one that was given up would raise the alarm for ever.
                expect={LOOKED},
                threshold=1,
                within=UNWATCHED,
            ),
            actions=_messages(
                urgent,
                subject="slotfeed: nobody watches",
                body="It has not looked for an hour.\n-> slotfeed doctor: the store, a worker, the schedule of `watch`",
            ),
        ),
        AutomationCore(
            name="slotfeed: runs are late",
            description="Runs that nobody takes: no worker is there, or too few.",
            trigger=EventTrigger(
                posture=Posture.Reactive,
                expect={"prefect.flow-run.Late"},
                match_related=OF_SLOTFEED,
                threshold=LATE_RUNS,
                within=LATE,
            ),
            actions=_messages(
                urgent,
                subject="slotfeed: runs are late",
                body="No worker takes the runs.\n-> prefect worker start --pool slotfeed",
            ),
        ),
    ]
    if by_day:
        later = "Nothing gets worse until somebody looks."
        found.append(_of_events("slotfeed: look by day", later, CAN_WAIT, BEGAN, by_day))
    return found


def as_file(made: Iterable[AutomationCore]) -> str:
    """The automations as YAML, as `prefect automation create --from-file` reads it."""
    listed = [one.model_dump(mode="json", exclude_unset=False, exclude_none=True) for one in made]
    return HEAD + yaml.safe_dump({"automations": listed}, sort_keys=False, width=120, allow_unicode=True)


async def apply(client: PrefectClient, made: Iterable[AutomationCore]) -> dict[str, str]:
    """Create them at the server; those of the same name take the new form. What somebody paused there stays paused.

    Returns:
        Name -> `created` or `updated`.
    """
    done = {}
    for one in made:
        standing = await client.read_automations_by_name(one.name)
        if standing:
            await client.update_automation(standing[0].id, one.model_copy(update={"enabled": standing[0].enabled}))
        else:
            await client.create_automation(one)
        done[one.name] = "updated" if standing else "created"
    return done


async def block_ids(client: PrefectClient, slugs: Iterable[str]) -> list[UUID]:
    """Ids of blocks that are named type/name.

    Raises:
        ConfigurationError: one isn't at the server.
    """
    found = []
    for slug in slugs:
        kind, _, name = slug.partition("/")
        try:
            block = await client.read_block_document_by_name(name, kind, include_secrets=False)
        except ObjectNotFound:
            raise _fault(slug) from None
        found.append(block.id)
    return found


def _of_events(name: str, told: str, kinds: Iterable[Kind], end: str, blocks: Sequence[UUID]) -> AutomationCore:
    return AutomationCore(
        name=name,
        description=told,
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={f"slotfeed.{kind.value}.{end}" for kind in kinds},
            for_each={"prefect.resource.id", "slotfeed.kind", "slotfeed.subject"},
            threshold=1,
            within=timedelta(0),
        ),
        actions=_messages(blocks, subject=SUBJECT % end, body=BODY),
    )


def _messages(blocks: Sequence[UUID], *, subject: str, body: str) -> list[SendNotification]:
    return [SendNotification(block_document_id=block, subject=subject, body=body) for block in blocks]


def _fault(slug: str) -> ConfigurationError:
    return ConfigurationError(
        [
            Issue(
                where="Prefect",
                field=slug,
                problem="there is no such block",
                remedy="Make it in Prefect's page under Blocks, and name it as type/name: slack-webhook/ops",
            )
        ]
    )
