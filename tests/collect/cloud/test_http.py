"""The client that all vendor clouds share, against a server that misbehaves."""

import json
import stat
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.collect.cloud import http as module
from pipelines.collect.cloud.budget import Limit
from pipelines.collect.cloud.http import LoginLost, Reply
from pipelines.errors import AccountStopped, AuthenticationError, SlotfeedError, SourceError, SourceUnavailable

TOKEN = "tok-5f3c-hush"
WHAT = "readings of device 7, 12:00 to 13:00"
PAGE = b"<!DOCTYPE html><title>Back soon</title>"


def whole_chain(error: BaseException | None) -> str:
    """All that a log could show of an error: its texts, and those of what it came from."""
    parts = []
    while error is not None:
        parts.append(f"{error!s} {error!r} {error.args!r}")
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


def test_answer_and_what_was_sent(desk: Any, server: Any) -> None:
    http = desk.http(url=f"{server.url}/v1")
    assert http.get("/things", what=WHAT, params={"from": 5}) == {"ok": True}
    assert http.post("/ask", what=WHAT, body={"a": [1]}) == {"ok": True}
    assert [request[":path"] for request in server.seen] == ["/v1/things?from=5", "/v1/ask"]
    assert json.loads(server.seen[1][":body"]) == {"a": [1]}
    assert {request["authorization"] for request in server.seen} == {f"Bearer {TOKEN}"}
    assert desk.waits == []


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_no_body_is_none(desk: Any, server: Any, body: bytes) -> None:
    server.tell(body=body)
    assert desk.http().get("/", what=WHAT) is None


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
def test_busy_server_is_asked_again_with_jitter(desk: Any, server: Any, status: int) -> None:
    server.tell(status, b"busy", times=3)
    assert desk.http().get("/", what=WHAT) == {"ok": True}
    assert len(desk.waits) == 3
    assert len(set(desk.waits)) == 3, "not in step with other clients"
    assert all(0 <= wait <= 20 for wait in desk.waits)


def test_four_tries_are_enough(desk: Any, server: Any) -> None:
    server.tell(503, b"busy", times=9)
    with pytest.raises(SourceUnavailable, match=f"source 'acc', {WHAT}: the vendor answered 503"):
        desk.http().get("/", what=WHAT)
    assert len(server.seen) == 4


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_wait_as_long_as_asked_and_a_little_more(desk: Any, server: Any, status: int, form: str) -> None:
    asked = "40" if form == "seconds" else format_datetime(server.date + timedelta(seconds=40), usegmt=True)
    server.tell(status, b"", Retry_After=asked)
    assert desk.http().get("/", what=WHAT) == {"ok": True}
    (wait,) = desk.waits
    assert 40 <= wait <= 45


def test_date_in_retry_after_counts_by_the_servers_clock(desk: Any, server: Any) -> None:
    """Ours may be a minute wrong."""
    server.date += timedelta(hours=3)
    server.tell(429, b"", Retry_After=format_datetime(server.date + timedelta(seconds=40), usegmt=True))
    http = desk.http()
    http.get("/", what=WHAT)
    assert 40 <= desk.waits[0] <= 45
    assert http.ahead_s == pytest.approx(3 * 3600 - desk.waits[0])


@pytest.mark.parametrize(
    ("asked", "stop"),
    [
        (None, timedelta(minutes=15)),
        ("soon", timedelta(minutes=15)),
        ("71", timedelta(seconds=71)),
        ("86400", timedelta(days=1)),
    ],
)
def test_429_that_is_not_waited_for_stops_the_account(
    desk: Any, server: Any, noon: datetime, asked: str | None, stop: timedelta
) -> None:
    server.tell(429, b"enough", **({} if asked is None else {"Retry_After": asked}))
    with pytest.raises(AccountStopped, match="too many requests") as stopped:
        desk.http().get("/", what=WHAT)
    assert stopped.value.until == noon + stop
    assert (len(server.seen), desk.waits) == (1, []), "trying on would burn requests"


@pytest.mark.parametrize("asked", ["99999999999999", "9" * 400])
def test_absurd_wait_is_no_crash(desk: Any, server: Any, noon: datetime, asked: str) -> None:
    server.tell(429, b"", Retry_After=asked)
    with pytest.raises(AccountStopped) as stopped:
        desk.http().get("/", what=WHAT)
    assert stopped.value.until is None or stopped.value.until > noon + timedelta(days=1)
    server.tell(503, b"", Retry_After=asked)
    with pytest.raises(SourceUnavailable):
        desk.http().get("/", what=WHAT)
    assert desk.waits == []


