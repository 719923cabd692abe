"""What the site's pages say, read from the files."""

import logging
import re
from collections.abc import Callable
from html import unescape
from importlib import import_module
from pathlib import Path
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import polars as pl
import pytest

from expectations import slot_energy
from expectations.names import Suite
from pipelines.errors import TerminalError
from pipelines.validate.docs.pages import ResultsPage
from pipelines.validate.engine import broken_rows

Build = Callable[..., Path]
Frames = dict[Suite, pl.DataFrame]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def result_of(site: Path, suite: str) -> Path:
    (page,) = (site.parent / "validations" / suite).rglob("*.html")
    return page


def said(page: Path) -> str:
    """The page's text."""
    text = re.sub(r"<(style|title)>.*?</\1>", "", page.read_text(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def definition(*expectations: Any, columns: tuple[str, ...] = ("energy_wh",), name: str = "slot_energy") -> Any:
    """A stand-in for a module of `expectations`."""

    class Definition:
        COLUMNS = columns

        @staticmethod
        def suite() -> gx.ExpectationSuite:
            return gx.ExpectationSuite(name=name, expectations=list(expectations))

    return Definition


def test_pages_and_nothing_else_are_written_and_do_not_pile_up(build: Build, site: Path, frames: Frames) -> None:
    before = files(site.parent)
    assert len(before) == 7
    assert before[:4] == [
        "expectations/exchange_match.html",
        "expectations/readings.html",
        "expectations/slot_energy.html",
        "index.html",
    ]
    pages = {page: (site.parent / page).read_bytes() for page in before}
    assert build(site.parent, frames) == site
    assert {page: (site.parent / page).read_bytes() for page in files(site.parent)} == pages
    assert sum(map(len, pages.values())) < 250_000


def test_the_index_tells_each_suites_outcome(site: Path) -> None:
    index = said(site)
    assert "Failed Readings Each reading as it was collected" in index
    assert "Failed Slots Energy of each asset" in index
    assert "Succeeded Exchange Each asset's slots" in index
    assert "288 rows 97 broke an expectation 2 failed, 16 succeeded" in index
    assert "288 rows 2 broke an expectation" in index
    assert "288 rows 0 broke an expectation 8 succeeded" in index


def test_a_result_tells_the_check_and_the_rows_in_words(site: Path) -> None:
    page = said(result_of(site, "readings"))
    assert (
        "Value is there value_present VEE 4 A reading has a value: nothing is not zero. 1 of 288 rows (0.35 %)" in page
    )
    assert "<script>alert('x')</script> m/d1/- Mon 02 Mar 2026 10:00 CET" in page
    assert "Unit fits the kind unit_known VEE 16" in page
    assert "96 of 288 rows (33.33 %)" in page
    assert '86 more rows. Rows by asset: Bäckerei "Öfele" & $column_list (96).' in page
    slots = said(result_of(site, "slot_energy"))
    assert "Flat 1 Mon 02 Mar 2026 02:00 CET 108 0.5 0.999 Flat 1 Mon 02 Mar 2026 02:15 CET 109 0.5 0.999" in slots


def test_every_expectation_of_the_real_suites_stands_on_both_pages_with_its_sentence(site: Path) -> None:
    for suite in Suite:
        expectations = import_module(f"expectations.{suite.value}").suite().expectations
        for page in (site.parent / "expectations" / f"{suite.value}.html", result_of(site, suite.value)):
            text = said(page)
            for expectation in expectations:
                assert f"{expectation.meta['title']} {expectation.meta['check']}" in text
                assert expectation.description in text
            assert not re.search(r"\bexpect_|Expect[A-Z]|\*\*kwargs|Traceback", text)
            assert set(re.findall(r"\$\w+", text)) <= {"$name", "$column_list"}, "only what the names say"


def test_names_are_text_wherever_they_stand(site: Path) -> None:
    for path in site.parent.rglob("*.html"):
        page = path.read_text()
        assert "<script" not in page
        assert "<b>" not in page
        assert "Sonnen&lt;b&gt;hof&lt;/b&gt; &amp; $name" in page


def test_an_expectation_that_cannot_be_evaluated_is_an_error_and_no_failure(
    build: Build, frames: Frames, tmp_path: Path
) -> None:
    lost = gxe.ExpectColumnValuesToNotBeNull(
        column="<b>lost</b>", meta={"check": "zero_run"}, description="A sentence."
    )
    good = gxe.ExpectColumnValuesToNotBeNull(column="energy_wh", meta={"check": "slot_sound"}, description="Another.")
    some = {Suite.SLOT_ENERGY: frames[Suite.SLOT_ENERGY]}
    index = build(tmp_path / "docs", some, slot_energy=definition(lost, good))
    assert "Error Slots" in said(index)
    assert "1 not evaluated, 1 succeeded" in said(index)
    page = said(result_of(index, "slot_energy"))
    assert "Could not be evaluated (1)" in page
    assert "Failed" not in page
    assert 'nothing is known of these rows. Error: The column "<b>lost</b>" in BatchData does not exist.' in page
    assert "Evaluated expectations 1 Successful expectations 1 Unsuccessful expectations 0" in page
    assert "<b>" not in result_of(index, "slot_energy").read_text()


def test_expectations_of_no_check_and_of_whole_tables_are_told_as_well(
    build: Build, frames: Frames, tmp_path: Path
) -> None:
    count = gxe.ExpectTableRowCountToBeBetween(min_value=1000, meta={"title": "Rows enough", "vee": 3})
    plain = gxe.ExpectColumnMaxToBeBetween(column="energy_wh", max_value=1.0)
    some = {Suite.SLOT_ENERGY: frames[Suite.SLOT_ENERGY]}
    page = said(result_of(build(tmp_path / "docs", some, slot_energy=definition(count, plain)), "slot_energy"))
    assert "Rows enough expect_table_row_count_to_be_between VEE 3 Looks at all rows together. 288" in page
    assert "Looks at energy (Wh). 195" in page


def test_a_sample_is_called_one(build: Build, frames: Frames, tmp_path: Path) -> None:
    index = build(tmp_path / "docs", frames, rows_at_most=100)
    assert said(index).count("100 of 288 rows, a random sample") == 3
    assert "Judged 100 of 288 rows, a random sample" in said(result_of(index, "readings"))


def test_a_suite_without_rows_neither_succeeds_nor_fails(build: Build, frames: Frames, tmp_path: Path) -> None:
    empty: Frames = {suite: frame.clear() for suite, frame in frames.items()}
    for rows in (empty, dict.fromkeys(frames)):
        index = build(tmp_path / "docs", rows)
        assert said(index).count("No rows") == 3
        assert "16 without a row" in said(index)
        page = said(result_of(index, "slot_energy"))
        assert "No row to judge (16)" in page
        assert "Evaluated expectations 0 Successful expectations 0 Unsuccessful expectations 0" in page
        assert not re.search("[Ss]ucceeded|[Ff]ailed|Error", said(index))


def test_the_engine_judges_as_before_when_a_site_was_built_between(site: Path, frames: Frames) -> None:
    assert site.exists()
    broken = broken_rows(Suite.SLOT_ENERGY, frames[Suite.SLOT_ENERGY], run_id="r")
    assert {check: rows for check, rows in broken.items() if rows} == {"slot_covered": [8, 9]}


@pytest.mark.parametrize("level", [logging.DEBUG, logging.CRITICAL])
def test_a_page_that_cannot_be_rendered_is_an_error_and_the_former_site_stands(
    build: Build,
    site: Path,
    frames: Frames,
    *,
    level: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("no luck")

    before = site.read_bytes(), files(site.parent)
    monkeypatch.setattr(ResultsPage, "_overview", fail)
    with caplog.at_level(level), pytest.raises(TerminalError, match=r"could not render a page .*no luck"):
        build(site.parent, frames)
    assert (site.read_bytes(), files(site.parent)) == before


def test_a_page_that_would_fetch_something_is_an_error(
    build: Build, site: Path, frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.validate.docs.view.GX_VERSION", "1")
    monkeypatch.setattr("pipelines.validate.docs.view._look", lambda: {"style": "@import 'https://x'", "policy": ""})
    with pytest.raises(TerminalError, match="would ask for"):
        build(site.parent, frames)


def test_a_suite_that_lost_an_expectation_is_an_error(
    build: Build, frames: Frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = gx.ValidationDefinition.run

    def forgetful(self: Any, **options: Any) -> Any:
        found = run(self, **options)
        found.results.pop()
        return found

    monkeypatch.setattr(gx.ValidationDefinition, "run", forgetful)
    with pytest.raises(TerminalError, match="of 16 expectations 15 answered; suite slot_energy"):
        build(tmp_path / "docs", {Suite.SLOT_ENERGY: frames[Suite.SLOT_ENERGY]}, slot_energy=slot_energy)
    assert not (tmp_path / "docs").exists()
