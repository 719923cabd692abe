"""Causes named from the pattern, over 36 real assets (SimBench) of which each but a few has something done to it."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from pipelines.reconcile.diagnose import Finding, diagnose
from tests.reconcile.injections import (
    CLOCK,
    DAY,
    KINDS,
    SLOT,
    SLOTS,
    Side,
    around,
    evidence,
    measured,
    read_day,
    swap,
)

SPRING = datetime(2016, 4, 5, tzinfo=UTC)
JUNE = datetime(2016, 6, 1, tzinfo=UTC)
ROUNDS = 16
ENOUGH = 8
"""Slots that differ, two hours of them, from which on a kind must be named by itself; a car may charge for less."""


@dataclass
class Score:
    """Of one kind."""

    assets: int = 0
    found: int = 0
    named: int = 0
    slots: int = 0
    slots_named: int = 0
    telling: int = 0
    """Assets of which ENOUGH slots differ."""

    telling_named: int = 0


def dice_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same faults each time


def look_at(sides: list[Side], day: datetime, *, sdk: bool = True) -> dict[tuple[str, datetime], Finding]:
    frame = evidence(sides, day)
    found = diagnose(frame, measured(sides, day), around(sides, sdk=sdk), since=day)
    differing = frame.filter(~pl.col("agrees"), pl.col("slot_start") >= day).select("asset_id", "slot_start")
    assert set(found) == set(differing.iter_rows())
    return found


def names(found: dict[tuple[str, datetime], Finding]) -> dict[str, Counter[str]]:
    """asset -> diagnosis -> slots."""
    by_asset: dict[str, Counter[str]] = defaultdict(Counter)
    for (asset, _), finding in found.items():
        by_asset[asset][finding.diagnosis.value] += 1
    return by_asset


def spoil(sides: list[Side], number: int, *, sdk: bool) -> None:
    """Something to each asset but a few, another thing in each round; two of the rest are swapped."""
    dice, kinds = dice_of(number), list(KINDS)
    for place, side in enumerate(sides):
        kind = (5 * place + number) % (len(kinds) + 3)
        if kind < len(kinds):
            side.kind = kinds[kind]
            KINDS[side.kind].do(side, dice, sdk)
    one, other = [side for side in sides if not side.kind][:2]
    swap(one, other)
    one.kind = other.kind = "swapped"


def test_injected_causes_are_found_and_named_and_none_is_invented(capsys: pytest.CaptureFixture[str]) -> None:
    scores: dict[str, Score] = defaultdict(Score)
    for number in range(ROUNDS):
        # Both protocols' ways with what doesn't arrive, over half a year of days.
        day, sdk = SPRING + 12 * number * DAY, number % 2 == 0
        sides = read_day(day)
        spoil(sides, number, sdk=sdk)
        named = names(look_at(sides, day, sdk=sdk))
        differing = Counter(evidence(sides, day).filter(~pl.col("agrees"))["asset_id"].to_list())
        for side in sides:
            if not side.kind:
                assert not named.get(side.asset)
            elif slots := differing[side.asset]:
                right = "swapped" if side.kind == "swapped" else KINDS[side.kind].right
                score, said = scores[side.kind], named.get(side.asset, Counter())
                score.assets += 1
                score.found += said.total() == slots
                score.named += bool(said) and said.most_common(1)[0][0] == right
                score.telling += slots >= ENOUGH
                score.telling_named += slots >= ENOUGH and said.most_common(1)[0][0] == right
                score.slots += slots
                score.slots_named += said[right]
    tell(capsys, scores)
    total = {what: sum(getattr(one, what) for one in scores.values()) for what in vars(Score())}
    assert len(scores) == len(KINDS) + 1
    assert total["found"] == total["assets"] >= 400
    assert total["named"] >= 0.95 * total["assets"]
    assert total["slots_named"] >= 0.99 * total["slots"]
    for kind, one in scores.items():
        assert one.telling >= 5 or kind == "foreign writer", kind
        # A profile that nobody has seen, zero for most of the day, can't be told from posts that don't arrive.
        assert one.telling_named >= (0.75 if kind == "foreign profile" else 0.95) * one.telling, kind


def tell(capsys: pytest.CaptureFixture[str], scores: dict[str, Score]) -> None:
    with capsys.disabled():
        print(f"\n{'kind':18} assets  found  named rightly   slots  named rightly")  # noqa: T201
        whole = Score(**{what: sum(getattr(one, what) for one in scores.values()) for what in vars(Score())})
        for kind, one in [*sorted(scores.items()), ("all", whole)]:
            print(  # noqa: T201
                f"{kind:18} {one.assets:6} {one.found:6} {one.named:14} {one.slots:7} {one.slots_named:14}"
            )


def test_how_many_assets_are_looked_at_together_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2):
        day, sdk = SPRING + 12 * number * DAY, number % 2 == 0
        sides = read_day(day)
        spoil(sides, number, sdk=sdk)
        together = look_at(sides, day, sdk=sdk)
        # Two days of one asset, and of five.
        for rows in (1, 5 * 2 * SLOTS):
            with monkeypatch.context() as patch:
                patch.setattr("pipelines.reconcile.diagnose.MARKED_AT_ONCE", rows)
                assert look_at(sides, day, sdk=sdk) == together
        assert len({one.diagnosis for one in together.values()}) >= 8


def test_thirty_clean_days_show_no_difference_even_through_the_exchanges_rounding() -> None:
    for number in range(30):
        day = datetime(2016, 1, 12, tzinfo=UTC) + 11 * number * DAY
        assert look_at(read_day(day), day, sdk=number % 2 == 0) == {}


@pytest.mark.parametrize("day", [datetime(2016, 3, 27, tzinfo=UTC), datetime(2016, 10, 30, tzinfo=UTC)])
def test_a_shift_that_began_with_the_clock_change_is_named_by_it(day: datetime) -> None:
    sides = read_day(day)
    for side in sides[::4]:
        CLOCK.do(side, dice_of(1), True)
    said = Counter(finding.diagnosis.value for finding in look_at(sides, day).values())
    assert said["shifted since the clock change"] >= 0.95 * said.total() > 300


def test_a_shift_that_began_without_a_clock_change_is_not_laid_to_it() -> None:
    sides = read_day(JUNE)
    CLOCK.do(sides[0], dice_of(1), True)
    assert set(names(look_at(sides, JUNE))[sides[0].asset]) == {"shifted by an hour"}


def test_a_shift_that_began_half_a_day_after_the_clock_change_is_not_laid_to_it() -> None:
    day = datetime(2016, 3, 27, tzinfo=UTC)
    sides = read_day(day)
    side = sides[0]
    side.held[SLOTS + 48 :] = side.wanted[SLOTS + 44 : -4]
    assert set(names(look_at(sides, day))[side.asset]) == {"shifted by an hour"}


def test_in_winter_an_hour_is_the_zones_offset() -> None:
    day = datetime(2016, 2, 3, tzinfo=UTC)
    sides = read_day(day)
    KINDS["an hour off"].do(sides[0], dice_of(1), True)
    assert set(names(look_at(sides, day))[sides[0].asset]) == {"shifted by the zone's offset"}


def test_slots_without_a_result_of_any_asset_are_the_engines() -> None:
    sides = read_day(JUNE)
    for side in sides:
        side.held[SLOTS + 40 : SLOTS + 44] = [None] * 4
    found = look_at(sides, JUNE)
    assert Counter(finding.diagnosis.value for finding in found.values()) == {"no exchange result": 4 * 36}
    sides = read_day(JUNE)
    sides[3].held[SLOTS + 40] = None
    assert names(look_at(sides, JUNE)) == {sides[3].asset: {"missing": 1}}


def test_a_slot_that_begins_late_holds_the_next_ones_values() -> None:
    sides = read_day(JUNE)
    for side in sides:
        side.held[SLOTS + 50] = side.wanted[SLOTS + 51]
    said = Counter(finding.diagnosis.value for finding in look_at(sides, JUNE, sdk=False).values())
    # With some the next value is 0, or that of the slot before.
    assert said["engine's market cycle late"] >= 0.9 * said.total() > 15


def test_a_shift_is_believed_at_the_windows_edge_but_not_where_there_is_no_result() -> None:
    sides = read_day(JUNE)
    side = sides[1]
    side.held[:] = [None, 77.7, 88.8, *side.wanted[:-3]]
    side.held[SLOTS + 20] = None
    frame = evidence(sides, JUNE)
    found = diagnose(frame, measured(sides, JUNE), around(sides, sdk=True), since=JUNE - DAY)
    said = {round((slot - JUNE + DAY) / SLOT): finding.diagnosis.value for (_, slot), finding in found.items()}
    assert {number for number, one in said.items() if one != "shifted"} == {0, SLOTS + 20}
    assert said[0] == said[SLOTS + 20] == "missing"


def test_three_assets_in_a_circle_are_swapped() -> None:
    sides = read_day(JUNE)
    one, two, three = sides[1], sides[2], sides[28]
    first = list(one.wanted[SLOTS:])
    one.held[SLOTS:], two.held[SLOTS:] = two.wanted[SLOTS:], three.wanted[SLOTS:]
    three.held[SLOTS:] = first
    found = look_at(sides, JUNE)
    assert {finding.diagnosis.value for finding in found.values()} == {"swapped"}
    repairs = {finding.repair for (asset, _), finding in found.items() if asset == one.asset}
    assert len(repairs) == 1
    assert f"'{one.asset}' and '{two.asset}'" in repairs.pop()


def test_an_asset_that_holds_what_another_holds_rightly_is_told() -> None:
    sides = read_day(JUNE)
    sides[1].held[SLOTS:] = sides[2].wanted[SLOTS:]
    found = look_at(sides, JUNE)
    assert set(names(found)[sides[1].asset]) == {"another asset's values"}
    assert sides[2].asset in next(iter(found.values())).repair


def flat(side: Side, *levels: float) -> None:
    side.wanted[:] = [levels[number // 30 % len(levels)] for number in range(2 * SLOTS)]
    side.held[:] = side.wanted


@pytest.mark.parametrize("levels", [(500.0,), (0.0,), (500.0, 0.0)])
def test_constant_series_are_never_shifted_nor_swapped(levels: tuple[float, ...]) -> None:
    sides = read_day(JUNE)
    for side in sides[:4]:
        flat(side, *levels)
    dice = dice_of(3)
    for side in sides[:2]:
        for slot in dice.sample(range(SLOTS, 2 * SLOTS), 12):
            side.held[slot] = dice.choice([0.0, 500.0])
    said = {finding.diagnosis.value for finding in look_at(sides, JUNE).values()}
    assert said <= {"missing", "differs", "engine's market cycle late", "repeated value"}


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("sdk", [True, False])
def test_what_goes_missing_by_chance_fits_no_pattern(share: float, sdk: bool) -> None:
    dice, said = dice_of(7), Counter[str]()
    for number in range(4):
        day = datetime(2016, 1, 13, tzinfo=UTC) + 61 * number * DAY
        sides = read_day(day)
        for side in sides:
            for slot in range(SLOTS, 2 * SLOTS):
                if dice.random() < share:
                    side.held[slot] = 0.0 if sdk else side.held[slot - 1]
        said.update(finding.diagnosis.value for finding in look_at(sides, day, sdk=sdk).values())
    # Under `rest`, what is missing four times in a row is a value that stands still.
    assert set(said) <= {"missing"} | (set() if sdk else {"repeated value"})
    assert said["missing"] > 0.9 * said.total() > 90


def test_two_causes_on_one_asset_are_told_apart_by_slot() -> None:
    sides = read_day(JUNE)
    side = sides[1]
    side.held[SLOTS : SLOTS + 40] = [4 * value for value in side.wanted[SLOTS : SLOTS + 40]]
    side.held[SLOTS + 60 :] = side.wanted[SLOTS + 58 : -2]
    said = names(look_at(sides, JUNE))[side.asset]
    assert said["unit factor of the hour"] == 40
    assert said["shifted"] >= 34


def test_a_profile_that_comes_again_each_day_is_surer_than_a_foreign_series() -> None:
    def confidences(change: Callable[[Side], None]) -> set[float]:
        sides = read_day(JUNE)
        change(sides[1])
        found = look_at(sides, JUNE)
        by_slot = {s: f for (a, s), f in found.items() if a == sides[1].asset}
        assert {finding.diagnosis.value for finding in by_slot.values()} == {"live switch off"}
        return {round(finding.confidence, 2) for finding in by_slot.values()}

    foreign = [7.0 + 3.31 * (number * number % 89) for number in range(SLOTS)]
    once = confidences(lambda side: side.held.__setitem__(slice(SLOTS, None), foreign))
    again = confidences(lambda side: side.held.__setitem__(slice(0, None), foreign * 2))
    assert max(once) < 0.8
    assert min(again) > 0.95


def test_every_finding_says_what_to_do_with_which_asset_and_how_sure_it_is() -> None:
    day, sides = JUNE, read_day(JUNE)
    spoil(sides, 4, sdk=True)
    for (asset, slot), finding in look_at(sides, day).items():
        assert f"{finding.confidence:.2f})" in finding.evidence, (asset, slot)
        assert 0 < finding.confidence <= 1
        assert "{" not in finding.repair
        assert f"'{asset}'" in finding.repair or finding.diagnosis.value == "late"


def test_other_slot_lengths_have_their_own_factor() -> None:
    sides = read_day(JUNE)
    for side in sides:
        side.held[SLOTS:] = [2 * value for value in side.wanted[SLOTS:]]
    frame = evidence(sides, JUNE)
    half = around(sides, sdk=True)
    half = type(half)(**(vars(half) | {"length": timedelta(minutes=30)}))
    found = diagnose(frame, measured(sides, JUNE), half, since=JUNE)
    assert {finding.diagnosis.value for finding in found.values()} == {"unit factor of the hour"}
