"""SolarEdge by OAuth 2: the owner's consent, and refresh tokens that die on use, over workers that are killed."""

import fcntl
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.collect.cloud.account import Surroundings, open_account
from pipelines.collect.cloud.tokens import TokenFile, TokenKeeper, parse_tokens
from pipelines.collect.vendors.solaredge import VENDOR
from pipelines.community import Cloud
from pipelines.errors import AuthenticationError, SourceError, SourceUnavailable
from pipelines.sandbox.clouds.demo import assignments
from pipelines.sandbox.clouds.faults import CloudFault, CloudRule
from pipelines.settings import Secrets

SITE, OTHER = assignments()["PV 1"][1], assignments()["PV 2"][1]

WORKER = """
import json, sys
from datetime import datetime, timedelta
from pathlib import Path
import polars as pl
from pipelines.clock import FixedClock
from pipelines.collect.cloud.account import Surroundings, open_cloud
from pipelines.collect.source import STREAMS, Fetch
from pipelines.collect.vendors.solaredge import VENDOR
from pipelines.community import Cloud
from pipelines.settings import Secrets
from pipelines.store import open_store

task = json.load(sys.stdin)
now = datetime.fromisoformat(task["now"])
store = open_store(task["store"])
cloud = Cloud.model_validate({"type": "solaredge", "url": task["url"], "client_id": "me"})
around = Surroundings(
    store=store, secrets=Secrets(Path(task["folder"]), environment={"SLOTFEED_SOURCE_ACC_PASSWORD": task["secret"]}),
    folder=Path(task["folder"]), place=None, now=FixedClock(now).now, gives_up=None,
    sleep=lambda seconds: None,
)
row = dict(stream_id="s", meter=task["site"], wanted="production", kind="interval", stream_unit="Wh",
           span=timedelta(minutes=15), ends=False, zone="UTC")
fetch = Fetch(source="acc", start=now - timedelta(hours=3), end=now - timedelta(hours=1), since=None,
              received_at=now, run_id="r")
with open_cloud("acc", VENDOR, cloud, around) as source:
    answer = source.read(pl.DataFrame([row], schema=STREAMS), fetch)
for error in answer.failed.values():
    raise error
print(len(answer.rows))
store.close()
"""


def consent(stage: Any, *, site: str = SITE, bare: bool = False, change: str = "") -> str:
    """What a person does: open the page, take what it shows back to the terminal."""

    def show(address: str) -> str:
        page = httpx.get(f"{address}&site_id={site}").text
        back, code = re.search(r"https://app\.example\S+?(?=<)", page), re.search(r"<code>([^<]+)</code>", page)
        assert back is not None
        assert code is not None
        return change + (code[1] if bare else back[0].replace("&amp;", "&"))

    cloud = Cloud.model_validate({"type": "solaredge", "url": f"{stage.url}/solaredge/v2", "client_id": "me"})
    around = Surroundings(
        store=stage.store,
        secrets=Secrets(stage.folder, environment={"SLOTFEED_SOURCE_ACC_PASSWORD": stage.world.secret}),
        folder=stage.folder,
        place=None,
        now=stage.clock.now,
        gives_up=None,
        sleep=stage.sleep,
    )
    with open_account("acc", VENDOR, cloud, around) as account:
        assert VENDOR.authorise is not None
        return VENDOR.authorise(account, show)


def kept(stage: Any) -> TokenFile:
    return TokenFile(stage.folder / ".slotfeed" / "tokens", "acc")


def renewals(stage: Any) -> int:
    """Requests to the token endpoint since the owner's consent."""
    return sum(entry["path"].endswith("/oauth2/token") for entry in stage.world.journal.entries()) - 1


def read(stage: Any, site: str = SITE) -> Any:
    end = stage.clock.now() - timedelta(hours=1)
    with stage.open("solaredge", live=False, client_id="me", place=None) as source:
        return stage.read(source, end - timedelta(hours=2), end, (site, "production"))


def worker(stage: Any) -> subprocess.Popen[bytes]:
    """A process that reads two hours of the site."""
    task = {
        "now": stage.clock.now().isoformat(),
        "store": f"sqlite:///{stage.folder / 'slotfeed.sqlite'}",
        "folder": str(stage.folder),
        "url": f"{stage.url}/solaredge/v2",
        "secret": stage.world.secret,
        "site": SITE,
    }
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", WORKER], stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdin is not None
    process.stdin.write(json.dumps(task).encode())
    process.stdin.close()
    process.stdin = None
    return process