def test_live_run_does_not_wait_beyond_its_end(desk: Any, server: Any) -> None:
    server.tell(503, b"", Retry_After="60", times=4)
    with pytest.raises(SourceUnavailable):
        desk.http(gives_up_s=30).get("/", what=WHAT)
    assert desk.waits == []
    server.answers.clear()
    server.tell(503, b"", Retry_After="60")
    assert desk.http(gives_up_s=90).get("/", what=WHAT) == {"ok": True}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(desk: Any, server: Any, make_server: Callable[[], Any], status: int) -> None:
    elsewhere = make_server()
    server.tell(status, b"", Location=f"{elsewhere.url}/v1")
    with pytest.raises(SourceError, match=r"redirected to 127\.0\.0\.1; nothing is sent there"):
        desk.http().get("/", what=WHAT)
    assert (len(server.seen), elsewhere.seen) == (1, []), "the key must not travel"


@pytest.mark.parametrize("location", ["", "/elsewhere"])
def test_redirect_to_nowhere_is_told_too(desk: Any, server: Any, location: str) -> None:
    server.tell(302, b"", Location=location)
    with pytest.raises(SourceError, match="redirected to elsewhere"):
        desk.http().get("/", what=WHAT)


@pytest.mark.parametrize("location", ["http://host:port/", "http://[::1"])
def test_redirect_that_cannot_be_read_is_no_answer(desk: Any, server: Any, location: str) -> None:
    server.tell(302, b"", Location=location, times=4)
    with pytest.raises(SourceUnavailable, match="no answer from"):
        desk.http().get("/", what=WHAT)


