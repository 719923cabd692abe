"""Counters over all runs."""

import threading
from datetime import datetime

import pytest

from pipelines.store import Store, finish_run, start_run
from pipelines.store.tally import totals


def test_each_run_counts_once_and_labels_are_kept_as_they_are(store: Store, noon: datetime) -> None:
    for outcome, amounts in (("ok", {("runs", 'a "quoted", odd\nlabel', "ok"): 1.0}), ("ok", {("zero",): 0.0})):
        run_id = start_run(store, "feed", logical_time=noon, now=noon)
        finish_run(store, run_id, outcome=outcome, summary={}, now=noon, amounts=amounts)
    run_id = start_run(store, "feed", logical_time=noon, now=noon)
    finish_run(
        store, run_id, outcome="ok", summary={}, now=noon, amounts={("runs", 'a "quoted", odd\nlabel', "ok"): 2.5}
    )
    with store.reading() as connection:
        assert totals(connection) == {("runs", 'a "quoted", odd\nlabel', "ok"): 3.5, ("zero",): 0.0}


def test_runs_that_end_at_once_lose_nothing_of_each_other(store: Store, noon: datetime) -> None:
    def end(first: str, second: str) -> None:
        for _ in range(10):
            run_id = start_run(store, "feed", logical_time=noon, now=noon)
            finish_run(store, run_id, outcome="ok", summary={}, now=noon, amounts={(first,): 1.0, (second,): 1.0})

    threads = [threading.Thread(target=end, args=names) for names in (("a", "b"), ("b", "a"), ("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as connection:
        assert totals(connection) == {("a",): pytest.approx(40), ("b",): pytest.approx(40)}
