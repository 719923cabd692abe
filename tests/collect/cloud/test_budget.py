"""Budgets of requests: never more than a limit allows, whoever asks and however often the program starts anew."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from pipelines.collect.cloud.budget import Budget, Limit
from pipelines.store import QuotaRow, Store, open_store

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
_accounts = count()


def rolling(most: int, per: timedelta = MINUTE, *, name: str = "rolling", every: bool = True) -> Limit:
    return Limit(name=name, most=most, per=per, says="for the test", every=every)


def monthly(most: int) -> Limit:
    return Limit(name="month", most=most, per=None, says="for the test")


@given(
    most=st.integers(1, 6),
    per_s=st.sampled_from([1, 60, 300, 3600, 86_400]),
    gaps=st.lists(st.floats(0, 0.6), min_size=1, max_size=40),
    restarts=st.sets(st.integers(0, 40)),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_span_of_the_length_holds_more(
    sqlite_store: Store, most: int, per_s: int, gaps: list[float], restarts: set[int]
) -> None:
    per, account = timedelta(seconds=per_s), f"a{next(_accounts)}"
    budget = Budget(sqlite_store, account, (rolling(most, per),))
    now, granted = NOON, []
    for number, gap in enumerate(gaps):
        now += gap * per
        if number in restarts:
            budget = Budget(sqlite_store, account, (rolling(most, per),))
        room_at = budget.spend({}, now)
        if room_at is None:
            granted.append(now)
        else:
            assert now < room_at <= now + per * 1.05, "it frees within the span and a bucket"
    for last in granted:
        assert sum(last - per < one <= last for one in granted) <= most


@given(hours=st.lists(st.floats(0, 24 * 70), max_size=40))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_month_holds_more(sqlite_store: Store, hours: list[float]) -> None:
    times = [datetime(2026, 1, 25, tzinfo=UTC) + timedelta(hours=hour) for hour in hours]
    budget = Budget(sqlite_store, f"a{next(_accounts)}", (monthly(5),))
    granted = [now for now in sorted(times) if budget.spend({}, now) is None]
    for month in (1, 2, 3, 4):
        asked = sum(now.month == month for now in times)
        assert sum(now.month == month for now in granted) == min(asked, 5), "all of the month's, and no more"


def test_room_is_told_and_is_there_then(sqlite_store: Store) -> None:
    budget = Budget(sqlite_store, "acc", (rolling(2),))
    assert budget.spend({}, NOON) is None
    assert budget.spend({}, NOON + timedelta(seconds=30)) is None
    room_at = budget.spend({}, NOON + timedelta(seconds=31))
    assert room_at is not None
    assert NOON + MINUTE <= room_at <= NOON + timedelta(seconds=63)
    assert budget.spend({}, room_at - timedelta(microseconds=1)) is not None
    assert budget.spend({}, room_at) is None


def test_month_changes_at_midnight_utc(sqlite_store: Store) -> None:
    budget = Budget(sqlite_store, "acc", (monthly(2),))
    last = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
    first = datetime(2026, 3, 1, tzinfo=UTC)
    assert [budget.spend({}, last) for _ in range(3)] == [None, None, first]
    assert [budget.spend({}, first) for _ in range(3)] == [None, None, datetime(2026, 4, 1, tzinfo=UTC)]
    (standing,) = budget.standings(first + timedelta(days=12))
    assert (standing.used, standing.left, standing.frees) == (2, 0, datetime(2026, 4, 1, tzinfo=UTC))


def test_many_workers_share_one_limit(store: Store) -> None:
    """Each with a budget of its own, as runs in several processes have."""
    budgets = [Budget(store, "acc", (rolling(10), monthly(1000))) for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: budgets[number % 4].spend({}, NOON), range(40)))
    assert sum(answer is None for answer in answers) == 10
    used = {standing.limit.name: standing.used for standing in budgets[0].standings(NOON)}
    assert used == {"rolling": 10, "month": 10}, "what was refused counts nowhere"


def test_count_outlives_the_program(database_url: str) -> None:
    for number, expected in enumerate([None, None, "later"]):
        opened = open_store(database_url)
        room_at = Budget(opened, "acc", (monthly(2),)).spend({}, NOON + number * MINUTE)
        opened.close()
        assert (room_at and "later") == expected


def test_accounts_do_not_share(sqlite_store: Store) -> None:
    assert Budget(sqlite_store, "one", (rolling(1),)).spend({}, NOON) is None
    assert Budget(sqlite_store, "two", (rolling(1),)).spend({}, NOON) is None
    assert Budget(sqlite_store, "one", (rolling(1),)).spend({}, NOON) is not None


def test_limit_of_some_requests_counts_what_names_it(sqlite_store: Store) -> None:
    budget = Budget(sqlite_store, "acc", (rolling(3), rolling(4, name="logins", every=False)))
    assert budget.spend({"logins": 3}, NOON) is None
    assert budget.spend({"logins": 2}, NOON) is not None, "3 + 2 > 4"
    assert budget.spend({}, NOON) is None, "the refused one counted for nothing"
    assert {s.limit.name: s.used for s in budget.standings(NOON)} == {"rolling": 2, "logins": 3}


def test_cost_of_an_every_request_limit_can_be_named(sqlite_store: Store) -> None:
    budget = Budget(sqlite_store, "acc", (rolling(10),))
    assert budget.spend({"rolling": 7}, NOON) is None
    assert budget.standings(NOON)[0].left == 3


def test_more_at_once_than_is_ever_allowed_does_not_leave(sqlite_store: Store) -> None:
    budget = Budget(sqlite_store, "acc", (rolling(3),))
    room_at = budget.spend({"rolling": 4}, NOON)
    assert room_at is not None
    assert room_at > NOON
    assert budget.standings(NOON)[0].used == 0


def test_allowance_can_depend_on_the_account(sqlite_store: Store) -> None:
    budget = Budget(sqlite_store, "acc", (rolling(1),))
    budget.allow("rolling", 3)
    assert [budget.spend({}, NOON) is None for _ in range(4)] == [True, True, True, False]


def test_no_limit_is_no_count(sqlite_store: Store) -> None:
    budget = Budget(sqlite_store, "acc", ())
    assert [budget.spend({}, NOON) for _ in range(100)] == [None] * 100
    assert budget.standings(NOON) == []


def test_old_counts_are_forgotten(sqlite_store: Store) -> None:
    budget = Budget(sqlite_store, "acc", (rolling(10),))
    for number in range(200):
        assert budget.spend({}, NOON + number * timedelta(seconds=10)) is None
    with sqlite_store.reading() as connection:
        rows = connection.execute(select(func.count()).select_from(QuotaRow)).scalar_one()
    assert rows <= 8, "those of the last minute"


@pytest.mark.parametrize("hour", [0, 6, 23])
def test_bucket_of_a_day_is_utcs(hour: int) -> None:
    limit = monthly(1)
    assert limit.bucket(datetime(2026, 3, 29, hour, 30, tzinfo=UTC)) == datetime(2026, 3, 29, tzinfo=UTC)
