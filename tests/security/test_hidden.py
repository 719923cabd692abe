"""What a vendor or the exchange sends back of what it was sent."""

import base64
import json
from urllib.parse import quote, quote_plus

import jwt
import pytest

from pipelines.hidden import HIDDEN, hide
from pipelines.plain import in_markdown

SECRET = 'p4ss "w/örd"+&=%\\n'
KEY = "k3y-0f/the+house=="
WAYS = {
    "clear": lambda text: text,
    "percent": lambda text: quote(text, safe=""),
    "path": quote,
    "form": quote_plus,
    "json": json.dumps,
    "json as it is": lambda text: json.dumps(text, ensure_ascii=False),
    "base64": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "python": repr,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("secret", [SECRET, KEY, "plain-secret-0815"])
def test_a_secret_is_taken_out_in_whatever_way_it_is_written(secret: str, way: str) -> None:
    written = WAYS[way](secret).strip("\"'")
    told = hide(f"you sent <{written}> to us", [KEY, secret])
    assert written not in told
    assert told.startswith("you sent <")
    assert told.endswith("> to us")
    assert HIDDEN in told


def test_other_words_stay_as_they_are() -> None:
    text = 'asset "Flat 7": no such uuid\n  (404) ünd so weiter'
    assert hide(text, [SECRET, KEY, ""]) == text


def test_of_two_that_begin_alike_nothing_is_left() -> None:
    assert hide("abcdef and abcdefgh", ["abcdef", "abcdefgh"]) == f"{HIDDEN} and {HIDDEN}"


def test_signs_without_width_split_no_secret() -> None:
    assert hide("hush\u200b-hu\ufeffsh", ["hush-hush"]) == HIDDEN


def test_a_secret_of_two_letters_leaves_words_whole() -> None:
    assert hide("me: measurement of home, for me", ["me"]) == f"{HIDDEN}: measurement of home, for {HIDDEN}"


def test_a_token_nobody_knows_yet_is_taken_out_also_when_it_was_cut() -> None:
    token = jwt.encode({"exp": 1, "u": "somebody"}, "a key that is long enough for the algorithm")
    head, claims, _ = token.split(".")
    assert hide(f'{{"access": "{token}"', []) == f'{{"access": "{HIDDEN}"'
    assert hide(f"JWT {head}.{claims}", []) == f"JWT {HIDDEN}"
    assert hide(f"JWT {head}.{claims}.", []) == f"JWT {HIDDEN}"
    assert hide(f"?auth=JWT%20{token}&x=1", []) == f"?auth=JWT%20{HIDDEN}&x=1"
    assert hide("money.example.com and eyJ.eyJ.eyJ", []) == "money.example.com and eyJ.eyJ.eyJ"


@pytest.mark.parametrize("text", ["eyJ", "eyJaaaaaaaa.", "eyJ-", ".", "a.", "*", "\\", "%2", "\x1b", "\u202e", "`[<"])
def test_no_text_is_too_long_to_be_searched(text: str) -> None:
    """Each word is looked at a few times; with more, this would not end today."""
    assert len(hide(text * 300_000, [SECRET, KEY])) > 100_000
    assert len(in_markdown(text * 300_000)) >= 300_000