def test_answer_that_drips_is_given_up(desk: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_S", 0.0)
    with pytest.raises(SourceUnavailable, match="took longer than 0 s"):
        desk.http().get("/", what=WHAT)
    assert len(server.seen) == 4


def test_answer_that_is_too_large_is_not_read_to_its_end(
    desk: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 2**20)
    server.tell(body=b"[" + b"1," * 2**20 + b"1]")
    with pytest.raises(SourceError, match="larger than 1 MiB"):
        desk.http().get("/", what=WHAT)
    assert len(server.seen) == 1, "it wouldn't be smaller the next time"


def test_body_that_is_cut_off_is_asked_again(desk: Any, server: Any) -> None:
    server.tell(body=b'[{"a":1},', announced=4000)
    assert desk.http().get("/", what=WHAT) == {"ok": True}
    assert len(server.seen) == 2


def test_nobody_listens(desk: Any) -> None:
    with pytest.raises(SourceUnavailable, match=r"no answer from 127\.0\.0\.1 \(ConnectError"):
        desk.http(url="http://127.0.0.1:1").get("/", what=WHAT)
    assert len(desk.waits) == 3


@pytest.mark.parametrize("status", [200, 403, 404])
def test_web_page_speaks_for_no_vendor(desk: Any, server: Any, status: int) -> None:
    server.tell(status, PAGE, times=4)
    with pytest.raises(SourceUnavailable) as unavailable:
        desk.http().get("/", what=WHAT)
    assert len(server.seen) == 4
    assert "Back soon" not in str(unavailable.value)


@pytest.mark.parametrize(
    ("status", "said"), [(400, "span too long"), (403, "not yours"), (404, ""), (409, "x" * 300), (422, "no")]
)
def test_refusal_is_final_and_quoted(desk: Any, server: Any, status: int, said: str) -> None:
    server.tell(status, said.encode())
    with pytest.raises(SourceError) as refused:
        desk.http().get("/", what=WHAT)
    assert str(refused.value) == f"source 'acc', {WHAT}: the vendor answered {status}: {said[:200] or 'empty body'}"
    assert len(server.seen) == 1


def test_what_cannot_be_read_is_kept_for_its_owner_alone(desk: Any, server: Any) -> None:
    server.tell(body=f'{{"token":"{TOKEN}","rows":[1,2'.encode(), times=4)
    with pytest.raises(SourceUnavailable) as unavailable:
        desk.http().get("/", what=WHAT)
    newest = desk.kept()[-1]
    assert str(newest) in str(unavailable.value)
    assert newest.read_text() == '{"token":"***","rows":[1,2'
    assert stat.S_IMODE(newest.stat().st_mode) == 0o600
    assert stat.S_IMODE(newest.parent.stat().st_mode) == 0o700


def test_what_is_kept_is_bounded(desk: Any, server: Any) -> None:
    http = desk.http()
    for number in range(30):
        desk.clock.set(desk.clock.now() + timedelta(minutes=1))
        http.strange(WHAT, "no list came", {"number": number, "filler": "x" * 100_000})
    assert len(desk.kept()) == 20
    assert all(path.stat().st_size == 65_536 for path in desk.kept())
    assert '"number":29' in desk.kept()[-1].read_text()
    assert '"number":10' in desk.kept()[0].read_text(), "the oldest are dropped"


def test_folder_that_cannot_be_written_hides_no_error(desk: Any, server: Any) -> None:
    (desk.folder / "unreadable").write_text("a file")
    error = desk.http().strange(WHAT, "no list came", {})
    assert str(error) == f"source 'acc', {WHAT}: no list came"


def test_refused_key_is_not_tried_again(desk: Any, server: Any) -> None:
    server.tell(401, b"wrong key")
    with pytest.raises(AuthenticationError, match=r"login was refused \(401\): wrong key"):
        desk.http().get("/", what=WHAT)
    assert len(server.seen) == 1


class Login:
    """A session that is renewed by logging in, as vendors with tokens do it."""

    def __init__(self) -> None:
        self.token, self.logins = "old", 0

    def headers(self) -> dict[str, str]:
        return {"Authorization": self.token}

    def renew(self, refused: dict[str, str]) -> None:
        if refused["Authorization"] == self.token:
            self.token, self.logins = "new", self.logins + 1


def test_one_login_serves_all_workers(desk: Any, server: Any) -> None:
    login = Login()
    together = threading.Barrier(8)

    def decide(request: dict[str, str]) -> Any:
        old = request["authorization"] == "old"
        if old:
            together.wait(timeout=30)  # all eight are under way before the first is refused
        return SimpleNamespace(status=401 if old else 200, body=b'{"ok":true}', headers=(), announced=None)

    server.decide = decide
    http = desk.http(headers=login.headers, renew=login.renew)
    done, failed = http.each(range(8), lambda number: http.get(f"/{number}", what=WHAT))
    assert (done, failed) == ({number: {"ok": True} for number in range(8)}, {})
    assert login.logins == 1
    assert len(server.seen) == 16


def test_refused_right_after_a_login(desk: Any, server: Any) -> None:
    login = Login()
    server.tell(401, b"no", times=2)
    with pytest.raises(AuthenticationError, match="refused right after a login"):
        desk.http(headers=login.headers, renew=login.renew).get("/", what=WHAT)
    assert (login.logins, len(server.seen)) == (1, 2)


def test_vendors_own_error_form_inside_200(desk: Any, server: Any) -> None:
    login = Login()

    def judge(reply: Reply, parsed: Any) -> None:
        if parsed and parsed.get("failCode") == 305:
            raise LoginLost(f"logged out ({reply.status})")

    server.tell(body=b'{"failCode":305}')
    http = desk.http(headers=login.headers, renew=login.renew, judge=judge)
    assert http.get("/", what=WHAT) == {"ok": True}
    assert login.logins == 1


def test_retired_interface_stops_the_account_for_a_day(desk: Any, server: Any, noon: datetime) -> None:
    server.tell(410, b"use v3")
    with pytest.raises(AccountStopped, match=r"retired \(410\): use v3") as stopped:
        desk.http().get("/", what=WHAT)
    assert stopped.value.until == noon + timedelta(days=1)
    assert len(server.seen) == 1


SAYS_TOKEN = f'{{"you sent":"{TOKEN}"}}'.encode()


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, b"you sent " + TOKEN.encode(), {}),
        (200, PAGE + TOKEN.encode(), {}),
        (302, b"", {"Location": f"http://elsewhere.example/?key={TOKEN}"}),
        (400, SAYS_TOKEN, {}),
        (400, b"x" * 195 + TOKEN.encode(), {}),
        (401, SAYS_TOKEN, {}),
        (403, SAYS_TOKEN, {}),
        (404, PAGE + TOKEN.encode(), {}),
        (410, SAYS_TOKEN, {}),
        (429, SAYS_TOKEN, {}),
        (503, SAYS_TOKEN, {}),
        (302, b"", {"Location": f"http://elsewhere:{TOKEN}/"}),
    ],
)
def test_no_error_tells_a_secret(desk: Any, server: Any, status: int, body: bytes, headers: dict[str, str]) -> None:
    server.tell(status, body, times=4, **headers)
    with pytest.raises(SlotfeedError) as raised:
        desk.http().get("/", what=WHAT)
    assert TOKEN not in whole_chain(raised.value)
    assert TOKEN[:5] not in whole_chain(raised.value), "not a part of it either"
    assert not any(TOKEN in path.read_text() for path in desk.kept())


