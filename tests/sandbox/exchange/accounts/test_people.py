"""Logins, tokens and who is let in; without HTTP where none is needed."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fastapi import HTTPException

from pipelines.clock import FixedClock
from pipelines.errors import AuthenticationError, RejectedError
from pipelines.sandbox.exchange.accounts.invitations import Invitations
from pipelines.sandbox.exchange.accounts.people import People, Role
from pipelines.sandbox.exchange.ledger import Ledger, open_ledger
from pipelines.sandbox.exchange.tables import AGGREGATOR

ADMIN = ("chief", "short")
Open = Callable[..., tuple[Ledger, People]]


@pytest.fixture
def clock(noon: datetime) -> FixedClock:
    return FixedClock(noon)


@pytest.fixture
def open_people(tmp_path: Path, clock: FixedClock) -> Iterator[Open]:
    """Opens the same file again at each call, as a restart does."""
    with ExitStack() as stack:

        def open_again(admin: tuple[str, str] = ADMIN) -> tuple[Ledger, People]:
            ledger = stack.enter_context(closing(open_ledger(tmp_path / "ctn.sqlite", simulation="s")))
            return ledger, People(ledger, clock=clock, admin=admin, token_lifetime=timedelta(hours=1))

        yield open_again


async def join(ledger: Ledger, people: People, clock: FixedClock, username: str, role: Role, *subjects: str) -> None:
    invitations = Invitations(ledger, clock, people)
    code, _ = invitations.make(username, role, subjects)
    await invitations.accept(code, f"password of {username}")


async def header(people: People, username: str, password: str | None = None) -> str:
    return "JWT " + await people.login(username, password or f"password of {username}")


async def test_token_users_and_what_is_theirs_outlive_a_restart(open_people: Open, clock: FixedClock) -> None:
    ledger, people = open_people()
    await join(ledger, people, clock, "anna", Role.AGGREGATOR, "load")
    token = await header(people, "anna")
    _, restarted = open_people()
    visitor = restarted.admit(token)
    assert (visitor.username, visitor.role, visitor.may_post("load"), visitor.may_post("pv")) == (
        "anna",
        Role.AGGREGATOR,
        True,
        False,
    )
    assert restarted.admit(await header(restarted, "anna")).username == "anna"


async def test_expire_all_ends_tokens_for_good(open_people: Open) -> None:
    _, people = open_people()
    token = await header(people, *ADMIN)
    people.admit(token)
    people.expire_all()
    with pytest.raises(AuthenticationError, match="not valid"):
        people.admit(token)
    _, restarted = open_people()
    with pytest.raises(AuthenticationError, match="not valid"):
        restarted.admit(token)
    assert people.admit(await header(people, *ADMIN)).role is Role.ADMIN


async def test_admin_given_at_the_start_gets_in_whatever_the_file_holds(open_people: Open) -> None:
    _, people = open_people()
    token = await header(people, *ADMIN)
    _, same = open_people()
    assert same.admit(token).role is Role.ADMIN
    _, other = open_people(("chief", "another"))
    with pytest.raises(AuthenticationError, match="password has been changed"):
        other.admit(token)
    with pytest.raises(AuthenticationError):
        await other.login(*ADMIN)
    assert other.admit(await header(other, "chief", "another")).role is Role.ADMIN


async def test_no_password_code_or_token_stands_in_the_file(
    open_people: Open, clock: FixedClock, tmp_path: Path
) -> None:
    ledger, people = open_people()
    code, _ = Invitations(ledger, clock, people).make("anna", Role.USER, [])
    await join(ledger, people, clock, "bert", Role.USER)
    token = await people.login("bert", "password of bert")
    ledger.close()
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"bert" in held
    for secret in (code, token, "password of bert"):
        assert secret.encode() not in held


@pytest.mark.parametrize("username", ["chief", "nobody", "", "\ud800"])
async def test_fifth_failure_in_five_minutes_is_the_last_for_that_name(
    open_people: Open, clock: FixedClock, username: str
) -> None:
    _, people = open_people()
    for _ in range(5):
        with pytest.raises(AuthenticationError, match="No active account found"):
            await people.login(username, "guess")
        clock.set(clock.now() + timedelta(minutes=1))
    clock.set(clock.now() - timedelta(minutes=1))
    with pytest.raises(HTTPException) as refused:
        await people.login(username, ADMIN[1])
    # The first failure was four minutes ago.
    assert (refused.value.status_code, refused.value.headers) == (429, {"Retry-After": "60"})
    clock.set(clock.now() + timedelta(seconds=60))
    with pytest.raises(AuthenticationError):
        await people.login(username, "guess")


async def test_throttled_name_keeps_no_other_out_and_success_clears_the_count(open_people: Open) -> None:
    _, people = open_people()
    for _ in range(5):
        with pytest.raises(AuthenticationError):
            await people.login("nobody", "guess")
    for _ in range(2):
        for _ in range(4):
            with pytest.raises(AuthenticationError):
                await people.login(ADMIN[0], "guess")
        await people.login(*ADMIN)


async def test_guesses_sent_side_by_side_are_counted_too(open_people: Open) -> None:
    _, people = open_people()
    tries = (people.login(ADMIN[0], f"guess {i}") for i in range(9))
    ends = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(end) for end in ends] == [AuthenticationError] * 5 + [HTTPException] * 4


async def test_hundred_failures_of_any_names_stop_every_login(open_people: Open, clock: FixedClock) -> None:
    _, people = open_people()
    for i in range(100):
        with pytest.raises(AuthenticationError):
            await people.login(f"name {i}", "guess")
    with pytest.raises(HTTPException) as refused:
        await people.login(*ADMIN)
    assert (refused.value.status_code, refused.value.headers) == (429, {"Retry-After": "300"})
    clock.set(clock.now() + timedelta(minutes=5))
    assert await people.login(*ADMIN)


async def test_hashing_leaves_the_loop_free(open_people: Open) -> None:
    _, people = open_people()
    login = asyncio.create_task(people.login(*ADMIN))
    turns = 0
    while not login.done():
        turns += 1
        await asyncio.sleep(0)
    # On the loop itself it would be over within a handful of turns.
    assert turns > 20


async def test_new_password_ends_the_tokens_of_the_old_one(open_people: Open, clock: FixedClock) -> None:
    ledger, people = open_people()
    await join(ledger, people, clock, "anna", Role.USER)
    token, other = await header(people, "anna"), await header(people, *ADMIN)
    with pytest.raises(AuthenticationError):
        await people.change_password("anna", "wrong", "a new password")
    await people.change_password("anna", "password of anna", "a new password")
    with pytest.raises(AuthenticationError, match="password has been changed"):
        people.admit(token)
    assert people.admit(other).username == "chief"
    with pytest.raises(AuthenticationError):
        await people.login("anna", "password of anna")
    assert people.admit(await header(people, "anna", "a new password")).username == "anna"


async def test_guessing_the_old_password_with_a_stolen_token_is_throttled_but_locks_nobody_out(
    open_people: Open,
) -> None:
    _, people = open_people()
    for _ in range(5):
        with pytest.raises(AuthenticationError):
            await people.change_password("chief", "guess", "a new password")
    with pytest.raises(HTTPException) as refused:
        await people.change_password("chief", ADMIN[1], "a new password")
    assert refused.value.status_code == 429
    assert await people.login(*ADMIN)


async def test_removed_user_is_out_at_once_and_a_namesake_gets_nothing_of_theirs(
    open_people: Open, clock: FixedClock
) -> None:
    ledger, people = open_people()
    await join(ledger, people, clock, "anna", Role.AGGREGATOR, "load")
    token = await header(people, "anna")
    people.remove("anna")
    with pytest.raises(AuthenticationError, match="User not found"):
        people.admit(token)
    await join(ledger, people, clock, "anna", Role.AGGREGATOR)
    with pytest.raises(AuthenticationError):
        people.admit(token)
    assert not people.admit(await header(people, "anna")).may_post("load")


async def test_who_has_aggregators_is_not_removed(open_people: Open, clock: FixedClock) -> None:
    ledger, people = open_people()
    await join(ledger, people, clock, "anna", Role.AGGREGATOR)
    ledger.put(AGGREGATOR, [{"uuid": "a", "name": "A", "username": "anna"}])
    with pytest.raises(RejectedError, match="aggregators"):
        people.remove("anna")
    assert people.find("anna") is not None


async def test_last_administrator_stays(open_people: Open, clock: FixedClock) -> None:
    ledger, people = open_people()
    for act in (lambda: people.remove("chief"), lambda: people.change_role("chief", Role.USER)):
        with pytest.raises(RejectedError, match="last administrator"):
            act()
    await join(ledger, people, clock, "anna", Role.ADMIN)
    people.change_role("chief", Role.USER)
    assert [(user.username, user.role) for user in people.all()] == [("anna", Role.ADMIN), ("chief", Role.USER)]


async def test_new_role_holds_for_tokens_in_use_and_carries_no_right_over(open_people: Open, clock: FixedClock) -> None:
    ledger, people = open_people()
    await join(ledger, people, clock, "anna", Role.USER, "load")
    token = await header(people, "anna")
    assert people.admit(token).may_see("load")
    people.change_role("anna", Role.AGGREGATOR)
    visitor = people.admit(token)
    assert (visitor.role, visitor.may_post("load"), visitor.may_see("load")) == (Role.AGGREGATOR, False, False)


async def test_code_is_good_once_and_for_seven_days(open_people: Open, clock: FixedClock) -> None:
    ledger, people = open_people()
    invitations = Invitations(ledger, clock, people)
    first, _ = invitations.make("anna", Role.USER, [])
    second, made = invitations.make("anna", Role.USER, [])
    assert made.ends_at == clock.now() + timedelta(days=7)
    for code in (first, "x", "\ud800"):
        with pytest.raises(RejectedError):
            await invitations.accept(code, "password of anna")
    clock.set(made.ends_at - timedelta(seconds=1))
    both = (invitations.accept(second, "password of anna"), invitations.accept(second, "password of another"))
    ends = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(isinstance(end, RejectedError) for end in ends) == [False, True]
    late, _ = invitations.make("bert", Role.USER, [])
    clock.set(clock.now() + timedelta(days=7))
    with pytest.raises(RejectedError):
        await invitations.accept(late, "password of bert")
    assert [user.username for user in people.all()] == ["anna", "chief"]
    with pytest.raises(RejectedError, match="already"):
        invitations.make("anna", Role.ADMIN, [])
