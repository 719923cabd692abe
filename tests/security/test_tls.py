"""Certificates that are not to be believed, at every door and over real TLS."""

import re
import ssl
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pipelines.tls import tls_context
from tests.security.doors import DOORS, SECRETS, Address
from tests.security.listeners import Authority, listening

PLACES = ("flows", "pipelines", "expectations")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trusted() -> Authority:
    return Authority("an authority of one's own")


@pytest.fixture
def _trusting(trusted: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The authority in SSL_CERT_FILE, as its owner names it; and what switches the check off in other programs."""
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted.write(tmp_path / "ca.pem")))
    monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")
    monkeypatch.setenv("CURL_CA_BUNDLE", "")
    monkeypatch.setenv("SSL_VERIFY", "false")
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


def too_old(context: ssl.SSLContext) -> ssl.SSLContext:
    with warnings.catch_warnings(category=DeprecationWarning, action="ignore"):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def myself(folder: Path) -> ssl.SSLContext:
    own = Authority("127.0.0.1")
    return own.server(folder)


BAD: dict[str, tuple[Callable[[Authority, Path], ssl.SSLContext], str]] = {
    "expired": (lambda ca, folder: ca.server(folder, ends_in=timedelta(days=-1)), "expired"),
    "another's name": (lambda ca, folder: ca.server(folder, "exchange.example"), "mismatch|not valid for"),
    "signed by nobody known": (lambda _, folder: myself(folder), "self.signed|unable to get local issuer"),
    "TLS 1.1": (lambda ca, folder: too_old(ca.server(folder)), "(?i)version|protocol"),
}


@pytest.mark.usefixtures("_trusting")
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("door", DOORS)
def test_a_certificate_that_is_not_good_ends_it_before_anything_is_said(
    door: str, bad: str, trusted: Authority, tmp_path: Path
) -> None:
    server, reason = BAD[bad]
    with listening(server(trusted, tmp_path)) as listener:
        told = DOORS[door](Address(url=listener.url, folder=tmp_path))
        assert listener.heard == []
    # The renewal tells the kind of error only.
    assert re.search("ConnectError" if door == "renewal" else reason, told), told


@pytest.mark.usefixtures("_trusting")
@pytest.mark.parametrize("door", DOORS)
def test_an_authority_of_ones_own_is_believed(door: str, trusted: Authority, tmp_path: Path) -> None:
    with listening(trusted.server(tmp_path)) as listener:
        DOORS[door](Address(url=listener.url, folder=tmp_path))
        assert listener.heard
        # The vendor's key goes over its websocket after the handshake alone, and this server shakes no hand.
        sent = "".join(heard.whole for heard in listener.heard)
        assert any(secret in sent for secret in SECRETS) == (door != "cloud_websocket")


def test_the_check_stands_in_no_setting() -> None:
    context = tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    switches = r"verify\s*=\s*False|CERT_NONE|CERT_OPTIONAL|check_hostname\s*=|_create_unverified|ssl\s*=\s*False"
    code = {path: path.read_text() for place in PLACES for path in (ROOT / place).rglob("*.py")}
    assert len(code) > 300
    assert [str(path) for path, text in code.items() if re.search(switches, text)] == []
    # Who opens connections asks for the one context: no client of httpx is made without it.
    clients = r"httpx\.(?:Async)?Client\(|httpx\.(?:stream|get|post|request)\("
    makers = {str(path.relative_to(ROOT)) for path, text in code.items() if re.search(clients, text)}
    # To servers that they have started on this machine.
    here = {"flows/local_prefect.py", "flows/demo.py"}
    outward = {made for made in makers - here if not made.startswith("pipelines/sandbox/")}
    assert outward == {"pipelines/collect/cloud/door.py", "pipelines/collect/cloud/renew.py", "flows/watch_steps.py"}
    for made in outward:
        assert "verify=tls_context()" in (ROOT / made).read_text()
