"""`slotfeed status`: the answer first, on one screen, for one community and for many."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.status_screen import HEIGHT, WIDTH, Standing, many, screen
from pipelines.metrics.overview import LastRun, Level, Matter, Overview
from tests.flows.places import FIRST_RUN, SLOT, Place

Command = Callable[..., tuple[int, str]]


def documented_keys() -> set[str]:
    """First column of the table of `--json`."""
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    rows = page.split("| key of `--json` | |\n|---|---|\n")[1].split("\n\n")[0].splitlines()
    return {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def at(moment: datetime) -> str:
    return moment.isoformat()


def test_the_first_line_says_whether_to_act_and_the_rest_where_it_stands(place: Place, slotfeed: Command) -> None:
    status, told = slotfeed("status", "--at", at(FIRST_RUN))
    assert (status, told.splitlines()[0]) == (0, "LOOK BY DAY: feed.none: no feed has run yet"), told
    for number in range(3):
        place.live_until(FIRST_RUN + number * SLOT)
        assert slotfeed("feed", "--at", at(FIRST_RUN + number * SLOT))[0] == 0
    # Ten minutes into the slot that the second feed sent.
    later = FIRST_RUN + 2 * SLOT + timedelta(minutes=8)
    place.live_until(later)
    assert slotfeed("reconcile", "--at", at(later))[0] == 0
    assert slotfeed("watch", "--at", at(later))[0] == 0
    lines = slotfeed("status", "--at", at(later))[1].splitlines()
    assert lines[0] == "FINE: nobody has to act"
    assert lines[1] == "LV1.111 community, rest, 36 live assets, Sun 2016-10-30 00:25 CEST"
    assert lines[3] == "slot 00:15 36 of 36 values at the exchange; of the coming one 36"
    # 36 assets have had slots 00:00 and 00:15; of the first the exchange has told.
    assert "72 slots: 36 confirmed, 36 accepted" in lines[4]
    assert "0 slots differ; all read back" in lines[6]
    assert [line.split()[0] for line in lines[9:13]] == ["feed", "reconcile", "watch", "quality"]
    assert lines[9].startswith("feed       ok, 00:17 (8 min ago), took ")
    assert lines[12] == "quality    never"

    # An hour without a feed, and nobody who watches.
    lines = slotfeed("status", "--at", at(later + timedelta(hours=2)))[1].splitlines()
    assert lines[0].startswith("ACT NOW: feed.missing (and ")
    told = "\n".join(lines)
    assert "-> See that Prefect's server and a worker run" in told
    assert "0 of 36 values at the exchange" in told
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) < HEIGHT

    document = json.loads(slotfeed("status", "--json", "--at", at(later + timedelta(hours=2)))[1])
    assert (document["schema"], document["act"], document["community"]) == (1, "act", "LV1.111 community")
    assert [one["name"] for one in document["matters"] if one["level"] == "act"][:2] == [
        "feed.missing",
        "slot.undelivered",
    ]
    assert "watch.missing" in [one["name"] for one in document["matters"]]
    assert document["delivery"]["slot"] == "2016-10-30T00:15:00Z"
    assert (document["delivery"]["live"], document["delivery"]["taken"]) == (36, 0)
    assert document["submissions"]["forecast"]["confirmed"] == 36
    assert set(document) == documented_keys() - {"communities"}

    # Many: what can't be read stands first and is no matter to the others.
    (place.folder / "broken.yaml").write_text("community: [")
    status, told = slotfeed("status", "--communities", place.folder / "*.yaml", "--at", at(later))
    lines = told.splitlines()
    assert (status, lines[0]) == (0, "ACT NOW: 1 community now, 0 by day, of 2")
    assert lines[3].startswith("ACT  ")
    assert "broken.yaml" in lines[3]
    assert lines[4].split() == ["fine", "LV1.111", "community", "36/36", "0", "0", "nobody", "has", "to", "act"]
    assert max(map(len, lines)) <= WIDTH
    found = json.loads(slotfeed("status", "--communities", place.folder / "*.yaml", "--json", "--at", at(later))[1])
    assert {Path(one["file"]).name: one["act"] for one in found["communities"]} == {
        "broken.yaml": "act",
        "community.yaml": "fine",
    }
    assert set(found) == {"schema", "act", "at", "communities"}


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def troubled(name: str, matters: int) -> Overview:
    """A community whose names and figures are as long as they come."""
    matter = Matter(
        level=Level.ACT,
        name="asset.undelivered",
        subject=f"asset '{'Flat ' * 30}' (5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1)",
        told="none of the last 4 slots reached the exchange: " + "no " * 60,
        remedy="Read what the exchange says of the asset, then compare its uuid with the registry " * 2,
        since=NOON - timedelta(days=3),
    )
    run = LastRun(
        flow="feed", share="100/100", outcome="incomplete", started_at=NOON, logical_time=NOON, seconds=1e5, problems=()
    )
    figures = {
        ("assets", "true"): 100_000.0,
        ("assets", "false"): 100_000.0,
        ("slot_values_taken", "present"): 99_999.0,
        ("slots_expected",): 9_600_000.0,
        ("submissions_waiting", "no"): 9_600_000.0,
        ("discrepancies_open", "a cause that has many words to tell of itself"): 9_600_000.0,
        ("disk_free_bytes", "/srv/" + "folder/" * 20): 1e12,
        **{("slots", "forecast", state): 9_600_000.0 for state in ("confirmed", "accepted", "rejected", "expired")},
        **{("slots", "measurement", state): 9_600_000.0 for state in ("accepted", "rejected")},
        **{("source_newest_reading_timestamp_seconds", f"source_{n}" * 3): 1.7e9 + n for n in range(9)},
    }
    return Overview(
        name=name,
        simulation="s",
        protocol="batch",
        time_zone="Europe/Berlin",
        at=NOON,
        slot_length=SLOT,
        matters=(matter,) * matters,
        runs={"feed": run, "watch": run},
        figures=figures,
    )


@pytest.mark.parametrize("matters", [0, 1, 2, 50])
def test_the_screen_holds_whatever_comes(matters: int) -> None:
    lines = [line.plain for line in screen(troubled("Quartier \x1b[31m am Fluss " * 9, matters))]
    assert max(map(len, lines)) <= WIDTH
    # The shell's prompt has the last line.
    assert len(lines) < HEIGHT
    assert "\x1b" not in "".join(lines)
    shown = sum(line.startswith("ACT  ") for line in lines)
    left = next((int(line.split()[1]) for line in lines if line.startswith("and ")), 0)
    assert shown + left == matters
    assert shown >= min(matters, 1)


def test_many_communities_stand_with_the_urgent_first_and_those_that_are_fine_counted() -> None:
    fine = [
        Standing(file=f"{n}.yaml", overview=replace(troubled(f"Fine {n}", 0), figures={("assets", "true"): 3.0}))
        for n in range(40)
    ]
    bad = Standing(file="bad.yaml", overview=troubled("Bad", 2))
    away = Standing(file="away.yaml", overview=None, trouble="slotfeed's database can't be reached " * 5)
    lines = [line.plain for line in many([*fine[:20], bad, *fine[20:], away])]
    assert lines[0] == "ACT NOW: 2 communities now, 0 by day, of 42"
    assert [line[:4] for line in lines[3:6]] == ["ACT ", "ACT ", "fine"]
    assert lines[-1] == "and 25 more with which all is well"
    assert max(map(len, lines)) <= WIDTH
    assert many(fine)[0].plain == "FINE: nobody has to act"
