"""A session of Great Expectations in memory: suites judge rows, then a site tells of them.

Importing this takes seconds.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from expectations.names import Suite
from pipelines.errors import TerminalError
from pipelines.validate.docs import gx
from pipelines.validate.docs.examples import Rows
from pipelines.validate.docs.judged import Judged
from pipelines.validate.docs.outcomes import SuiteFacts, name_of, outcome_of
from pipelines.validate.docs.pages import IndexPage, ResultsPage, SuitePage
from pipelines.validate.docs.view import OfflinePageView, Site

__all__ = ["Site", "open_session"]

_ONE_AT_A_TIME = Lock()

RESULTS = {
    # Row numbers are all that is needed: the pages look the rows up, with their assets and times. Lists of the values
    # would take most of the time and of the memory.
    "result_format": "COMPLETE",
    "exclude_unexpected_values": True,
    "partial_unexpected_count": 0,
    "return_unexpected_index_query": False,
}


@contextmanager
def open_session(*, run_name: str) -> Iterator["Session"]:
    """A session; as long as it is open, Great Expectations' current context is its own, and no other one opens."""
    with _ONE_AT_A_TIME:
        before = _current_context()
        config = gx.DataContextConfig(
            store_backend_defaults=gx.InMemoryStoreBackendDefaults(),
            progress_bars=gx.ProgressBarsConfig(globally=False),
        )
        context = gx.EphemeralDataContext(project_config=config)
        gx.project_manager.set_project(context)
        try:
            yield Session(context, run_name)
        finally:
            # Another thread may have made its own the current one meanwhile.
            if _current_context() is context:
                gx.project_manager.set_project(before)


class Session:
    """Suites that judge rows, then a site that tells of them."""

    def __init__(self, context: Any, run_name: str) -> None:  # noqa: ANN401 - untyped library
        self._context = context
        self._source = context.data_sources.add_pandas("slotfeed")
        self._run_name = run_name
        self._facts: dict[str, SuiteFacts] = {}

    def judge(self, judged: Judged, rows: Rows, *, now: datetime) -> SuiteFacts:
        """Validate rows and keep the result for the site.

        Raises:
            TerminalError: an expectation is without a result.
        """
        suite, definition = judged.suite, judged.definition
        added = self._context.suites.add(definition.suite())
        asset = self._source.add_dataframe_asset(suite.value)
        batches = asset.add_batch_definition_whole_dataframe("all")
        validation = self._context.validation_definitions.add(
            gx.ValidationDefinition(name=suite.value, data=batches, suite=added)
        )
        found = validation.run(
            batch_parameters={"dataframe": rows.frame.select(definition.COLUMNS).to_pandas()},
            result_format=RESULTS,
            run_id=gx.RunIdentifier(run_name=self._run_name, run_time=now),
        )
        asked = len(added.expectations)
        if len(found.results) != asked:
            raise TerminalError(
                f"Data Docs: of {asked} expectations {len(found.results)} answered; suite {suite}. "
                f"Mend the suite in expectations/{suite}.py and run again"
            )
        broken: set[int] = set()
        for result in found.results:
            broken.update(result.result.get("unexpected_index_list") or ())
        facts = SuiteFacts(
            suite=suite,
            rows=rows,
            rows_in_period=judged.rows_in_period,
            outcomes=[outcome_of(result, judged=rows.frame.height) for result in found.results],
            broken_rows=len(broken),
            repeated=frozenset(name for name, count in Counter(map(name_of, added.expectations)).items() if count > 1),
            results_path=self._results_path(suite),
        )
        self._facts[suite.value] = facts
        return facts

    def _results_path(self, suite: Suite) -> str:
        """Where the page of the suite's validation will stand in the site."""
        keys = [key.to_tuple() for key in self._context.validation_results_store.list_keys()]
        (parts,) = (key for key in keys if key[0] == suite.value)
        return f"validations/{'/'.join(parts)}.html"

    def write(self, folder: Path, site: Site) -> None:
        """Write the pages.

        Raises:
            TerminalError: Great Expectations could not render one, which it would only log.
        """
        builder = gx.SiteBuilder(
            data_context=self._context,
            site_name=site.community,
            store_backend={"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
            show_how_to_buttons=False,
            **self._sections(site),
        )
        with _errors_raised():
            builder.build()
        shutil.rmtree(folder / gx.STATIC, ignore_errors=True)

    def _sections(self, site: Site) -> Mapping[str, Any]:
        view = {"module_name": OfflinePageView.__module__, "class_name": OfflinePageView.__name__, "site": site}

        def page(kind: type, **more: object) -> dict[str, Any]:
            renderer = {"module_name": kind.__module__, "class_name": kind.__name__, "facts": self._facts, **more}
            return {"renderer": renderer, "view": view}

        return {
            "site_section_builders": {
                "expectations": page(SuitePage),
                "validations": page(ResultsPage, site=site),
                "profiling": gx.NO_SECTION,
            },
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", **page(IndexPage, site=site)},
        }


def _current_context() -> Any:  # noqa: ANN401
    try:
        return gx.project_manager.get_current_project()
    except gx.DataContextRequiredError:
        return None


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@contextmanager
def _errors_raised() -> Iterator[None]:
    kept, logger = _Kept(), logging.getLogger(gx.LOGGER)
    level = logger.level
    logger.addHandler(kept)
    if not logger.isEnabledFor(logging.ERROR):
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(kept)
    if kept.said:
        # The reason stands at the end, behind a trace.
        reason = kept.said[0].strip('\n ."').rsplit("\n", 1)[-1]
        raise TerminalError(
            f"Data Docs: Great Expectations could not render a page ({reason}); the former site stands as it was"
        )
