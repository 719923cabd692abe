"""To whom secrets travel: encrypted or by name, to the host that is named and to no other."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from pipelines.collect.cloud.door import open_client
from pipelines.errors import ConfigurationError, SourceError, TerminalError
from pipelines.exchange import PROTOCOLS, Command, Envelope
from pipelines.exchange.direct import DirectHttp
from pipelines.exchange.transport import ExchangeTransport
from pipelines.frames import Quantity
from pipelines.hosts import goes_in_clear, is_loopback, refuse_clear
from tests.security.doors import DOORS, NOW, SECRETS, Address
from tests.security.listeners import Heard, Listener, Says, listening

IN_CLEAR = sorted(set(DOORS) - {"renewal"})
"""The renewal's address is that of an open account, so it has been through its door."""


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as made:
        yield made


@pytest.fixture
def other() -> Iterator[Listener]:
    """A second one: whoever answers there must hear nothing."""
    with listening() as made:
        yield made


@pytest.mark.parametrize("door", IN_CLEAR)
def test_nothing_goes_out_in_clear_to_a_host_that_is_not_named(door: str, tmp_path: Path) -> None:
    told = DOORS[door](
        Address(url="http://exchange.example:9", folder=tmp_path, allow_http=["example", "change.example"])
    )
    assert "to exchange.example: secrets would travel in clear" in told
    assert "allow_http: [exchange.example]" in told


@pytest.mark.parametrize("door", IN_CLEAR)
def test_a_host_that_is_named_is_tried(door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # This machine under a name that no rule takes for it.
    monkeypatch.setattr("pipelines.hosts.is_loopback", lambda _: False)
    with listening() as listener:
        told = DOORS[door](Address(url=listener.url, folder=tmp_path, allow_http=["127.0.0.1"]))
        assert "in clear" not in told
        assert listener.heard
        assert "in clear" in DOORS[door](Address(url=listener.url, folder=tmp_path, allow_http=["127.0.0.2"]))


@pytest.mark.parametrize(
    ("url", "clear"),
    [
        ("https://exchange.example", False),
        ("wss://exchange.example/x", False),
        ("http://exchange.example", True),
        ("HTTP://exchange.example", True),
        ("ws://exchange.example/x", True),
        ("http://localhost:80", False),
        ("http://LocalHost", False),
        ("http://127.0.0.1", False),
        ("http://127.8.8.8", False),
        ("http://[::1]:8", False),
        ("http://localhost.example", True),
        ("http://127.0.0.1.example", True),
        ("http://grid.lan", False),
        ("http://GRID.lan:8123", False),
        ("http://sub.grid.lan", True),
        ("http://grid.lan.example", True),
        ("http://10.0.0.1", True),
        ("http://0.0.0.0", True),
        ("http://127.0.0.1@evil.example", True),
        ("http://2130706433", True),
    ],
)
def test_in_clear(url: str, clear: bool) -> None:
    assert goes_in_clear(url, ["grid.lan"]) is clear
    if clear:
        with pytest.raises(ConfigurationError):
            refuse_clear(url, ["grid.lan"], where="exchange")


def test_this_machine() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "::1", "[::1]", "localhost", "a.localhost"]))
    assert not any(map(is_loopback, ["", "0.0.0.0", "192.168.1.1", "localhost.example", "::", "fe80::1"]))  # noqa: S104 - no address of ours


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("door", DOORS)
def test_a_redirect_is_not_followed_and_nothing_travels_with_it(
    door: str, status: int, listener: Listener, other: Listener, tmp_path: Path
) -> None:
    def away(heard: Heard) -> Says:
        if heard.path == "/api-token-auth/" and door == "graphql":
            return Says(body=b'{"access": "tok-77ab31"}')
        return Says(status=status, headers={"Location": other.url + heard.path})

    listener.answer = away
    told = DOORS[door](Address(url=listener.url, folder=tmp_path))
    assert other.heard == []
    assert listener.heard
    assert "redirected" in told or f"status {status}" in told, told
    assert not any(secret in told for secret in SECRETS)


