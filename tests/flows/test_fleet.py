"""Many communities as one run: each comes through by itself."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import func, select, update
from sqlmodel import col

from flows.feed import feed, feed_rest, rest_once
from flows.fleet import STORIES, members
from flows.session import open_run, tell_nobody
from pipelines.check import read_community
from pipelines.deliver.outbox import LEASE
from pipelines.frames import State
from pipelines.settings import Secrets
from pipelines.shares import Share
from pipelines.store import RunRow, SubmissionRow, table_of
from pipelines.store.own import open_own_store
from tests.flows.places import Place
from tests.reliability.invariants import check_all
from tests.reliability.invariants import told as told_of
from tests.reliability.sight import seen

Command = Callable[..., tuple[int, str]]
AT = "2016-10-29T21:47Z"


@pytest.fixture
def three(place: Place) -> list[Path]:
    """Files of a community that is well, of one whose meters are away, and of one that is faulty."""
    text = place.file.read_text()
    texts = {
        "well": text.replace("slotfeed.sqlite", "well.sqlite"),
        "silent": text.replace("slotfeed.sqlite", "silent.sqlite").replace("meters.sqlite", "away.sqlite"),
        "faulty": text.replace("protocol:", "protokoll:"),
    }
    files = []
    for name, own in texts.items():
        files.append(place.folder / f"{name}.yaml")
        files[-1].write_text(own)
    return files


def runs(file: Path) -> list[tuple[str, str]]:
    store = open_own_store(read_community(file), file.parent, Secrets(file.parent))
    with store.reading() as connection:
        found = [(row.command, row.outcome) for row in connection.execute(select(RunRow.command, RunRow.outcome))]  # type: ignore[call-overload]
    store.close()
    return found


def states(file: Path) -> dict[str, int]:
    store = open_own_store(read_community(file), file.parent, Secrets(file.parent))
    with store.reading() as connection:
        state = col(SubmissionRow.state)
        found = dict(connection.execute(select(state, func.count()).group_by(state)).tuples().all())
    store.close()
    return found


def test_what_goes_wrong_with_one_is_no_matter_to_the_others(three: list[Path], slotfeed: Command) -> None:
    status, told = slotfeed("fleet", "feed", three[0].parent / "[wsf]*.yaml", "--at", AT)
    assert status == 1, told
    well, silent, _ = three
    assert states(well) == {State.ACCEPTED: 36}
    assert (runs(well), runs(silent)) == ([("feed", "ok")], [("feed", "incomplete")])
    assert "3 communities" in told
    assert "protokoll" in told
    assert f"{silent}" in told
    assert "away.sqlite" in told
    # Again: nothing is sent twice.
    assert slotfeed("fleet", "feed", well, "--at", AT)[0] == 0
    assert states(well) == {State.ACCEPTED: 36}


def test_shares_part_the_files_and_keep_each_where_it_is(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"community-{number}.yaml").touch()
    pattern = str(tmp_path / "*.yaml")
    shares = [members([pattern], f"{number}/3") for number in (1, 2, 3)]
    assert sorted(file for share in shares for file in share) == sorted(tmp_path.iterdir())
    assert min(map(len, shares)) >= 5
    first = shares[0][0]
    (tmp_path / "community-99.yaml").touch()
    assert first in members([pattern], "1/3")
    # As another process sees it.
    code = f"from flows.fleet import members; print(len(members([{pattern!r}], '2/3')))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(told) == len(members([pattern], "2/3"))


def test_an_unknown_story_and_a_pattern_that_fits_nothing_are_told(slotfeed: Command, three: list[Path]) -> None:
    status, told = slotfeed("fleet", "fed", three[0])
    assert status == 1
    assert "a fleet can't do 'fed'" in told
    assert f"Known: {', '.join(STORIES)}" in told
    status, told = slotfeed("fleet", "feed", "nowhere/*.yaml")
    assert (status, "no file fits 'nowhere/*.yaml'" in told) == (1, True), told


def test_deployments_of_a_fleet(three: list[Path], slotfeed: Command, place: Place) -> None:
    status, told = slotfeed("deployments", "*.yaml", "--shares", "2")
    assert status == 0, told
    assert "prefect deploy --all --no-prompt --prefect-file prefect.fleet.yaml" in told
    entries = yaml.safe_load((place.folder / "prefect.fleet.yaml").read_text())["deployments"]
    by_name = {one["name"]: one for one in entries}
    others = {"fleet-feed-rest", "fleet-watch", "fleet-reconcile", "fleet-quality", "fleet-retention"}
    assert set(by_name) == {"fleet-feed-1-of-2", "fleet-feed-2-of-2", *others}
    assert {one["parameters"]["what"] for one in entries} == set(STORIES)
    # Started as the runs of one community are.
    alone = yaml.safe_load((Path(__file__).parents[2] / "prefect.yaml").read_text())["deployments"][0]["work_pool"]
    assert all(one["work_pool"] == alone for one in entries)
    assert by_name["fleet-feed-2-of-2"]["parameters"] == {"communities": ["*.yaml"], "what": "feed", "share": "2/2"}
    starts = [started(by_name[f"fleet-feed-{n}-of-2"]) for n in (1, 2)]
    assert timedelta(minutes=2) <= starts[0] < timedelta(minutes=2, seconds=20)
    assert starts[1] - starts[0] == timedelta(seconds=20)
    # What was leased two minutes into the slot is free when the rest is carried, and seen to by the watch after that.
    assert starts[1] + LEASE < started(by_name["fleet-feed-rest"]) < started(by_name["fleet-watch"])


def test_deployments_of_one_community_in_shares(place: Place, slotfeed: Command) -> None:
    status, told = slotfeed("deployments", "community.yaml", "--shares", "3", "--by", "assets")
    assert status == 0, told
    entries = yaml.safe_load((place.folder / "prefect.fleet.yaml").read_text())["deployments"]
    by_name = {one["name"]: one for one in entries}
    feeds = [f"feed-community-{number}-of-3" for number in (1, 2, 3)]
    assert [by_name[name]["parameters"]["share"] for name in feeds] == ["1/3", "2/3", "3/3"]
    assert by_name["feed-rest-community"]["parameters"] == {"community": "community.yaml", "shares": 3}
    # They are parameters that the flows have.
    for name, flow in ((feeds[0], feed), ("feed-rest-community", feed_rest)):
        flow.validate_parameters(by_name[name]["parameters"])


def started(entry: dict[str, Any]) -> timedelta:
    """How far into its slot a deployment starts."""
    return datetime.fromisoformat(entry["schedules"][0]["anchor_date"]) - datetime(2026, 1, 1, tzinfo=UTC)


def test_the_rest_carries_what_no_feed_has_brought_to_its_end(place: Place, slotfeed: Command) -> None:
    assert slotfeed("feed", "--share", "2/3", "--at", AT)[0] == 0
    carried = states(place.file)
    part = {asset.asset_id for asset in Share(2, 3).part(place.community).assets}
    assert carried == {State.ACCEPTED: len(part)}
    assert 0 < len(part) < 36

    async def carry_the_rest() -> None:
        async with open_run("feed-rest", place.file, at=datetime.fromisoformat(AT), tell=tell_nobody) as run:
            await rest_once(run, shares=3)

    asyncio.run(carry_the_rest())
    assert states(place.file) == {State.ACCEPTED: 36}
    assert sorted(shares_of(place)) == ["1/3", "2/3", "3/3"]
    # Nothing is left, in this slot.
    asyncio.run(carry_the_rest())
    assert sorted(shares_of(place)) == ["1/3", "2/3", "3/3"]
    assert runs(place.file)[-1] == ("feed-rest", "ok")
    with place.store() as store:
        assert told_of(check_all(seen(place, store, kills=0))) == ""


def test_the_rest_carries_what_a_feed_left_behind_that_came_to_its_end(place: Place, slotfeed: Command) -> None:
    """A feed is begun again by hand while a dead one's values are leased: it ends well, and has sent nothing."""
    assert slotfeed("feed", "--at", AT)[0] == 0
    began = datetime.fromisoformat(AT)
    row = table_of(SubmissionRow)
    in_hand = {"state": State.SENDING.value, "leased_by": "dead", "leased_until": began + LEASE, "accepted_at": None}
    with place.store() as store, store.writing() as connection:
        first = connection.execute(select(row.c.asset_id).order_by(row.c.asset_id).limit(5)).scalars().all()
        connection.execute(update(row).where(row.c.asset_id.in_(first[:3])).values(**in_hand))
        given_back = {"state": State.PENDING.value, "leased_by": "", "leased_until": None, "accepted_at": None}
        connection.execute(update(row).where(row.c.asset_id.in_(first[3:])).values(**given_back))

    def carry_the_rest(after: timedelta) -> list[str]:
        place.live_until(began + after)

        async def carry() -> list[str]:
            async with open_run("feed-rest", place.file, at=began + after, tell=tell_nobody) as run:
                await rest_once(run)
            return list(run.summary["shares"])

        return asyncio.run(carry())

    # What was given back may leave at once, what is leased may not.
    assert carry_the_rest(timedelta(minutes=1)) == ["1/1"]
    assert states(place.file) == {State.ACCEPTED: 33, State.SENDING: 3}
    assert carry_the_rest(timedelta(minutes=2)) == []
    assert carry_the_rest(LEASE + timedelta(seconds=1)) == ["1/1"]
    assert states(place.file) == {State.ACCEPTED: 36}
    assert carry_the_rest(LEASE + timedelta(minutes=1)) == []


def shares_of(place: Place) -> list[str]:
    with place.store() as store, store.reading() as connection:
        return list(connection.execute(select(col(RunRow.share)).where(col(RunRow.command) == "feed")).scalars())


def test_a_share_beside_a_dry_run_is_refused(place: Place, slotfeed: Command) -> None:
    status, told = slotfeed("feed", "--share", "1/2", "--dry-run", "--at", AT)
    assert (status, "looks at all assets" in told) == (1, True)
