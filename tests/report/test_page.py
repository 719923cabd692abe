import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipelines.errors import TerminalError
from pipelines.report.run import write_report
from pipelines.store import Store, open_store


def written(store: Store, day, path: Path, **changed) -> str:
    arguments = {"start": day.start, "end": day.end, "now": day.end + timedelta(hours=3)} | changed
    return write_report(store, day.community, path=path / "report.html", **arguments).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def real_page(make_real_day, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the day with its faults."""
    folder, day = tmp_path_factory.mktemp("page"), make_real_day()
    store = open_store(f"sqlite:///{folder / 'slotfeed.sqlite'}")
    day.write(store)
    page = written(store, day, folder)
    store.close()
    assert sorted(path.name for path in folder.glob("*report*")) == ["report.html"]
    return page


def body(page: str) -> str:
    """What stands on the page, without tags, scripts and styles."""
    visible = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", visible))


def tags(page: str) -> list[tuple[str, dict[str, str | None]]]:
    """The page's tags with their attributes, as a browser would find them."""
    found: list[tuple[str, dict[str, str | None]]] = []

    class Collector(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Collector().feed(page)
    return found


def island(page: str, name: str):
    """A JSON data block of the page."""
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page)[1])


def names_on(page: str) -> list[str]:
    """The charted assets, as the map names them."""
    return next(p["value"] for p in island(page, "specs")["map"]["params"] if p["name"] == "names")


def test_the_first_sentence_says_how_the_day_stands(real_page: str, real_day) -> None:
    text = body(real_page)
    assert (
        "All 3,600 slots of 36 assets are accounted for; 1 differs: Flat 20, Sun 30 Oct 2016 02:15 CET, late." in text
    )
    assert "Sun 30 Oct 2016 00:00 CEST to Mon 31 Oct 2016 00:00 CET (Europe/Berlin)" in text
    assert "2016-10-29 22:00 to 2016-10-30 23:00" in text
    known = sum(slot["energy_wh"] for slot in real_day.slots)
    used = sum(row["energy_wh"] for row in real_day.exchange)
    assert f"Energy here {known / 1000:,.1f} kWh {used / 1000:,.1f} kWh at the exchange" in text
    # Eight slots have no value, one is covered by half.
    assert "Backed by readings 99.7 % 9 of 3,600 slots not whole" in text
    # 3,599 of 3,600 must not be rounded to all.
    assert "Confirmed 99.9 % 3,599 of 3,600 slots" in text
    assert "Open differences 1 1 closed" in text
    assert "✕ No. 4 problems need somebody to act and 2 should be looked at." in text


def test_tables_tell_what_differs_and_what_to_do(real_page: str) -> None:
    text = body(real_page)
    assert "Flat 20 Sun 30 Oct 2016 02:15 CET 2016-10-30 01:15 UTC 31.25 777.5 late The reading of 01:45" in text
    assert "a forecast can&#39;t be corrected" in text
    assert "-12.5 Wh negative value of a one-way meter not_negative" in text
    assert (
        "99,999,999.0 Wh more power than the rating allows within_rated_power register falls register_not_falling"
        in text
    )
    assert "meters/M009/- unreadable 1.0 Wh time stamp can&#39;t be read key_not_null" in text
    assert "slotfeed quarantine release 1 --reason" in text


def test_suspects_stand_beside_the_quarantine_and_say_what_they_wait_for(
    sqlite_store: Store, make_day, tmp_path: Path
) -> None:
    day = make_day(8)
    day.quarantine(7, day.starts[5], verdict="suspect", broken="register_not_falling")
    day.write(sqlite_store)
    text = body(written(sqlite_store, day, tmp_path))
    assert "In quarantine 0 nothing waits for a decision, 1 suspect" in text
    assert "register falls register_not_falling suspect, waits for later readings slotfeed quarantine release 1" in text


def test_names_are_text_wherever_they_stand(sqlite_store: Store, make_day, tmp_path: Path) -> None:
    day = make_day(8)
    day.discrepancy(7, day.starts[5], evidence="</script><img src=x>", repair="<b>", diagnosis="<i>late")
    day.quarantine(7, day.starts[5], broken="</script><s>", unit="<u>")
    day.write(sqlite_store)
    page = written(sqlite_store, day, tmp_path)
    names = [tag for tag, _ in tags(page)]
    # The page's own four scripts, and nothing of what the data say.
    assert names.count("script") == 4
    assert not {"img", "b", "i", "s", "u"} & set(names)
    assert day.community.assets[7].name in names_on(page)


