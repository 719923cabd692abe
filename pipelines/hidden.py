"""Takes secrets out of texts that came from elsewhere, before they become messages.

Whoever is sent a password, key or token may send it back: in an error's words, in a page that quotes the request.
"""

import base64
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote, quote_plus

HIDDEN = "***"

DOTTED = re.compile(r"(?<![\w-])([\w-]++)\.([\w-]{8,}+)(?:\.[\w-]*+)?", re.ASCII)
"""Two or three words with dots between them. Each word is looked at once, however long the text."""

TOKEN_BEGINS, SHORTEST_HEAD = "eyJ", 11
"""Of a web token (RFC 7519): `{"` in Base64, and the letters of the shortest head that says anything."""

MARKS = {ord(mark): None for mark in "\u200b\u2060\ufeff"}
"""Signs without width, which would split a secret for the search and not for the eye."""


ANYWHERE_FROM = 4
"""Characters of the shortest secret that is looked for inside words and in codes too: a shorter one, which guards
nothing, would be found in every sentence."""


def hide(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, in whatever of the usual spellings they stand in it, and without web tokens.

    Args:
        text: whole: of one that was cut before, a secret's beginning may be left.
        secrets: in clear; empty ones don't count.
    """
    text = text.translate(MARKS)
    known = {secret for secret in secrets if secret}
    # The longest first, so that of two secrets that begin alike nothing is left of the longer one.
    for spelling in sorted({way for secret in known for way in spellings(secret)}, key=len, reverse=True):
        text = text.replace(spelling, HIDDEN)
    for short in (secret for secret in known if len(secret) < ANYWHERE_FROM):
        text = re.sub(rf"(?<!\w){re.escape(short)}(?!\w)", HIDDEN, text)
    return DOTTED.sub(_without_token, text)


def _without_token(found: re.Match[str]) -> str:
    """A login's token, whoever was given it; also one that was cut off in its last part."""
    before, begins, rest = found[1].partition(TOKEN_BEGINS)
    return before + HIDDEN if begins and len(begins + rest) >= SHORTEST_HEAD else found[0]


@lru_cache(maxsize=256)
def spellings(secret: str) -> frozenset[str]:
    """The secret in clear, percent-encoded, as in JSON, in Base64 and in hex."""
    if len(secret) < ANYWHERE_FROM:
        return frozenset()
    raw = secret.encode("utf-8", errors="surrogateescape")
    encoded = {base64.b64encode(raw), base64.urlsafe_b64encode(raw)}
    ways = {secret, quote(raw, safe=""), quote(raw), quote_plus(raw), repr(secret)[1:-1], raw.hex(), raw.hex().upper()}
    ways |= {json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    ways |= {way.decode().rstrip("=") for way in encoded}
    # A line break or a row of blanks in it doesn't survive where answers are made one line.
    return frozenset(ways | {" ".join(secret.split())}) - {""}
