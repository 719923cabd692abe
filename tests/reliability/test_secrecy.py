"""Invariant 8: what was planted on purpose is found, in every spelling."""

import base64

import pytest

from pipelines.store import (
    RunRow,
    SubmissionRow,
)
from tests.flows.places import PASSWORD
from tests.reliability.damage import Copy, broken, forecast, where
from tests.reliability.invariants import told

PARTS = (b'{"alg": "HS256"}', b'{"u": "me"}', b"signature")
TOKEN = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in PARTS)
"""In the form of a JSON web token."""


def test_a_secret_in_a_table(rest: Copy) -> None:
    run = rest.rows(RunRow)[1]
    rest.edit(RunRow, {"summary": run["summary"] | {"error": f"login with {PASSWORD}"}}, run_id=run["run_id"])
    found = broken(rest)
    assert {int(v.invariant) for v in found} == {8}
    assert "table run, column summary, row 2" in told(found)
    # And so in the database's file.
    assert "slotfeed.sqlite" in told(found)
    assert PASSWORD not in told(found)


@pytest.mark.parametrize(
    "text",
    [PASSWORD, base64.b64encode(PASSWORD.encode()).decode(), TOKEN],
    ids=["clear", "base64", "token"],
)
def test_a_secret_in_a_log_and_on_the_screen(rest: Copy, text: str) -> None:
    log = rest.folder / "logs" / "feed.log"
    log.parent.mkdir()
    log.write_text(f"first\nsecond\nheaders: {text}\n")
    rest.more["texts"] = {"feed 1": f"Traceback\n{text}"}
    found = broken(rest)
    assert [int(v.invariant) for v in found] == [8, 8]
    assert [v.where for v in found] == [f"file {log}, line 3", "feed 1, line 2"]


def test_a_token_in_an_error_of_the_outbox(rest: Copy) -> None:
    key = forecast(rest)
    rest.edit(SubmissionRow, {"error": f"401 for JWT {TOKEN}"}, **where(key))
    found = broken(rest)
    assert {int(v.invariant) for v in found} == {8}
    assert "table submission, column error" in told(found)
