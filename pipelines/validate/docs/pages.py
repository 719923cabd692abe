"""The pages of the Data Docs: Great Expectations' renderers, made to say what a row is and what a check means.

Great Expectations' own pages sort expectations by column, and show the values of a row that broke one but not whose
they are. These sort by outcome, the failed ones first, and show asset and local time. An expectation that couldn't be
evaluated stands by itself: it says nothing of the data.
"""
# mypy: allow-subclassing-any

from collections.abc import Mapping, Sequence
from typing import Any

from expectations.names import CHECKS, Check
from pipelines.validate.docs.blocks import header, line, status, table
from pipelines.validate.docs.cells import demanded_expectation, judged_expectation, observed
from pipelines.validate.docs.gx import (
    GX_VERSION,
    ExpectationSuitePageRenderer,
    RenderedDocumentContent,
    RenderedSectionContent,
    SiteIndexPageRenderer,
    ValidationResultsPageRenderer,
)
from pipelines.validate.docs.outcomes import (
    SUITE_WORDS,
    Outcome,
    SuiteFacts,
    name_of,
    outcome_of,
)
from pipelines.validate.docs.view import Site
from pipelines.validate.docs.words import NOTHING, share

SECTIONS = {
    Outcome.ERROR: "Could not be evaluated",
    Outcome.FAILED: "Failed",
    Outcome.MET: "Succeeded",
    Outcome.EMPTY: "No row to judge",
}
"""Outcome of expectations -> heading of their section, in the order of the page."""

DEFAULTS = "What follows is the default; the community file may say otherwise of checks with thresholds."

Facts = Mapping[str, SuiteFacts]
"""Suite's name -> its figures."""


class ResultsPage(ValidationResultsPageRenderer):
    """The page of one suite's validation."""

    def __init__(self, facts: Facts, site: Site) -> None:
        super().__init__()
        self._facts, self._site = facts, site

    def render(self, validation_results: Any, suite_parameters: Any = None) -> Any:  # noqa: ANN401, ARG002 - as inherited
        """The page as a document of Great Expectations."""
        facts = self._facts[validation_results.suite_name]
        by_outcome: dict[Outcome, list[Any]] = {outcome: [] for outcome in SECTIONS}
        for result in validation_results.results:
            by_outcome[outcome_of(result, judged=facts.judged)].append(result)
        for results in by_outcome.values():
            results.sort(key=_place)
        title, _ = SUITE_WORDS[facts.suite]
        sections = [_section("Overview", self._overview(facts, by_outcome))]
        sections += [
            _section(f"{name} ({len(by_outcome[outcome])})", [_results_table(by_outcome[outcome], outcome, facts)])
            for outcome, name in SECTIONS.items()
            if by_outcome[outcome]
        ]
        return _document(self, f"{title}: validation result", facts.suite, sections)

    def _overview(self, facts: SuiteFacts, by_outcome: Mapping[Outcome, Sequence[Any]]) -> list[Any]:
        met, failed = (len(by_outcome[outcome]) for outcome in (Outcome.MET, Outcome.FAILED))
        evaluated = met + failed
        rows = [
            ("Status", status(facts.outcome)),
            (
                "Expectation suite",
                line("$name", tag="span", name=(facts.suite.value, "a", (), _up(4) + _suite_path(facts))),
            ),
            ("Period", self._site.period),
            ("Judged", facts.rows_in_words()),
            ("Rows that broke an expectation", f"{facts.broken_rows:,} ({share(facts.broken_rows, facts.judged)})"),
            ("Evaluated expectations", f"{evaluated:,}"),
            ("Successful expectations", f"{met:,}"),
            ("Unsuccessful expectations", f"{failed:,}"),
            ("Expectations that could not be evaluated", f"{len(by_outcome[Outcome.ERROR]):,}"),
            ("Success percent", share(met, evaluated) if evaluated else NOTHING),
            ("Great Expectations version", GX_VERSION),
        ]
        return [line("$words", classes=("lead",), words=SUITE_WORDS[facts.suite][1]), table(rows, classes=("facts",))]


