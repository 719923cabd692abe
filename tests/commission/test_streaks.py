"""Rows of confirmed slots, against a plain loop over them."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipelines.commission.names import Terms
from pipelines.commission.streaks import period, streaks, with_runs
from pipelines.frames import INSTANT
from tests.commission.history import NOON, SLOT

SLOTS = st.lists(
    st.tuples(
        st.sampled_from(["good", "bad", "skipped", "absent"]),
        st.sampled_from([0.0, 0.0, 5.0, 5.005, 6.0, 7.0]),
    ),
    min_size=1,
    max_size=30,
)


def frame(assets: dict[str, list[tuple[str, float]]]) -> pl.DataFrame:
    rows = [
        {
            "asset_id": asset,
            "slot_start": NOON + n * SLOT,
            "sent_wh": wh,
            "held_wh": wh,
            "state": "confirmed",
            "diagnosis": {"bad": "late", "skipped": "no exchange result"}.get(kind),
            "evidence": None,
            "repair": None,
            "good": kind == "good",
        }
        for asset, slots in assets.items()
        for n, (kind, wh) in enumerate(slots)
        if kind != "absent"
    ]
    schema = {
        "asset_id": pl.String(),
        "slot_start": INSTANT,
        "sent_wh": pl.Float64(),
        "held_wh": pl.Float64(),
        "state": pl.String(),
        "diagnosis": pl.String(),
        "evidence": pl.String(),
        "repair": pl.String(),
        "good": pl.Boolean(),
    }
    return pl.DataFrame(rows, schema=schema)


def counted_back(slots: list[tuple[str, float]]) -> list[float]:
    """Energies of the newest row of good slots, going back from the newest that was compared."""
    while slots and slots[-1][0] == "absent":
        slots = slots[:-1]
    found: list[float] = []
    for kind, wh in reversed(slots):
        if kind in ("bad", "absent"):
            break
        if kind == "good":
            found.append(wh)
    return found


def told_apart(energies: list[float]) -> int:
    """5 and 5.005 Wh are one to the exchange, whose tolerance is 0.02 Wh."""
    return len({round(wh) for wh in energies if wh > 0.02})


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), SLOTS, min_size=1))
def test_rows_are_counted_as_by_hand(assets: dict[str, list[tuple[str, float]]]) -> None:
    found = streaks(with_runs(frame(assets), SLOT))
    compared = {asset for asset, slots in assets.items() if any(kind != "absent" for kind, _ in slots)}
    assert found.keys() == compared
    for asset in compared:
        energies = counted_back(assets[asset])
        assert (found[asset].good, found[asset].energies) == (len(energies), told_apart(energies))
        bad = [NOON + n * SLOT for n, (kind, _) in enumerate(assets[asset]) if kind == "bad"]
        broken = found[asset].broken_by
        assert (broken.slot_start if broken else None) == (bad[-1] if bad else None)


@given(SLOTS.filter(lambda slots: slots[-1][0] == "good"), st.integers(1, 12), st.integers(1, 3))
def test_a_period_is_as_short_as_the_terms_allow(slots: list[tuple[str, float]], asked: int, energies: int) -> None:
    runs = with_runs(frame({"a": slots}), SLOT).filter("in_run")
    found = period(runs, Terms(slots=asked, energies=energies))
    row = counted_back(slots)
    enough = told_apart(row[:asked]) >= energies
    assert found["sent_wh"].to_list() == (row[:asked] if enough else row)[::-1]


def test_a_value_on_its_way_is_no_confirmation_and_says_so() -> None:
    late = frame({"a": [("good", 5.0), ("bad", 6.0)]}).with_columns(
        diagnosis=pl.lit(None, pl.String), state=pl.Series(["confirmed", "pending"])
    )
    broken = streaks(with_runs(late, SLOT))["a"].broken_by
    assert broken is not None
    assert (broken.slot_start, broken.diagnosis) == (NOON + SLOT, "not confirmed")
    assert "pending" in broken.evidence
