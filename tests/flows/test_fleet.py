"""Many communities as one run: each comes through by itself."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from sqlalchemy import func, select
from sqlmodel import col

from flows.fleet import STORIES, members
from pipelines.check import read_community
from pipelines.errors import ConfigurationError
from pipelines.frames import State
from pipelines.settings import Secrets
from pipelines.store import RunRow, SubmissionRow
from pipelines.store.own import open_own_store
from tests.flows.places import Place

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


@pytest.mark.parametrize("share", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_what_is_no_share_is_refused(share: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").touch()
    with pytest.raises(ConfigurationError, match="is no share"):
        members([str(tmp_path / "a.yaml")], share)


def test_an_unknown_story_and_a_pattern_that_fits_nothing_are_told(slotfeed: Command, three: list[Path]) -> None:
    status, told = slotfeed("fleet", "fed", three[0])
    assert (status, "a fleet can't do 'fed'" in told, "Known: feed, reconcile, quality, watch" in told) == (
        1,
        True,
        True,
    )
    status, told = slotfeed("fleet", "feed", "nowhere/*.yaml")
    assert (status, "no file fits 'nowhere/*.yaml'" in told) == (1, True), told


def test_deployments_of_a_fleet(three: list[Path], slotfeed: Command, place: Place) -> None:
    status, told = slotfeed("deployments", "*.yaml", "--shares", "2")
    assert status == 0, told
    assert "prefect deploy --all --no-prompt --prefect-file prefect.fleet.yaml" in told
    entries = yaml.safe_load((place.folder / "prefect.fleet.yaml").read_text())["deployments"]
    by_name = {one["name"]: one for one in entries}
    assert set(by_name) == {"fleet-feed-1-of-2", "fleet-feed-2-of-2", "fleet-watch", "fleet-reconcile", "fleet-quality"}
    assert {one["parameters"]["what"] for one in entries} == set(STORIES)
    assert by_name["fleet-feed-2-of-2"]["parameters"] == {"communities": ["*.yaml"], "what": "feed", "share": "2/2"}
    starts = [by_name[f"fleet-feed-{n}-of-2"]["schedules"][0]["anchor_date"] for n in (1, 2)]
    assert starts == ["2026-01-01T00:02:00+00:00", "2026-01-01T00:02:20+00:00"]
