"""The certificate's page and file: what it says, that it can't be forged by a word, and what a check of it finds."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from sqlalchemy import select

from pipelines.commission.page import page_name, read_content, render_page
from pipelines.commission.publish import write_certificates
from pipelines.commission.verify import verify
from pipelines.errors import TerminalError
from pipelines.store import CertificateRow, Store, table_of
from tests.commission.history import NOON, SLOT, History, Walker, community, energies
from tests.report.browsing import opened_in

EVIL = "<script>alert(1)</script>\"'&{{ 7 * 7 }}"


def proven(store: Store, name: str = "A", kind: str = "load") -> tuple[History, Walker]:
    history = History(store)
    start = history.day(name.lower(), [0.0] * 40 + energies(56))
    history.held(name.lower(), {start + 50 * SLOT: 110.014})
    walk = Walker(history, community((name, kind)))
    walk()
    return history, walk


def written(walk: Walker, folder: Path) -> Path:
    (page,) = write_certificates(walk.history.store, walk.community.assets, folder)
    return page.path


def looks(store: Store, page: Path) -> dict[str, bool]:
    return {look.what: look.good for look in verify(store, page)}


GOOD = {"file as written": True, "rows as hashed": True, "issued here": True, "rows unchanged": True}


def test_a_page_says_what_was_compared(sqlite_store: Store, tmp_path: Path) -> None:
    _, walk = proven(sqlite_store)
    page = written(walk, tmp_path / "new")
    text = page.read_text()
    for said in (
        "<strong>Proven.</strong> In 96 slots in a row",
        "0.014</span>",
        "Mon 02 Mar 2026 01:00 CET",  # 11:30 UTC the day before + 12.5 h
        "protocol sdk",
        "The exchange never shows the measurements",
        "96 measured",
        "0.02 Wh, or a millionth",
    ):
        assert said in text, said
    rows = [f"a|{slot}|{sent!r}|{held!r}\n" for slot, sent, held in (read_content(text) or {})["rows"]]
    assert len(rows) == 96
    assert "a|2026-03-02T00:00Z|110.0|110.014\n" in rows
    assert hashlib.sha256("".join(rows).encode()).hexdigest() in text
    assert looks(sqlite_store, page) == {**GOOD, "still holds": True}


def test_what_others_write_is_escaped(sqlite_store: Store, tmp_path: Path) -> None:
    _, walk = proven(sqlite_store, EVIL)
    page = written(walk, tmp_path)
    text = page.read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "{{ 7 * 7 }}" in text
    assert text.count("<script") == 1
    assert (read_content(text) or {})["document"]["asset"]["name"] == EVIL
    assert page.name.startswith("script-alert-1-script-7-7-")
    assert looks(sqlite_store, page)["file as written"]


def test_files_of_namesakes_and_of_odd_names_dont_meet() -> None:
    assert page_name("Roof", "a") != page_name("Roof", "b")
    for name in ("../../etc/passwd", "Größe/1", "...", "日本", "a" * 300):
        assert re.fullmatch(r"[a-z0-9-]+\.html", page_name(name, "u")), name
        assert len(page_name(name, "u")) < 60


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("56 different energies", "96 different energies", {"file as written"}),
        ("Proven.", "Proven!", {"file as written"}),
        ('"slots_with_energy":56', '"slots_with_energy":96', {"file as written", "issued here"}),
        ('"2026-03-02T00:00Z",110.0,', '"2026-03-02T00:00Z",99.0,', {"file as written", "rows as hashed"}),
        ('"rows":[[', '"rows":[7,[', {"file as written", "rows as hashed"}),
        ('"time_zone":"Europe/Berlin"', '"time_zone":"No/Where"', {"file as written", "issued here"}),
    ],
)
def test_a_file_that_was_changed_is_found_out(
    sqlite_store: Store, tmp_path: Path, old: str, new: str, wrong: set[str]
) -> None:
    _, walk = proven(sqlite_store)
    page = written(walk, tmp_path)
    changed = page.read_text().replace(old, new)
    assert changed != page.read_text()
    page.write_text(changed)
    assert {what for what, good in looks(sqlite_store, page).items() if not good} == wrong


def test_a_certificate_made_up_from_another_is_not_of_this_database(sqlite_store: Store, tmp_path: Path) -> None:
    _, walk = proven(sqlite_store)
    page = written(walk, tmp_path)
    content = read_content(page.read_text()) or {}
    content["document"]["number"] = "0123456789ab"
    page.write_text(render_page(content))
    found = looks(sqlite_store, page)
    assert found == {"file as written": True, "rows as hashed": True, "issued here": False}


def test_values_that_were_corrected_since_are_named(sqlite_store: Store, tmp_path: Path) -> None:
    history, walk = proven(sqlite_store)
    page = written(walk, tmp_path)
    changed = NOON - 10 * SLOT
    history.held("a", {changed: 1.0})
    found = {look.what: look for look in verify(sqlite_store, page)}
    assert found["rows as hashed"].good
    assert not found["rows unchanged"].good
    assert "1 slot of the period differ" in found["rows unchanged"].told
    assert "2026-03-02T09:30Z" in found["rows unchanged"].told
    assert "aren&#39;t those that were hashed" not in page.read_text()
    assert "hashed any more" in written(walk, tmp_path).read_text()


def test_a_suspended_certificate_says_until_when_it_held_and_its_successor_lists_it(
    sqlite_store: Store, tmp_path: Path
) -> None:
    history, walk = proven(sqlite_store)
    page = written(walk, tmp_path)
    end = NOON - 2 * SLOT
    history.submitted("a", [end], [5.0])
    history.differs("a", end, "sign")
    walk(now=NOON + SLOT)
    old = verify(sqlite_store, page)[-1]
    assert (old.what, old.good) == ("still holds", False)
    assert "it held until Mon 02 Mar 2026 12:30 CET: confirmed: slot" in old.told
    text = written(walk, tmp_path).read_text()
    assert "<strong>Suspended.</strong> It held until Mon 02 Mar 2026 12:30 CET." in text
    assert "sign: seen of sign" in text
    assert looks(sqlite_store, page) == {**GOOD, "still holds": False}

    slots = [end + (n + 1) * SLOT for n in range(96)]
    history.local("a", slots, energies(96))
    history.submitted("a", slots, energies(96))
    history.held("a", dict(zip(slots, energies(96), strict=True)))
    history.told("a", until=slots[-1] + 3 * SLOT)
    walk(now=slots[-1] + 3 * SLOT)
    text = written(walk, tmp_path).read_text()
    assert "<strong>Proven.</strong>" in text
    assert "Earlier certificates of this asset" in text
    with sqlite_store.reading() as connection:
        row = table_of(CertificateRow)
        first = connection.execute(select(row.c.number).order_by(row.c.issued_at)).scalars().first()
    assert f'<th scope="row">{first}</th>' in text
    assert "1 slot of this asset is listed as differing" in text


@pytest.mark.parametrize(
    "text",
    ["", "<html>no data</html>", '<script type="application/json" id="certificate">{}</script>',
     '<script type="application/json" id="certificate">[1]</script>',
     '<script type="application/json" id="certificate">{"document":{"format":2}}</script>',
     '<script type="application/json" id="certificate">' + "[" * 100_000 + "</script>"],
)  # fmt: skip
def test_what_is_no_certificate_is_refused(sqlite_store: Store, tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(text)
    with pytest.raises(TerminalError, match="certificate"):
        verify(sqlite_store, page)
    page.write_bytes(b"\xff\xfe")
    with pytest.raises(TerminalError, match="can't be read"):
        verify(sqlite_store, page)
    with pytest.raises(TerminalError, match="can't be read"):
        verify(sqlite_store, tmp_path / "none.html")


def test_data_of_a_page_reads_back_as_json(sqlite_store: Store, tmp_path: Path) -> None:
    _, walk = proven(sqlite_store)
    text = written(walk, tmp_path).read_text()
    found = re.search(r'id="certificate">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    assert json.loads(found.group(1))["document"]["period"] == {
        "start": "2026-03-01T11:30Z",
        "end": "2026-03-02T11:30Z",
    }


@pytest.mark.browser
@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 1200, "height": 900}},
        {"viewport": {"width": 340, "height": 700}, "color_scheme": "dark"},
    ],
    ids=["desktop", "dark phone"],
)
def test_it_opens_offline_and_fits(
    sqlite_store: Store, tmp_path: Path, browser: Browser, options: dict[str, object]
) -> None:
    _, walk = proven(sqlite_store, "Roof of an inn with a rather longwindedestablishmentsname")
    page = written(walk, tmp_path)
    with opened_in(browser, page, java_script_enabled=False, **options) as opened:
        assert "certificate of commissioning" in opened.page.locator("h1").inner_text()
        box = opened.page.locator("body").bounding_box()
        widest = max(
            one["x"] + one["width"]
            for one in (item.bounding_box() for item in opened.page.locator("main *:visible").all()[:120])
            if one
        )
        assert box is not None
        assert widest <= box["width"] + 1
        opened.page.locator("summary").click()
        assert opened.page.locator("tbody tr:visible").count() == 96
        bars = opened.page.locator(".plot .fill-known").get_attribute("d") or ""
        assert bars.count("M") == 56