@pytest.mark.parametrize("key", ["tok-5f3c\nhush", "tok-5f3c-häsh", "tok-5f3c "])
def test_key_that_no_header_can_carry(desk: Any, server: Any, key: str) -> None:
    """Copied with a line break or a stray letter: the error mustn't quote it."""
    http = desk.http(headers=lambda: {"X-API-Key": key})
    http.hidden.append(key)
    with pytest.raises(SlotfeedError) as raised:
        http.get("/", what=WHAT)
    assert "5f3c" not in whole_chain(raised.value)
    assert server.seen == []


def test_login_is_one_try_without_the_sessions_headers(desk: Any, server: Any) -> None:
    http = desk.http()
    server.tell(200, b'{"token":"fresh"}', XSRF_TOKEN="t1")
    reply = http.login("/login", what="login", body={"userName": "me", "systemCode": "hush"})
    assert (reply.status, reply.headers["xsrf-token"]) == (200, "t1")
    assert "authorization" not in server.seen[0]
    server.tell(401, b"no")
    assert http.login("/login", what="login", body={}).status == 401, "the vendor file says what it means"
    server.tell(503, b'{"systemCode":"hush"}')
    with pytest.raises(SourceUnavailable) as unavailable:
        http.login("/login", what="login", body={})
    assert "hush" not in whole_chain(unavailable.value)
    assert (len(server.seen), desk.waits, desk.kept()) == (3, [], [])


def test_some_fail_and_the_others_go_on(desk: Any, server: Any) -> None:
    http = desk.http()

    def ask(number: int) -> int:
        if number % 3 == 0:
            raise SourceError(f"no {number}")
        return number * number

    done, failed = http.each(range(10), ask)
    assert done == {1: 1, 2: 4, 4: 16, 5: 25, 7: 49, 8: 64}
    assert {number: str(error) for number, error in failed.items()} == {n: f"no {n}" for n in (0, 3, 6, 9)}
    assert http.each([], ask) == ({}, {})


@pytest.mark.parametrize("error", [AuthenticationError("refused"), AccountStopped("spent", until=None)])
def test_what_concerns_the_account_ends_all(desk: Any, error: SlotfeedError) -> None:
    asked = []

    def ask(number: int) -> int:
        asked.append(number)
        raise error

    with pytest.raises(type(error), match=str(error)):
        desk.http().each(range(1000), ask, concurrency=4)
    assert len(asked) < 1000, "those not yet under way aren't asked"


def test_every_try_counts_and_a_spent_budget_is_waited_for(desk: Any, server: Any) -> None:
    limit = Limit(name="minute", most=2, per=timedelta(minutes=1), says="ours")
    http = desk.http(limit, gives_up_s=600)
    server.tell(503, b"", Retry_After="0")
    http.get("/", what=WHAT)
    assert len(server.seen) == 2
    before = len(desk.waits)
    http.get("/", what=WHAT)
    assert 59 < sum(desk.waits[before:]) <= 64, "a minute, and up to a twentieth more"


@pytest.mark.parametrize(("per", "gives_up_s"), [(timedelta(minutes=1), 30.0), (timedelta(hours=1), None)])
def test_spent_budget_that_frees_too_late_stops_the_account(
    desk: Any, server: Any, noon: datetime, per: timedelta, gives_up_s: float | None
) -> None:
    http = desk.http(Limit(name="l", most=1, per=per, says="ours"), gives_up_s=gives_up_s)
    http.get("/", what=WHAT)
    with pytest.raises(AccountStopped, match="budget of requests is spent") as stopped:
        http.get("/", what=WHAT)
    assert noon + per <= stopped.value.until <= noon + per * 1.05
    assert (len(server.seen), desk.waits) == (1, [])


def test_nothing_is_asked_once_the_run_is_to_stop(desk: Any, server: Any) -> None:
    http = desk.http(Limit(name="day", most=1, per=timedelta(days=1), says="ours"))
    http.stopping = lambda: True
    with pytest.raises(SourceUnavailable, match=f"source 'acc', {WHAT}: not asked"):
        http.get("/", what=WHAT)
    assert server.seen == []
    # Nor is it counted.
    http.stopping = lambda: False
    assert http.get("/", what=WHAT) == {"ok": True}