def test_the_page_is_one_small_file_that_fetches_nothing(real_page: str) -> None:
    assert len(real_page.encode()) < 2e6
    found = tags(real_page)
    linked = [value or "" for _, has in found for name, value in has.items() if name in {"src", "href"}]
    assert [link for link in linked if not link.startswith("#")] == ["data:,"]
    ids = [has["id"] for _, has in found if "id" in has]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in linked if link.startswith("#")} <= set(ids)
    policy = next(a["content"] for tag, a in found if tag == "meta" and "content" in a and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; ")


def test_slots_that_are_not_accounted_for_come_first(sqlite_store: Store, make_day, tmp_path: Path) -> None:
    day = make_day(4)
    day.submission(2, day.starts[7], state="accepted")
    day.drop(day.submissions, 3, day.starts[8])
    for index in range(20, 24):
        day.discrepancy(1, day.starts[index], diagnosis="late" if index < 23 else "missing")
    day.write(sqlite_store)
    text = body(written(sqlite_store, day, tmp_path))
    assert "398 of 400 slots of 4 assets are accounted for, 2 are not; 4 differ: late (3), missing (1)." in text
    assert "Flat 2 Sun 30 Oct 2016 01:45 CEST 2016-10-29 23:45 UTC accepted" in text
    assert "Flat 3 Sun 30 Oct 2016 02:00 CEST 2016-10-30 00:00 UTC not planned" in text


def test_a_day_without_a_fault_looks_like_one(sqlite_store: Store, make_day, tmp_path: Path) -> None:
    day = make_day(4)
    day.write(sqlite_store)
    text = body(written(sqlite_store, day, tmp_path))
    assert "✓ Yes. Nothing needs you. All 400 slots of 4 assets are accounted for; nothing differs." in text
    assert "Nothing. Every slot is backed by readings, every check holds, and the exchange has our values." in text
    assert "Every check that was run holds." in text
    assert "No discrepancies are open." in text
    assert "No reading is in quarantine." in text
    assert "Confirmed 100.0 %" in text


def test_an_empty_store_has_a_page(sqlite_store: Store, make_day, tmp_path: Path) -> None:
    page = written(sqlite_store, make_day(36), tmp_path)
    text = body(page)
    assert "slotfeed findings lists what broke a check in their history" in text
    assert "holds" not in text.split("How to read this")[0], "nothing was judged, so nothing is said to hold"
    assert "No asset is live yet; nothing is expected of the exchange." in text
    assert "No discrepancies are open." in text
    assert island(page, "specs") == {}


def test_what_is_not_over_is_left_out(sqlite_store: Store, make_day, tmp_path: Path) -> None:
    day = make_day(2)
    day.write(sqlite_store)
    page = written(sqlite_store, day, tmp_path, now=day.starts[40] + timedelta(minutes=5))
    assert "All 80 slots of 2 assets are accounted for; nothing differs." in body(page)
    assert len(island(page, "data")["cells"]["t"]) == 80
    before = written(sqlite_store, day, tmp_path, now=day.start)
    assert "No slot of the period is over yet." in body(before)


def test_measurements_that_stay_accepted_are_explained(sqlite_store: Store, make_day, tmp_path: Path) -> None:
    day = make_day(1, protocol="sdk")
    day.submissions += [row | {"quantity": "measurement", "state": "accepted"} for row in day.submissions]
    day.write(sqlite_store)
    text = body(written(sqlite_store, day, tmp_path))
    assert "a measurement stays accepted and is never confirmed; 100 measurements of this period stand so." in text
    assert "Protocol sdk" in text


def test_a_large_community_gets_a_page_of_bounded_size(sqlite_store: Store, make_day, tmp_path: Path) -> None:
    slots = make_day(1).starts[:4]
    day = make_day(300, slots)
    for n in range(250):
        day.discrepancy(n, slots[1], expected_wh=n)
        day.quarantine(n, slots[2])
    for row in day.exchange:
        if row["asset_id"] == day.uuid(299):
            row["energy_wh"] += 1e6
    day.write(sqlite_store)
    page = written(sqlite_store, day, tmp_path)
    text = body(page)
    assert "The 36 of 300 assets that need most attention." in text
    assert "and 50 discrepancies more" in text
    assert "and 50 readings more" in text
    assert len(island(page, "data")["cells"]["t"]) == 36 * 4
    assert len(page.encode()) < 2e6


def test_the_asset_that_deviates_most_comes_first(sqlite_store: Store, make_day, tmp_path: Path) -> None:
    day = make_day(40, make_day(1).starts[70:78])
    for row in day.exchange:
        if row["asset_id"] == day.uuid(33) and row["slot_start"] == day.starts[5]:
            row["energy_wh"] = None
        if row["asset_id"] == day.uuid(38):
            row["energy_wh"] += 1e4
    day.write(sqlite_store)
    names = names_on(written(sqlite_store, day, tmp_path))
    assert names[:2] == ["Flat 38", "Flat 33"]
    assert len(names) == 36


def test_assets_of_the_same_name_are_told_apart(sqlite_store: Store, make_day, tmp_path: Path) -> None:
    day = make_day(3)
    twin = day.community.assets[2].model_copy(update={"name": "Flat 1", "uuid": "abcdef01-2"})
    day.community = day.community.model_copy(update={"assets": (*day.community.assets[:2], twin)})
    for rows in (day.live, day.submissions, day.exchange, day.slots):
        for row in rows:
            row["asset_id"] = row["asset_id"].replace("00000000-0000-4000-8000-000000000002", "abcdef01-2")
    day.write(sqlite_store)
    names = names_on(written(sqlite_store, day, tmp_path))
    assert sorted(names) == ["Flat 0", "Flat 1 (00000000)", "Flat 1 (abcdef01)"]


def test_it_links_to_data_docs_where_there_are_some(sqlite_store: Store, make_day, tmp_path: Path) -> None:
    day = make_day(1, make_day(1).starts[:4])
    day.write(sqlite_store)
    assert "Data Docs" not in body(written(sqlite_store, day, tmp_path))
    assert 'href="elsewhere/index.html"' in written(sqlite_store, day, tmp_path, docs="elsewhere/index.html")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.html").touch()
    assert 'href="docs/index.html"' in written(sqlite_store, day, tmp_path)


def test_a_page_that_cannot_be_written_leaves_nothing_half(sqlite_store: Store, make_day, tmp_path: Path) -> None:
    day = make_day(1)
    (tmp_path / "folder" / "report.html" / "in the way").mkdir(parents=True)
    with pytest.raises(TerminalError, match=r"report\.html can't be written \(.+\); make room or choose another path"):
        written(sqlite_store, day, tmp_path / "folder")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["report.html"]
