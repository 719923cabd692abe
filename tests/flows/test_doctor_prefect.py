"""Deployments that are in each other's way, as doctor sees them."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prefect.client.schemas.responses import DeploymentResponse

from flows.doctor import Found
from flows.doctor_prefect import look_at_feeds
from flows.fleet_deployments import fleet_yaml, shares_yaml

ROOT = Path(__file__).parents[2]
SLOT = timedelta(minutes=15)


def deployment(entry: dict[str, Any], *, paused: bool = False) -> DeploymentResponse:
    [schedule] = entry["schedules"]
    when = {key: value for key, value in schedule.items() if key in {"interval", "anchor_date", "cron", "timezone"}}
    return DeploymentResponse.model_validate(
        {
            "id": uuid4(),
            "flow_id": uuid4(),
            "name": entry["name"],
            "entrypoint": entry["entrypoint"],
            "parameters": entry["parameters"],
            "paused": paused,
            "schedules": [{"id": uuid4(), "schedule": when, "active": schedule.get("active", True)}],
        }
    )


def feed(name: str, **parameters: Any) -> dict[str, Any]:
    schedule = {"interval": 900, "anchor_date": "2026-01-01T00:02:00+00:00", "timezone": "UTC"}
    return {"name": name, "entrypoint": "flows/feed.py:feed", "parameters": parameters, "schedules": [schedule]}


def rest(**parameters: Any) -> DeploymentResponse:
    entry = feed("feed-rest", **parameters) | {"entrypoint": "flows/feed.py:feed_rest"}
    return deployment(entry)


def told(*found: DeploymentResponse) -> list[tuple[Found, str]]:
    return [(look.found, look.told) for look in asyncio.run(look_at_feeds(found, slot_length=SLOT))]


def made(shares: int) -> list[DeploymentResponse]:
    return [deployment(entry) for entry in yaml.safe_load(shares_yaml(["c.yaml"], shares=shares))["deployments"]]


def test_what_slotfeed_makes_itself_is_well() -> None:
    assert told(*made(3)) == []
    found = [deployment(feed("feed", community="c.yaml")), deployment(feed("other", community="d.yaml"))]
    assert told(*found, rest(community="c.yaml", shares=1), rest(community="d.yaml", shares=1)) == []


def test_what_prefect_yaml_deploys_is_well() -> None:
    entries = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert told(*(deployment(entry) for entry in entries if entry.get("schedules"))) == []


def test_slots_that_nobody_saves_are_told() -> None:
    own = deployment(feed("feed", community="c.yaml"))
    lost = (Found.NOTICE, "no feed-rest of c.yaml: the slot of a run that dies is lost")
    assert told(own) == [lost]
    # Of another community, or paused, it is none.
    paused = deployment(
        feed("r", community="c.yaml", shares=1) | {"entrypoint": "flows/feed.py:feed_rest"}, paused=True
    )
    assert told(own, rest(community="d.yaml", shares=1), paused) == [lost]
    fleet = yaml.safe_load(fleet_yaml(["a/*.yaml"], shares=2))["deployments"]
    left = [one for one in fleet if one["name"] != "fleet-feed-rest"]
    assert told(*map(deployment, left)) == [
        (Found.NOTICE, "no feed-rest of a/*.yaml: the slot of a run that dies is lost")
    ]


def test_a_rest_of_another_number_of_shares_feeds_everything_again() -> None:
    [(found, words)] = told(*made(3), rest(community="c.yaml", shares=1))
    assert found is Found.FAULT
    assert words == "feed-rest parts c.yaml into 1, its feeds into 3: it feeds all assets once more in each slot"


def test_a_share_that_is_paused_or_absent_is_a_fault() -> None:
    found = made(3)
    assert told(*[one for one in found if one.name != "feed-c-2-of-3"]) == [
        (Found.FAULT, "nobody feeds share 2/3 of c.yaml")
    ]
    paused = [deployment(feed("a", community="c.yaml", share="1/2")), rest(community="c.yaml", shares=2)]
    paused.append(deployment(feed("b", community="c.yaml", share="2/2"), paused=True))
    assert told(*paused) == [(Found.FAULT, "nobody feeds share 2/2 of c.yaml")]


def test_shares_of_two_numbers_are_a_fault() -> None:
    [(found, words)] = told(*made(2), *made(3))
    assert found is Found.FAULT
    assert words.startswith("feeds part c.yaml into 2 and 3")


def test_two_deployments_of_one_community_are_told() -> None:
    twice = [deployment(feed(name, community="c.yaml")) for name in ("feed", "again")]
    [(found, words)] = told(*twice, rest(community="c.yaml", shares=1))
    assert found is Found.NOTICE
    assert words.startswith("again and feed feed the same, share 1/1 of c.yaml: nothing is sent twice")


@pytest.mark.parametrize(
    "schedule",
    [
        {"interval": 300, "anchor_date": "2026-01-01T00:02:00+00:00", "timezone": "UTC"},
        {"cron": "2,7 * * * *", "timezone": "UTC"},
    ],
)
def test_a_schedule_finer_than_the_slot_is_told(schedule: dict[str, Any]) -> None:
    entry = feed("feed", community="c.yaml") | {"schedules": [schedule]}
    [(found, words)] = told(deployment(entry), rest(community="c.yaml", shares=1))
    assert found is Found.NOTICE
    assert words.startswith("feed runs every 0:05:00, and a slot lasts 0:15:00")


def test_a_fleet_whose_second_share_nobody_carries() -> None:
    entries = yaml.safe_load(fleet_yaml(["a/*.yaml"], shares=2))["deployments"]
    assert told(*map(deployment, entries)) == []
    left = [one for one in entries if one["name"] != "fleet-feed-2-of-2"]
    assert told(*map(deployment, left)) == [(Found.FAULT, "nobody feeds share 2/2 of a/*.yaml")]
