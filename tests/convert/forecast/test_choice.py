from datetime import timedelta

import polars as pl
import pytest

from pipelines.community import ForecastMethod
from pipelines.convert.forecast.backtest import SCORES
from pipelines.convert.forecast.choice import best_methods, enough

M = ForecastMethod


def scores(*rows: tuple[str, str, float, int]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCORES, orient="row")


@pytest.mark.parametrize(
    ("model", "expected"),
    [(50.0, M.MODEL), (97.9, M.MODEL), (98.1, M.PERSISTENCE), (100.0, M.PERSISTENCE), (130.0, M.PERSISTENCE)],
)
def test_persistence_gives_way_to_what_is_clearly_better(model: float, expected: ForecastMethod) -> None:
    found = best_methods(scores(("a", "persistence", 100.0, 10), ("a", "model", model, 10)))
    assert found == {"a": expected}


def test_each_asset_takes_its_own_best() -> None:
    found = best_methods(
        scores(
            ("a", "persistence", 100.0, 10),
            ("a", "yesterday", 60.0, 10),
            ("a", "model", 70.0, 10),
            ("b", "persistence", 10.0, 10),
            ("b", "yesterday", 60.0, 10),
            ("b", "model", 9.0, 10),
        )
    )
    assert found == {"a": M.YESTERDAY, "b": M.MODEL}


def test_stretches_add_up() -> None:
    first = scores(("a", "persistence", 100.0, 10), ("a", "model", 10.0, 10))
    second = scores(("a", "persistence", 100.0, 10), ("a", "model", 300.0, 10))
    assert best_methods(pl.concat([first, second])) == {"a": M.PERSISTENCE}


def test_what_persistence_foretells_without_error_stays_with_it() -> None:
    assert best_methods(scores(("a", "persistence", 0.0, 10), ("a", "model", 0.0, 10))) == {"a": M.PERSISTENCE}


def test_of_equals_the_simpler_is_taken() -> None:
    found = best_methods(
        scores(("a", "persistence", 9.0, 1), ("a", "model", 5.0, 1), ("a", "blend", 5.0, 1), ("a", "yesterday", 5.0, 1))
    )
    assert found == {"a": M.YESTERDAY}


def test_what_was_chosen_before_is_no_method_to_choose() -> None:
    assert best_methods(scores(("a", "persistence", 9.0, 1), ("a", "chosen", 1.0, 1))) == {"a": M.PERSISTENCE}


def test_a_week_of_slots_must_have_been_scored() -> None:
    quarter = timedelta(minutes=15)
    found = enough(scores(("a", "persistence", 1.0, 672), ("b", "persistence", 1.0, 671)), quarter)
    assert found == {"a"}
    assert enough(scores(("a", "persistence", 1.0, 168)), timedelta(hours=1)) == {"a"}
