"""Numbers as stretches."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipelines.reconcile.standing import stretches


@given(st.lists(st.one_of(st.none(), st.integers(-20, 60), st.integers(2**40, 2**40 + 9)), max_size=60))
def test_stretches_hold_the_numbers_and_no_other(numbers: list[int | None]) -> None:
    found = stretches(pl.Series("id", numbers, dtype=pl.Int64))
    held = [number for first, last in found.iter_rows() for number in range(first, last + 1)]
    assert held == sorted({number for number in numbers if number is not None})
    # None touches the next.
    assert all(later > last + 1 for last, later in zip(found["last_id"], found["first_id"][1:], strict=False))
