"""Prefect's server in words: its address and its client's errors, without the keys that open it.

A server behind a proxy may be named with a password in its address, and each error of Prefect's client quotes the
address and what was answered; a server or proxy that complains may send back the request with its headers.
"""

import contextlib
import logging
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx
from prefect.exceptions import PrefectException
from prefect.settings import get_current_settings
from pydantic import SecretStr, ValidationError

from pipelines.errors import TerminalError
from pipelines.hidden import hide
from pipelines.plain import plain

TROUBLES = (PrefectException, httpx.HTTPError, httpx.InvalidURL, ValidationError)
"""What Prefect's client raises where the server is away, refuses, or answers as none of this release does."""

SHOWN = 500
"""Characters of an error that are shown. Ours."""


def address(url: str) -> str:
    """The server's address without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def in_words(error: Exception) -> str:
    """What an error of `TROUBLES` says, on one line and without secrets."""
    # Pydantic quotes what was answered, and cuts it: half a key would be left.
    said = "" if isinstance(error, ValidationError) else without_keys(str(error))
    told = "it answers otherwise than Prefect does" if isinstance(error, ValidationError) else said
    return plain(" ".join(f"{type(error).__name__} {told}".split()))[:SHOWN]


def without_keys(text: str) -> str:
    """The text without what opens Prefect's server, in whatever spelling."""
    return hide(text, _keys())


@contextlib.contextmanager
def told_as_ours() -> Iterator[None]:
    """Around calls of Prefect's client.

    Raises:
        TerminalError: in place of its errors.
    """
    hold_back_logs()
    try:
        yield
    except TROUBLES as error:
        told = f"Prefect's server: {in_words(error)}"
    else:
        return
    # Raised out here: the client's own error holds the request, so it is no part of this one.
    raise TerminalError(told)


def hold_back_logs() -> None:
    """Where the server's address holds a password, let no log tell it: the client writes addresses into its own."""
    if urlsplit(get_current_settings().api.url or "").password:
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)


def _keys() -> Iterator[str]:
    """What this environment has for Prefect's server: keys, passwords, and how they travel."""
    settings = get_current_settings()
    api = settings.api
    for key in (api.key, api.auth_string, settings.server.api.auth_string):
        if isinstance(key, SecretStr):
            yield from _parts(key.get_secret_value())
    if api.url:
        named = urlsplit(api.url).netloc.rpartition("@")[0]
        yield named
        yield from _parts(unquote(named))
    yield from settings.client.custom_headers.values()


def _parts(key: str) -> Iterator[str]:
    """A key, and of `user:password` the password too; whole, the pair is what travels as Base64."""
    yield key
    yield key.partition(":")[2]
