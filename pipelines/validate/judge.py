"""Runs the suite `readings` over prepared readings, in one batch of Great Expectations.

Its context lives in memory, is made once per process and is used by one thread at a time: shared by several, Great
Expectations was seen to mix their results up. Nothing it does is kept, so a long-lived worker doesn't grow.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from threading import Lock
from typing import Any

import polars as pl

from expectations.names import READING_CHECKS, Check, Severity
from pipelines.errors import TerminalError

_ONE_AT_A_TIME = Lock()


def warm_up() -> None:
    """Import Great Expectations and make its context: seconds at first, nothing afterwards."""
    with _ONE_AT_A_TIME:
        _engine()


def judge(prepared: pl.DataFrame, *, run_id: str) -> pl.Series:
    """Judge readings.

    Args:
        prepared: what `prepare` returned.
        run_id: of the run, for messages.

    Returns:
        For each row the names of the checks it broke, comma-separated in the order of `READING_CHECKS`; "" for a
        good one. Only checks of severity `REJECT` count.

    Raises:
        TerminalError: an expectation could not be evaluated, so no row is known to be good or bad.
    """
    broken = broken_rows(prepared, run_id=run_id)
    rejecting = [check for check, meaning in READING_CHECKS.items() if meaning.severity is Severity.REJECT]
    marks = [
        pl.DataFrame({"row": broken[check], "check": check.value}, schema={"row": pl.Int64(), "check": pl.String()})
        for check in rejecting
    ]
    names = pl.concat(marks).group_by("row", maintain_order=True).agg(pl.col("check").str.join(","))
    rows = pl.DataFrame({"row": pl.int_range(prepared.height, eager=True, dtype=pl.Int64)})
    joined = rows.join(names, on="row", how="left", maintain_order="left")
    return joined["check"].fill_null("").alias("broken")


def broken_rows(prepared: pl.DataFrame, *, run_id: str) -> Mapping[Check, Sequence[int]]:
    """Numbers of the rows that broke each check, whatever its severity.

    Raises:
        TerminalError: as of `judge`.
    """
    with _ONE_AT_A_TIME:
        expected = _engine().checks
        verdicts = _evaluate(prepared, detail="BOOLEAN_ONLY")
        # Most batches are good throughout. Which rows fail is asked only where some do: it costs twice as much.
        if all(verdict.success for verdict in verdicts):
            _make_sure_all_answered([verdict.expectation_config for verdict in verdicts], expected, run_id=run_id)
            return dict.fromkeys(READING_CHECKS, ())
        results = _evaluate(prepared, detail="COMPLETE")
    found: dict[Check, set[int]] = {check: set() for check in READING_CHECKS}
    for result in results:
        check = Check(result.expectation_config.meta["check"])
        # Great Expectations reports an expectation that failed to run as one that the data failed.
        rows = result.result.get("unexpected_index_list")
        if rows is None:
            raise TerminalError(
                f"validate, run {run_id}: the expectation '{check}' could not be evaluated "
                f"({_reason(result.exception_info)}); {_UNTOUCHED}"
            )
        found[check].update(rows)
    _make_sure_all_answered([result.expectation_config for result in results], expected, run_id=run_id)
    return {check: sorted(rows) for check, rows in found.items()}


def _make_sure_all_answered(configurations: Sequence[Any], expected: Sequence[Check], *, run_id: str) -> None:
    answered = [Check(configuration.meta["check"]) for configuration in configurations]
    if sorted(answered) != sorted(expected):
        raise TerminalError(
            f"validate, run {run_id}: {len(expected)} expectations were asked, {len(answered)} answered; {_UNTOUCHED}"
        )


_UNTOUCHED = "the readings stay new and nothing was marked. Mend the suite in expectations/readings.py and run again"


class _Engine:
    """The batch definition and the suite, tied to an ephemeral context."""

    def __init__(self) -> None:
        import great_expectations as gx  # noqa: PLC0415 - takes seconds
        from great_expectations.data_context.types.base import (  # noqa: PLC0415
            DataContextConfig,
            InMemoryStoreBackendDefaults,
            ProgressBarsConfig,
        )

        from expectations import readings  # noqa: PLC0415

        config = DataContextConfig(
            # These defaults have no documentation site, for which the context would make a folder.
            store_backend_defaults=InMemoryStoreBackendDefaults(),
            progress_bars=ProgressBarsConfig(globally=False),
        )
        context = gx.get_context(mode="ephemeral", project_config=config)
        asset = context.data_sources.add_pandas("slotfeed").add_dataframe_asset("readings")
        self.batches: Any = asset.add_batch_definition_whole_dataframe("all")
        self.suite: Any = context.suites.add(readings.suite())
        self.columns = readings.COLUMNS
        self.checks = [Check(expectation.meta["check"]) for expectation in self.suite.expectations]


@cache
def _engine() -> _Engine:
    return _Engine()


def _evaluate(prepared: pl.DataFrame, *, detail: str) -> list[Any]:
    engine = _engine()
    # A fresh pandas frame is labelled by row number, and COMPLETE without named columns returns those labels.
    batch = engine.batches.get_batch(batch_parameters={"dataframe": prepared.select(engine.columns).to_pandas()})
    answer = batch.validate(engine.suite, result_format={"result_format": detail})
    results: list[Any] = answer.results
    return results


def _reason(exception_info: Mapping[str, Any]) -> str:
    """The first message in what Great Expectations tells of an exception: keyed by metric, or flat."""
    for told in (exception_info, *exception_info.values()):
        if isinstance(told, Mapping) and told.get("exception_message"):
            return str(told["exception_message"])
    return "no reason given"
