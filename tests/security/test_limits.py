"""Answers that would fill the memory or the time: bombs, depth, numbers without end."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.collect.cloud import http as cloud_http
from pipelines.exchange import transport
from tests.security.doors import DOORS, Address
from tests.security.listeners import Listener, Says, listening

HTTP = ("exchange", "graphql", "cloud", "cloud_login", "renewal")
MIB = 1 << 20


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as made:
        yield made


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that a test can reach."""
    monkeypatch.setattr(transport, "LONGEST_ANSWER", MIB)
    monkeypatch.setattr(cloud_http, "MOST_BYTES", MIB)


def tell(listener: Listener, door: str, body: bytes, **headers: str) -> None:
    login = Says(body=b'{"access": "tok-77ab31"}')
    said = Says(body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})
    listener.answer = lambda heard: login if door == "graphql" and heard.path == "/api-token-auth/" else said


def go(door: str, listener: Listener, folder: Path) -> str:
    return DOORS[door](Address(url=listener.url, folder=folder))


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("door", HTTP)
def test_a_packed_answer_is_bounded_by_what_it_unpacks_to(door: str, listener: Listener, tmp_path: Path) -> None:
    bomb = gzip.compress(b'{"access": "' + b"x" * (8 * MIB) + b'"}')
    assert len(bomb) < 10_000
    tell(listener, door, bomb, Content_Encoding="gzip")
    told = go(door, listener, tmp_path)
    # The renewal asks for nothing packed; its answer is short.
    assert ("DecodingError" if door == "renewal" else "1 MiB") in told, told


@pytest.mark.parametrize("how", ["gzip, gzip", "gzip,deflate", "br", "zstd", "gzip, gzip, gzip, gzip"])
@pytest.mark.parametrize("door", HTTP)
def test_packed_twice_or_otherwise_than_asked_is_no_answer(
    door: str, how: str, listener: Listener, tmp_path: Path
) -> None:
    """A bomb within a bomb: a thousandfold of a thousandfold."""
    tell(listener, door, gzip.compress(gzip.compress(b"{}")), Content_Encoding=how)
    told = go(door, listener, tmp_path)
    assert "DecodingError" in told, told
    assert all("gzip" in heard.headers["accept-encoding"] or door == "renewal" for heard in listener.heard)


@pytest.mark.parametrize(
    ("how", "pack"),
    [
        ("gzip", gzip.compress),
        ("X-GZip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body, wbits=-15)),
        ("identity", bytes),
    ],
)
def test_what_was_asked_for_is_unpacked(how: str, pack: object, listener: Listener, tmp_path: Path) -> None:
    assert callable(pack)
    tell(listener, "exchange", pack(b'{"access": "tok-77ab31"}'), Content_Encoding=how)
    assert go("exchange", listener, tmp_path) == ""


@pytest.mark.parametrize("cut", [1, 8, 12])
def test_a_packed_answer_that_was_cut_is_none(cut: int, listener: Listener, tmp_path: Path) -> None:
    tell(listener, "exchange", gzip.compress(b'{"access": "tok-77ab31"}')[:-cut], Content_Encoding="gzip")
    assert "DecodingError" in go("exchange", listener, tmp_path)


DEEP = b'{"access":' * 200_000
NUMBERS = {
    "deep": DEEP,
    "deep list": b"[" * 500_000,
    "long number": b'{"access": ' + b"9" * 5_000 + b"}",
    "beyond any float": b'{"access": 1e999999}',
    "not a number": b'{"access": NaN}',
    "half a pair": b'{"access": "\\ud800"}',
}


@pytest.mark.parametrize("what", NUMBERS)
@pytest.mark.parametrize("door", HTTP)
def test_json_that_no_reader_bears_is_an_error_in_words(
    door: str, what: str, listener: Listener, tmp_path: Path
) -> None:
    tell(listener, door, NUMBERS[what])
    told = go(door, listener, tmp_path)
    told.encode()
    # What a vendor's session makes of a number is its own business; here it is read or told.
    assert told or door in {"cloud", "cloud_login"}
    assert len(told) < 600


def test_a_token_that_no_header_can_carry_is_none(listener: Listener, tmp_path: Path) -> None:
    for token in ("a\r\nX-Evil: 1", "a\nb", "tök", "\ud800"):
        tell(listener, "graphql", b"{}")
        body = json.dumps({"access": token}).encode()
        listener.answer = lambda _, body=body: Says(body=body)
        told = go("graphql", listener, tmp_path)
        assert "token" in told, told
        assert all("x-evil" not in heard.headers for heard in listener.heard)