def slow_renewal(stage: Any, monkeypatch: pytest.MonkeyPatch, seconds: float) -> threading.Event:
    """Let the vendor think before it answers a renewal; the event tells that the request is there."""
    arrived, original = threading.Event(), stage.world.journal.open_entry

    def noting(**entry: Any) -> Any:
        if entry["path"].endswith("/oauth2/token"):
            arrived.set()
        return original(**entry)

    monkeypatch.setattr(stage.world.journal, "open_entry", noting)
    stage.world.faults.replace([CloudRule(do=CloudFault.DELAY, path="/oauth2/token", seconds=seconds)])
    return arrived


def wait_for_renewal(stage: Any) -> None:
    """Until nobody holds the lock on the tokens."""
    with (stage.folder / ".slotfeed" / "tokens" / "acc.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


# Consent


def test_the_owner_admits_slotfeed_to_one_site(stage: Any) -> None:
    assert SITE in consent(stage)
    assert len(read(stage).rows) == 8
    refused = read(stage, OTHER).failed[OTHER]
    assert "403" in str(refused)
    assert f"the account's sites: {SITE}" in str(refused)
    with stage.open("solaredge", client_id="me") as source:
        assert [device.device for device in source.devices()] == [SITE]
    assert not [entry for entry in stage.world.journal.entries() if entry["path"].endswith("/sites")]


def test_a_bare_code_will_do(stage: Any) -> None:
    consent(stage, bare=True)
    assert len(read(stage).rows) == 8


def test_tokens_are_their_owners_alone(stage: Any) -> None:
    consent(stage)
    path = kept(stage).path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in sorted(path.parent.iterdir())] == ["acc.json", "acc.lock"]
    tokens = kept(stage).read()
    assert tokens.access not in repr(tokens)
    assert tokens.refresh not in repr(tokens)


def test_a_wrong_code_is_refused_and_keeps_the_old_tokens(stage: Any) -> None:
    consent(stage)
    before = kept(stage).read()
    with pytest.raises(AuthenticationError, match="authorise acc again"):
        consent(stage, bare=True, change="x")
    assert kept(stage).read() == before


def test_without_consent_nothing_is_asked(stage: Any) -> None:
    with pytest.raises(AuthenticationError, match="slotfeed sources authorise acc"):
        read(stage)
    assert not stage.world.journal.entries()


# Renewal


def test_an_ended_token_is_renewed_before_it_is_refused(stage: Any) -> None:
    consent(stage)
    before = kept(stage).read()
    stage.clock.set(stage.clock.now() + timedelta(hours=2))
    assert len(read(stage).rows) == 8
    after = kept(stage).read()
    assert {after.access, after.refresh}.isdisjoint({before.access, before.refresh})
    assert after.told == {"site_id": SITE}
    assert [entry["status"] for entry in stage.world.journal.entries()][-2:] == [200, 200]
    assert renewals(stage) == 1


def test_a_refused_token_is_renewed_once(stage: Any) -> None:
    consent(stage)
    stage.world.faults.replace([CloudRule(do=CloudFault.STATUS, path="/energy", status=401, times=1)])
    assert len(read(stage).rows) == 8
    assert renewals(stage) == 1


