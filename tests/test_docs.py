"""Every link of the pages leads somewhere: the file is there, and so is the heading."""

import re
import unicodedata
from pathlib import Path

import pytest
import yaml

from pipelines.metrics.overview import CAN_WAIT
from pipelines.watch.alarms import REMEDIES, Kind

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
ELSEWHERE = ("http://", "https://", "mailto:")


def without_code(text: str) -> str:
    """The text without blocks and spans of code, where brackets are no links."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """Headings as GitHub and MkDocs make anchors of them; of two alike, the second is left out."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = set()
    for heading in re.findall(r"^#+ +(.+?) *$", text, flags=re.MULTILINE):
        plain = unicodedata.normalize("NFKD", heading.replace("`", ""))
        found.add(re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower()))
    return found


def broken_links(page: Path) -> list[str]:
    broken = []
    for target in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        if target.startswith(ELSEWHERE):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# A `name`, told\n")
    page = tmp_path / "a.md"
    page.write_text("[1](b.md#a-name-told) [2](b.md#other) [3](c.md) [4](#nowhere) `[5](d.md)`\n")
    assert broken_links(page) == ["b.md#other", "c.md", "#nowhere"]


def test_each_page_stands_in_the_sites_navigation_once() -> None:
    site = yaml.safe_load((ROOT / ".mkdocs.yml").read_text(encoding="utf-8"))
    pages = [page for section in site["nav"] for pages in section.values() for page in pages]
    listed = [name for page in pages for name in (page.values() if isinstance(page, dict) else [page])]
    assert sorted(listed) == [str(page.relative_to(DOCS)) for page in PAGES]


def runbook() -> dict[str, str]:
    """Alarm -> its entry."""
    page = (DOCS / "watch.md").read_text(encoding="utf-8")
    [section] = re.findall(r"^## Runbook\n(.*?)^## ", page, re.DOTALL | re.MULTILINE)
    entries = re.split(r"^### `(.+)`\n", section, flags=re.MULTILINE)[1:]
    return dict(zip(entries[::2], entries[1::2], strict=True))


def test_the_runbook_has_an_entry_for_each_alarm_in_the_order_of_its_table() -> None:
    page = (DOCS / "watch.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[`(.+?)`\]\((#.+?)\) \| (now|by day) \|", page, re.MULTILINE)
    assert [name for name, _, _ in rows] == list(runbook()) == [kind.value for kind in Kind]
    assert {anchor for _, anchor, _ in rows} <= {f"#{one}" for one in anchors(DOCS / "watch.md")}
    # Who is woken by page and program alike.
    assert {name for name, _, when in rows if when == "by day"} == {kind.value for kind in CAN_WAIT}


@pytest.mark.parametrize("kind", Kind)
def test_each_entry_of_the_runbook_has_all_parts_and_commands_that_there_are(kind: Kind) -> None:
    entry = runbook()[kind.value]
    parts = re.findall(r"^- \*\*(.+?)\*\*: (.+)", entry, re.MULTILINE)
    assert [name for name, _ in parts] == ["Means", "Raised when", "Look first", "Do", "Over when", "Lost"]
    commands = re.findall(r"^## `(slotfeed .+?)`$", (DOCS / "commands.md").read_text(encoding="utf-8"), re.MULTILINE)
    named = re.findall(r"`(slotfeed [a-z][^`]*)`", " ".join(entry.split()))
    assert [one for one in named if not one.startswith(tuple(commands))] == []
    # What the alarm itself says to run stands in its entry too.
    told = re.findall(r"`(slotfeed [^`]+)`", REMEDIES[kind])
    assert [one for one in told if one not in " ".join(entry.split())] == []


def test_alerts_of_prometheus_lead_to_entries_of_the_runbook() -> None:
    alerts = (DOCS / "grafana" / "slotfeed-alerts.yaml").read_text(encoding="utf-8")
    assert alerts.count("""docs/watch.md#{{ reReplaceAll "[.]" "" $labels.alarm }}""") == 2
    listed = re.findall(r'slotfeed_incidents_open\{alarm=~"(.+?)"', alerts)
    kinds = [name for names in listed for name in names.split("|")]
    assert sorted(kinds) == sorted(kind.value for kind in Kind)
    assert {name.replace(".", "") for name in kinds} <= anchors(DOCS / "watch.md")


@pytest.mark.parametrize("name", ["operations.md", "failure-modes.md"])
def test_guides_name_alarms_and_tests_that_there_are(name: str) -> None:
    named = set(re.findall(r"`([a-z_]+\.[a-z]+)`", (DOCS / name).read_text(encoding="utf-8")))
    alarms = {one for one in named if not one.endswith((".yaml", ".service", ".py"))}
    assert alarms
    assert alarms <= set(Kind)
    tests = {one for one in named if one.endswith(".py")}
    assert tests <= {file.name for file in (ROOT / "tests").rglob("test_*.py")}


def test_each_picture_is_there_and_small() -> None:
    shown = {
        (page.parent / name).resolve()
        for page in PAGES
        for name in re.findall(r"!\[[^\]]+\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8")))
    }
    assert shown == set((DOCS / "images").iterdir())
    assert all(picture.stat().st_size <= 120_000 for picture in shown)


def test_compose_names_what_is_there() -> None:
    folder = DOCS / "production"
    text = (folder / "compose.yaml").read_text(encoding="utf-8")
    compose = yaml.safe_load(text)
    services = compose["services"]
    settable = set(re.findall(r"^([A-Z_]+)=", (folder / "env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\$\{([A-Z_]+)", text)) == settable
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        assert service["restart"] == ("no" if name == "deploy" else "unless-stopped"), name
        assert name == "deploy" or "healthcheck" in service, name
        assert not service["image"].endswith((":latest", "postgres")), name
    build = services["worker-1"]["build"]
    assert (folder / build["context"] / build["dockerfile"]).is_file()
    copied = re.findall(r"^COPY (.+) \S+$", (folder / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert all((ROOT / name).exists() for names in copied for name in names.split())