class SuitePage(ExpectationSuitePageRenderer):
    """The page of a suite: what each expectation demands."""

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self._facts = facts

    def render(self, expectations: Any) -> Any:  # noqa: ANN401 - as inherited
        """The page as a document of Great Expectations."""
        facts = self._facts[expectations.name]
        configurations = expectations.expectation_configurations
        rows = [demanded_expectation(configuration) for configuration in configurations]
        title, words = SUITE_WORDS[facts.suite]
        info = [
            ("Expectation suite name", facts.suite.value),
            ("Expectations", f"{len(rows):,}"),
            (
                "Validation result",
                line("$status", tag="span", status=("of this period", "a", (), _up(1) + facts.results_path)),
            ),
            ("Great Expectations version", GX_VERSION),
        ]
        sections = [
            _section("Overview", [line("$words", classes=("lead",), words=words), table(info, classes=("facts",))]),
            _section(
                f"Expectations ({len(rows)})",
                [
                    line("$words", classes=("hint",), words=DEFAULTS),
                    table(rows, classes=("demands",), headings=("Expectation", "Looks at", "What follows", "Origin")),
                ],
            ),
        ]
        return _document(self, f"{title}: expectation suite", facts.suite, sections)


class IndexPage(SiteIndexPageRenderer):
    """The first page: every suite with its outcome."""

    def __init__(self, facts: Facts, site: Site) -> None:
        super().__init__()
        self._facts, self._site = facts, site

    def render(self, index_links_dict: Any) -> Any:  # noqa: ANN401, ARG002 - as inherited
        """The page as a document of Great Expectations."""
        rows = [_validation(facts) for facts in self._facts.values()]
        suites = [
            (
                line("$name", tag="span", name=(name, "a", (), _suite_path(facts))),
                SUITE_WORDS[facts.suite][1],
                f"{len(facts.outcomes):,}",
            )
            for name, facts in self._facts.items()
        ]
        sections = [
            _section(
                "Validation results",
                [table(rows, classes=("validations",), headings=("Status", "Suite", "Judged", "Expectations"))],
            ),
            _section(
                "Expectation suites",
                [table(suites, classes=("suites",), headings=("Suite", "What it judges", "Expectations"))],
            ),
        ]
        return _document(self, "Data Docs", None, sections)


def _document(renderer: Any, title: str, suite: str | None, sections: Sequence[Any]) -> Any:  # noqa: ANN401
    """A document; the view tells from the type of the page where it stands."""
    kind = next(parent.__name__ for parent in type(renderer).__mro__ if parent.__name__.endswith("PageRenderer"))
    return RenderedDocumentContent(
        renderer_type=kind, page_title=title, expectation_suite_name=suite, sections=list(sections)
    )


def _section(name: str, blocks: Sequence[Any]) -> Any:  # noqa: ANN401
    title = header(line("$name", tag="h2", name=name))
    return RenderedSectionContent(section_name=name, content_blocks=[title, *blocks])


def _up(folders: int) -> str:
    return "../" * folders


def _suite_path(facts: SuiteFacts) -> str:
    return f"expectations/{facts.suite}.html"


def _validation(facts: SuiteFacts) -> tuple[Any, ...]:
    title, words = SUITE_WORDS[facts.suite]
    counts = [(outcome, facts.outcomes.count(outcome)) for outcome in SECTIONS]
    in_words = {
        Outcome.ERROR: "not evaluated",
        Outcome.FAILED: "failed",
        Outcome.MET: "succeeded",
        Outcome.EMPTY: "without a row",
    }
    suite = line(
        "$title $words", tag="div", title=(title, "a", ("name",), facts.results_path), words=(words, "div", ("hint",))
    )
    judged = line(
        "$rows $broken",
        tag="div",
        rows=(facts.rows_in_words(), "div"),
        broken=(f"{facts.broken_rows:,} broke an expectation", "div", ("hint",)),
    )
    expectations = ", ".join(f"{count} {in_words[outcome]}" for outcome, count in counts if count)
    return status(facts.outcome), suite, judged, expectations


def _place(result: Any) -> int:  # noqa: ANN401
    """Great Expectations' results come in its own order; checks have theirs."""
    check = name_of(result.expectation_config)
    return list(CHECKS).index(Check(check)) if check in CHECKS else len(CHECKS)


def _results_table(results: Sequence[Any], outcome: Outcome, facts: SuiteFacts) -> Any:  # noqa: ANN401
    rows = [
        (status(outcome), judged_expectation(result, outcome, facts), observed(result, outcome)) for result in results
    ]
    return table(rows, classes=("checks", outcome.value), headings=("Status", "Expectation", "Observed value"))
