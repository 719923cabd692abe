"""Runs a suite of `expectations/` over a frame with Great Expectations, and tells which rows broke which check.

Its context lives in memory, is made once per process and is used by one thread at a time: shared by several, Great
Expectations was seen to mix their results up. Nothing it does is kept, so a long-lived worker doesn't grow.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from threading import Lock
from typing import Any

import polars as pl

from expectations.names import CHECKS, Check, Suite
from pipelines.errors import TerminalError
from pipelines.lazily import lazily

ROWS_AT_ONCE = 250_000
"""Rows that Great Expectations sees at a time: memory stays the same however long the frame is."""

SELDOM_USED = ("scipy.stats", "altair")
"""What Great Expectations imports, a third of the seconds that importing it takes, and uses for expectations about
distributions and for pages."""

_ONE_AT_A_TIME = Lock()


def warm_up(*suites: Suite) -> None:
    """Import Great Expectations and make what the suites need: seconds at first, nothing afterwards."""
    with _ONE_AT_A_TIME:
        for suite in suites:
            _runner(suite)


def broken_rows(suite: Suite, frame: pl.DataFrame, *, run_id: str) -> Mapping[Check, Sequence[int]]:
    """Find the rows that broke each check of a suite, whatever its severity.

    Args:
        suite: whose module in `expectations` says what a good row is.
        frame: has at least the columns that the module's `COLUMNS` names.
        run_id: of the run, for messages.

    Returns:
        For each check of the suite the numbers of the rows that broke it, rising from 0.

    Raises:
        TerminalError: an expectation could not be evaluated, or the suite is short of one, so no row is known to be
            good or bad.
    """
    with _ONE_AT_A_TIME:
        runner = _runner(suite)
        found: dict[Check, set[int]] = {check: set() for check in _checks_of(suite)}
        start = 0
        for portion in frame.select(runner.columns).iter_slices(ROWS_AT_ONCE):
            for check, rows in runner.judge(portion, run_id=run_id):
                found[check].update(start + row for row in rows)
            start += portion.height
    return {check: sorted(rows) for check, rows in found.items()}


class _Runner:
    """A suite with the batch definition it runs on."""

    def __init__(self, suite: Suite) -> None:
        with lazily(*SELDOM_USED):
            module = import_module(f"expectations.{suite.value}")
            context = _context()
        asset = context.data_sources.get("slotfeed").add_dataframe_asset(suite.value)
        self.name = suite
        self.batches: Any = asset.add_batch_definition_whole_dataframe("all")
        self.suite: Any = context.suites.add(module.suite())
        self.columns: tuple[str, ...] = module.COLUMNS
        self.checks = [Check(expectation.meta["check"]) for expectation in self.suite.expectations]

    def judge(self, frame: pl.DataFrame, *, run_id: str) -> Iterable[tuple[Check, Sequence[int]]]:
        """Checks with the numbers of the rows that broke them."""
        present = {expectation.meta["check"] for expectation in self.suite.expectations}
        if missing := set(_checks_of(self.name)) - present:
            raise self._error(run_id, f"it has no expectation for {', '.join(sorted(missing))}")
        # A fresh pandas frame is labelled by row number, and COMPLETE without named columns returns those labels.
        batch = self.batches.get_batch(batch_parameters={"dataframe": frame.to_pandas()})
        failed = {result.expectation_config.id for result in self._evaluate(batch, run_id=run_id) if not result.success}
        # Most expectations hold throughout. Which rows fail is asked only of those that don't: it costs more.
        return [
            (
                Check(expectation.meta["check"]),
                self._rows(batch.validate(expectation, result_format={"result_format": "COMPLETE"}), run_id=run_id),
            )
            for expectation in self.suite.expectations
            if expectation.id in failed
        ]

    def _evaluate(self, batch: Any, *, run_id: str) -> list[Any]:  # noqa: ANN401 - untyped library
        results: list[Any] = batch.validate(self.suite, result_format={"result_format": "BOOLEAN_ONLY"}).results
        answered = [Check(result.expectation_config.meta["check"]) for result in results]
        if sorted(answered) != sorted(self.checks):
            raise self._error(run_id, f"{len(self.checks)} expectations were asked, {len(answered)} answered")
        return results

    def _rows(self, result: Any, *, run_id: str) -> Sequence[int]:  # noqa: ANN401
        # Great Expectations reports an expectation that failed to run as one that the data failed.
        rows: Sequence[int] | None = result.result.get("unexpected_index_list")
        if rows is None:
            check = result.expectation_config.meta["check"]
            reason = _reason(result.exception_info)
            raise self._error(run_id, f"the expectation '{check}' could not be evaluated ({reason})")
        return rows

    def _error(self, run_id: str, fault: str) -> TerminalError:
        return TerminalError(
            f"validate, run {run_id}: {fault}; suite {self.name.value}. No row was judged and nothing was marked. "
            f"Mend the suite in expectations/{self.name.value}.py and run again"
        )


@cache
def _runner(suite: Suite) -> _Runner:
    return _Runner(suite)


@cache
def _context() -> Any:  # noqa: ANN401 - untyped library
    import great_expectations as gx  # noqa: PLC0415 - takes seconds
    from great_expectations.data_context.types.base import (  # noqa: PLC0415
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        # These defaults have no documentation site, for which the context would make a folder.
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        progress_bars=ProgressBarsConfig(globally=False),
    )
    context = gx.get_context(mode="ephemeral", project_config=config)
    context.data_sources.add_pandas("slotfeed")
    return context


def _checks_of(suite: Suite) -> list[Check]:
    return [check for check, meaning in CHECKS.items() if meaning.suite is suite]


def _reason(exception_info: Mapping[str, Any]) -> str:
    """The first message in what Great Expectations tells of an exception: keyed by metric, or flat."""
    for told in (exception_info, *exception_info.values()):
        if isinstance(told, Mapping) and told.get("exception_message"):
            return str(told["exception_message"])
    return "no reason given"
