"""Kills of a real process at thirteen points, times four restarts, on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.crash_cases import Matrix, open_matrix
from tests.reliability.crash_points import POINTS, RESTARTS, Point, Restart
from tests.reliability.grounds import postgres_databases

PROTOCOLS = dict(zip((restart.name for restart in RESTARTS), ("sdk", "rest", "rest", "sdk"), strict=True))

IN_SUITE = "two workers"
"""The restart that every run of the suite tries; the others and the table are `make matrices`'s, for their time."""

CASES = [pytest.param(one, id=one.name, marks=() if one.name == IN_SUITE else pytest.mark.matrix) for one in RESTARTS]


@pytest.fixture(scope="module")
def matrix(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    with open_matrix(tmp_path_factory.mktemp("crashes"), postgres_databases(postgres_server), PROTOCOLS) as opened:
        yield opened


@pytest.mark.parametrize("restart", CASES)
@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_a_killed_run_is_finished(matrix: Matrix, point: Point, restart: Restart, tmp_path: Path) -> None:
    matrix.run(point, restart, tmp_path)


@pytest.mark.matrix
def test_the_page_tells_what_was_found(matrix: Matrix) -> None:
    matrix.hold("crashes on PostgreSQL")