def test_a_revoked_consent_asks_for_the_owner(stage: Any) -> None:
    consent(stage)
    tokens = kept(stage).read()
    httpx.post(f"{stage.url}/solaredge/v2/oauth2/revoke-token", json={"token": tokens.refresh})
    with pytest.raises(AuthenticationError, match="slotfeed sources authorise acc") as refused:
        read(stage)
    assert "invalid_grant" in str(refused.value)
    for secret in (tokens.access, tokens.refresh, stage.world.secret):
        assert secret not in str(refused.value)
    assert renewals(stage) == 1, "not tried again"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (CloudRule(do=CloudFault.STATUS, path="/oauth2", status=503), SourceUnavailable),
        (CloudRule(do=CloudFault.STATUS, path="/oauth2", status=429, retry_after="3000"), SourceUnavailable),
        (CloudRule(do=CloudFault.HTML, path="/oauth2"), SourceError),
        (CloudRule(do=CloudFault.REPLACE, path="/oauth2", body='{"access_token": false}'), SourceError),
        (CloudRule(do=CloudFault.RESET, path="/oauth2"), SourceUnavailable),
    ],
)
def test_a_renewal_that_fails_leaves_the_tokens_and_is_told_by_type(
    stage: Any, fault: CloudRule, error: type[Exception]
) -> None:
    consent(stage)
    before = kept(stage).read()
    keeper = TokenKeeper(
        source="acc",
        file=kept(stage),
        address=f"{stage.url}/solaredge/v2/oauth2/token",
        client_id="me",
        client_secret=Secrets(stage.folder, environment={"X": stage.world.secret}).need(("X",), purpose="test"),
        hidden=[],
        now=stage.clock.now,
    )
    stage.world.faults.replace([fault])
    with pytest.raises(error, match="'acc'") as raised:
        keeper.renew(before.access)
    assert getattr(raised.value, "retry_after_s", None) == (3000.0 if fault.retry_after else None)
    assert kept(stage).read() == before


def test_tokens_that_cannot_be_kept_are_not_asked_for(stage: Any) -> None:
    consent(stage)
    (kept(stage).path.parent / "acc.new").mkdir()  # in the way of the new file
    stage.clock.set(stage.clock.now() + timedelta(hours=2))
    failed = read(stage).failed[SITE]
    assert "couldn't be written" in str(failed)
    assert renewals(stage) == 0


def test_a_killed_worker_does_not_lose_the_tokens(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    consent(stage)
    before = kept(stage).read()
    stage.clock.set(stage.clock.now() + timedelta(hours=2))
    arrived = slow_renewal(stage, monkeypatch, seconds=3)
    killed = worker(stage)
    assert arrived.wait(60), killed.communicate()[1].decode()
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    killed.communicate()
    assert kept(stage).read() == before, "killed while the vendor was still thinking"
    wait_for_renewal(stage)
    assert kept(stage).read().refresh != before.refresh

    said, wrong = worker(stage).communicate()
    assert said.strip() == b"8", wrong.decode()
    assert renewals(stage) == 1


def test_two_processes_renew_once(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    consent(stage)
    stage.clock.set(stage.clock.now() + timedelta(hours=2))
    # Long enough that the second has found the old tokens before the first has new ones.
    slow_renewal(stage, monkeypatch, seconds=3)
    workers = [worker(stage), worker(stage)]
    said = [each.communicate() for each in workers]
    assert [out.strip() for out, _ in said] == [b"8", b"8"], said
    assert renewals(stage) == 1


def test_no_secret_stands_on_the_childs_command_line(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    consent(stage)
    stage.clock.set(stage.clock.now() + timedelta(hours=2))
    lines: list[Any] = []
    original = subprocess.Popen

    class Noted(original):  # type: ignore[type-arg, misc]
        def __init__(self, arguments: Any, **how: Any) -> None:
            lines.append(arguments)
            super().__init__(arguments, **how)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    read(stage)
    assert lines == [[sys.executable, "-m", "pipelines.collect.cloud.renew"]]


# Answers of a token endpoint


def test_documented_token_answers(recorded: Any, noon: datetime) -> None:
    tokens = parse_tokens(json.loads(recorded("solaredge/token.json")), noon)
    assert (tokens.access, tokens.refresh) == ("new-access", "new-refresh")
    assert tokens.expires_at == noon + timedelta(hours=2)
    same = parse_tokens({"access_token": "a", "expires_in": "soon"}, noon, before=tokens)
    assert same.refresh == "new-refresh", "an answer without one leaves it in force"
    for told in (None, [], {}, {"access_token": "a"}, {"access_token": "", "refresh_token": "b"}):
        with pytest.raises(ValueError, match=r"object|in it"):
            parse_tokens(told, noon)


def test_a_broken_file_is_no_tokens(tmp_path: Path) -> None:
    file = TokenFile(tmp_path, "acc")
    file.path.touch(mode=0o600)
    for content in (b"", b"[]", b'{"access": "a"}', b"\xff"):
        file.path.write_bytes(content)
        assert file.read() is None
