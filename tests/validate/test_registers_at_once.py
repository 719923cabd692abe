"""Streams judged at once and reading by reading must come out the same, to the last bit."""

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pipelines.validate.registers import REGISTERS, STORED, _walk, neighbours

RISES = st.sampled_from([0.0, 1.0, 250.3, 2_500.0, 2_999.9, 3_000.0, 3_001.0, 50_000.0, -1.0, -400.0])
"""Wh in a quarter of an hour; the limit is 3,000."""


@st.composite
def streams(draw: st.DrawFn) -> pl.DataFrame:
    rows = []
    number = 0
    for name in "abc"[: draw(st.integers(1, 3))]:
        two_way, at_s, wh = draw(st.booleans()), 1e9, 5e4
        rises = draw(st.lists(RISES if draw(st.booleans()) else st.sampled_from([0.0, 1.0, 250.3]), max_size=12))
        for rise in rises:
            at_s += draw(st.sampled_from([0.0, 1.0, 900.0, 900.0, 900.0, 7_200.0])) if rows else 900.0
            wh += rise
            stored = draw(st.booleans())
            start = draw(st.sampled_from(["", "", "", "reset"])) if stored else ""
            same = [row for row in rows if row[0] == name and row[1] == at_s]
            if any(row[4] == STORED for row in same):
                at_s += 60.0  # the stored one of a stamp comes last
            rows.append((name, at_s, wh, 1.0, STORED if stored else number, 12_000.0, two_way, start))
            number += 1
    return pl.DataFrame(rows, schema=REGISTERS, orient="row")


@settings(max_examples=300, deadline=None)
@given(streams())
@example(pl.DataFrame(schema=REGISTERS))
def test_at_once_is_as_by_walking(registers: pl.DataFrame) -> None:
    assert_frame_equal(neighbours(registers).sort("row"), _walk(registers).sort("row"), check_exact=True)


def test_only_streams_out_of_order_have_suspects() -> None:
    rows = [("a", 1e9 + 900.0 * n, 100.0 * n, 1.0, n, 12_000.0, False, "") for n in range(5)]
    rows += [("b", 1e9 + 900.0 * n, -100.0 * n, 1.0, 5 + n, 12_000.0, False, "") for n in range(5)]
    frame = pl.DataFrame(rows, schema=REGISTERS, orient="row")
    found = neighbours(frame)
    assert found.filter(pl.col("row") < 5)["waits"].to_list() == [False] * 5
    assert found.filter(pl.col("row") >= 5).sort("row")["waits"].to_list() == [False, True, True, True, True]