@pytest.mark.parametrize("door", DOORS)
def test_nor_within_the_same_host(door: str, listener: Listener, tmp_path: Path) -> None:
    """A redirect says that an address is wrong: it is told, whoever it leads to."""

    def away(heard: Heard) -> Says:
        if heard.path == "/api-token-auth/" and door == "graphql":
            return Says(body=b'{"access": "tok-77ab31"}')
        return Says(status=307, headers={"Location": "/elsewhere/"})

    listener.answer = away
    told = DOORS[door](Address(url=listener.url, folder=tmp_path))
    assert "/elsewhere/" not in [heard.path for heard in listener.heard]
    assert told


ELSEWHERE = [
    "//{host}/x",
    "http://{host}/x",
    "http://user@{host}/x",
    "@{host}/x",
    "\\\\{host}\\x",
    "/\\{host}/x",
    ":1/x",
]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_no_path_leads_a_vendor_s_key_elsewhere(path: str, listener: Listener, other: Listener) -> None:
    """As the address of a next page in an answer might."""
    refusals = contextlib.suppress(SourceError, httpx.InvalidURL, httpx.UnsupportedProtocol)
    with refusals, open_client(f"{listener.url}/v2", where="source 'acc'") as client:
        client.get(path.format(host=f"127.0.0.1:{other.port}"), headers={"X-API-Key": "hush"})
    assert other.heard == []


@pytest.mark.parametrize("path", [*ELSEWHERE, ".evil.example/x", ":1@127.0.0.1/x"])
def test_no_path_leads_the_exchange_s_token_elsewhere(path: str, listener: Listener, other: Listener) -> None:
    async def go() -> None:
        transport = ExchangeTransport(listener.url, connections=1)
        async with transport:
            http = DirectHttp(listener.url, transport, timeout=httpx.Timeout(5))
            await http.request("GET", path.format(host=f"127.0.0.1:{other.port}"), headers={"Authorization": "JWT t"})

    with contextlib.suppress(TerminalError, httpx.RequestError, httpx.InvalidURL):
        asyncio.run(go())
    assert other.heard == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/", "https://127.0.0.1:{own}/", "http://localhost:{own}/"])
def test_another_port_scheme_or_name_is_another_host(url: str, listener: Listener, other: Listener) -> None:
    address = url.format(port=other.port, own=listener.port)

    async def go() -> None:
        async with ExchangeTransport(listener.url, connections=1) as transport:
            await transport.handle_async_request(httpx.Request("GET", address))

    with pytest.raises(TerminalError, match="nothing is sent to"):
        asyncio.run(go())
    with open_client(listener.url, where="source 'acc'") as client, pytest.raises(SourceError, match="nothing is sent"):
        client.get(address)
    assert (listener.heard, other.heard) == ([], [])


@pytest.mark.parametrize("door", DOORS)
def test_what_is_meant_for_this_machine_goes_through_no_proxy(
    door: str, listener: Listener, other: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "WS_PROXY", "ws_proxy"):
        monkeypatch.setenv(name, other.url)
    DOORS[door](Address(url=listener.url, folder=tmp_path))
    assert listener.heard
    assert other.heard == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_id_is_one_part_of_a_path_whatever_stands_in_it(protocol: str) -> None:
    envelope = Envelope(simulation="../../admin?x=", transaction_id="t", aggregator="agg")
    command = Command(asset="a/../b#c", quantity=Quantity.FORECAST, energy_wh={NOW + timedelta(minutes=15): 1.0})
    path = PROTOCOLS[protocol].request(envelope, [command]).path
    assert "..%2F..%2Fadmin%3Fx%3D" in path
    # A pair of dots with slashes about it would lead out of the folder, a ? or # would end the path.
    assert "/../" not in path
    assert not {"?", "#"} & set(path)
