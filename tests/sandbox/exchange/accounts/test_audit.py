"""The log of who did, or tried, what."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

import pytest
from fastapi import HTTPException
from sqlalchemy import insert

from pipelines.clock import FixedClock
from pipelines.sandbox.exchange.accounts.audit import Audit
from pipelines.sandbox.exchange.accounts.people import Role, Visitor
from pipelines.sandbox.exchange.ledger import Ledger, open_ledger
from pipelines.sandbox.exchange.tables import AUDIT

ANNA = Visitor(username="anna", role=Role.AGGREGATOR)


@pytest.fixture
def clock(noon: datetime) -> FixedClock:
    return FixedClock(noon)


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with closing(open_ledger(None, simulation="s")) as opened:
        yield opened


@pytest.fixture
def audit(ledger: Ledger, clock: FixedClock) -> Audit:
    return Audit(ledger, clock)


def forbid(audit: Audit, subject: str) -> None:
    with pytest.raises(HTTPException) as refused:
        audit.forbid(ANNA, "set_energy_forecast", subject)
    assert (refused.value.status_code, refused.value.detail) == (
        403,
        "You do not have permission to perform this action.",
    )


def test_lines_are_told_newest_first_and_page_by_page(audit: Audit, clock: FixedClock, noon: datetime) -> None:
    for minute in range(5):
        clock.set(noon + timedelta(minutes=minute))
        audit.note("chief", "switch-live", f"asset {minute}", "on")
    first = audit.lines(limit=2)
    assert [(line.subject, line.at) for line in first] == [
        ("asset 4", noon + timedelta(minutes=4)),
        ("asset 3", noon + timedelta(minutes=3)),
    ]
    assert [line.subject for line in audit.lines(limit=9, before=first[-1].id)] == ["asset 2", "asset 1", "asset 0"]


def test_refusals_in_a_loop_are_a_line_a_minute(audit: Audit, clock: FixedClock, noon: datetime) -> None:
    for second in range(0, 121, 10):
        clock.set(noon + timedelta(seconds=second))
        forbid(audit, "load")
    forbid(audit, "pv")
    assert [(line.subject, line.at - noon) for line in reversed(audit.lines(limit=99))] == [
        ("load", timedelta(0)),
        ("load", timedelta(minutes=1)),
        ("load", timedelta(minutes=2)),
        ("pv", timedelta(minutes=2)),
    ]
    assert audit.lines(limit=1)[0].outcome == "forbidden"


def test_only_the_newest_hundred_thousand_lines_are_kept(audit: Audit, ledger: Ledger) -> None:
    old = {"at_s": 0.0, "username": "u", "action": "a", "outcome": "o"}
    with ledger.writing() as connection:
        connection.execute(insert(AUDIT), [old | {"subject": str(i)} for i in range(100_005)])
    audit.note("chief", "remove-user", "anna", "done")
    kept = audit.lines(limit=200_000)
    assert (len(kept), kept[0].subject, kept[-1].subject) == (100_000, "anna", "6")


def test_any_text_can_be_written_and_is_cut(audit: Audit) -> None:
    audit.note("\ud800", "a", "x" * 5000, "o")
    line = audit.lines(limit=1)[0]
    assert (line.username, line.subject) == ("\\ud800", "x" * 200)
