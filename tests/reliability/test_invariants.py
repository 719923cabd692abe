"""The checker finds nothing to say of clean runs, and doesn't pass over what it can't read."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete

from pipelines.store import (
    SubmissionRow,
    table_of,
)
from tests.reliability.damage import Copy, at, broken, by_place
from tests.reliability.invariants import World, check_all, told


@pytest.mark.parametrize("protocol", ["rest", "sdk", "batch"])
def test_a_clean_run_breaks_nothing(clean: dict[str, World], protocol: str) -> None:
    world = clean[protocol]
    assert told(check_all(world)) == ""
    # It did look at something: three forecasts an asset, and but for rest the measurement of the first of their slots.
    values = 3 * 36 + (36 if protocol != "rest" else 0)
    held = world.applied.keys() & world.submissions.keys()
    assert len(world.posts) == len(world.submissions) == len(held) == values
    assert len(world.readings) > 500
    assert len(world.cursors) == 36


def test_the_untouched_copy_breaks_nothing(damaged: Copy) -> None:
    assert told(broken(damaged)) == ""


def test_the_same_on_postgresql(lived: Any, clean: dict[str, World], postgres_url: str) -> None:
    world = lived("sdk", postgres_url, 3)
    assert told(check_all(world)) == ""
    assert len(world.posts) == len(world.submissions) == 4 * 36
    (key, rows), *_ = world.submissions.items()
    table = table_of(SubmissionRow)
    with world.store.writing() as connection:
        connection.execute(delete(table).where(table.c.id == rows[0]["id"]))
    # A world keeps what it has read: another one looks again.
    assert by_place(check_all(replace(world))) == at(key, 1, 5)
    world.store.close()
