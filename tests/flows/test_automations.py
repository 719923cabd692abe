"""Prefect's automations: which troubles wake whom. A real server fires one in test_deployment.py."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import yaml
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.automations import as_file, automations
from flows.notices import LOOKED, event_name
from pipelines.watch import Incident, Kind

Command = Callable[..., tuple[int, str]]
PAGER, MAIL = UUID(int=1), UUID(int=2)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def events(one: AutomationCore) -> set[str]:
    assert isinstance(one.trigger, EventTrigger)
    return set(one.trigger.expect)


def told(one: AutomationCore) -> list[UUID]:
    return [action.block_document_id for action in one.actions if isinstance(action, SendNotification)]


def event(kind: Kind, *, ended: bool = False) -> str:
    """As the watch names it."""
    return event_name(Incident(id=1, kind=kind, subject="", told="", opened_at=NOON, closed_at=NOON if ended else None))


def test_every_trouble_reaches_exactly_one_reader_when_it_begins() -> None:
    made = {one.name: one for one in automations(urgent=[PAGER], by_day=[MAIL])}
    readers = {kind: [(one.name, told(one)) for one in made.values() if event(kind) in events(one)] for kind in Kind}
    assert all(len(found) == 1 for found in readers.values()), readers
    assert readers[Kind.SLOT_UNDELIVERED] == [("slotfeed: act now", [PAGER])]
    assert readers[Kind.ASSET_SILENT] == [("slotfeed: look by day", [MAIL])]
    # Who was woken hears that it is over; who wasn't, doesn't.
    ended = {kind for kind in Kind if event(kind, ended=True) in events(made["slotfeed: over"])}
    assert ended == {kind for kind in Kind if readers[kind][0][0] == "slotfeed: act now"}
    named = {name for one in made.values() for name in events(one) if name.startswith("slotfeed.")}
    assert named <= {LOOKED, *(event(kind, ended=end) for kind in Kind for end in (False, True))}


def test_each_incident_is_a_message_of_its_own() -> None:
    [urgent] = [one for one in automations(urgent=[PAGER, MAIL]) if one.name == "slotfeed: act now"]
    assert isinstance(urgent.trigger, EventTrigger)
    assert (urgent.trigger.threshold, urgent.trigger.within) == (1, timedelta(0))
    assert urgent.trigger.for_each == {"prefect.resource.id", "slotfeed.kind", "slotfeed.subject"}
    assert told(urgent) == [PAGER, MAIL]


def test_the_silence_of_the_watch_is_told_too() -> None:
    made = {one.name: one for one in automations(urgent=[PAGER])}
    assert "slotfeed: look by day" not in made
    silent = made["slotfeed: nobody watches"].trigger
    assert isinstance(silent, EventTrigger)
    # It fires where nothing comes. A watch that found problems has looked; one that could not open the store has not.
    assert silent.posture is Posture.Proactive
    assert silent.expect == {LOOKED}
    assert silent.within == timedelta(hours=1)
    deployed = yaml.safe_load((Path(__file__).parents[2] / "prefect.yaml").read_text())["deployments"]
    assert "watch" in {one["name"] for one in deployed}
    late = made["slotfeed: runs are late"].trigger
    assert isinstance(late, EventTrigger)
    assert all("slotfeed" in one["tags"] for one in deployed)
    assert isinstance(late.match_related, ResourceSpecification)
    tagged = {"prefect.resource.id": "prefect.tag.slotfeed", "prefect.resource.role": "tag"}
    assert late.match_related.model_dump() == tagged


def test_the_file_is_what_prefect_reads() -> None:
    made = automations(urgent=[PAGER], by_day=[MAIL])
    read = yaml.safe_load(as_file(made))["automations"]
    assert [AutomationCore.model_validate(one) for one in read] == made


def test_without_a_server_it_is_told_what_to_set(slotfeed: Command) -> None:
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        status, said = slotfeed("automations", "--urgent", "slack-webhook/ops")
    assert status == 1
    assert "PREFECT_API_URL" in said
