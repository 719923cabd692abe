"""OAuth 2 tokens that the vendor renews: one file per source, and one renewal however many workers want it.

A refresh token that dies on its first use makes a renewal a thing that must not be broken off: who has sent the old one
and not kept the new one has lost the account. So the request is made by a child process in a session of its own
(`pipelines.collect.cloud.renew`), which holds the source's lock, receives and writes the file before it ends, whatever
becomes of the worker that started it. docs/adr/0004 tells why.
"""

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

import orjson
from pydantic import SecretStr

from pipelines.errors import AuthenticationError, SlotfeedError, SourceError, SourceUnavailable
from pipelines.private import not_private

LIFETIME_S = 7200
"""Of an access token, where the answer tells none: SolarEdge's."""

MARGIN = timedelta(minutes=1)
"""An access token is renewed so long before its end. Ours."""

CHILD_S = 180.0
"""A renewal that lasts longer is left to itself: the child ends by its own time limits. Ours."""

ROOM = 16_384
"""Bytes of disk that a renewal makes sure of before it asks."""


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What a vendor gave."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_at: datetime
    """Of the access token."""

    told: Mapping[str, str] = field(default_factory=dict)
    """What the consent told beside: ids of what may be read. Renewals keep it."""


def parse_tokens(told: object, now: datetime, *, before: Tokens | None = None) -> Tokens:
    """The tokens in a token endpoint's answer (RFC 6749, 5.1).

    Args:
        told: the answer's JSON.
        now: when the request was made.
        before: the tokens that were renewed; an answer without a refresh token leaves theirs in force.

    Raises:
        ValueError: there are none in it.
    """
    if not isinstance(told, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - wrong content, not a wrong call
    access, refresh = told.get("access_token"), told.get("refresh_token", before.refresh if before else None)
    lifetime_s = told.get("expires_in", LIFETIME_S)
    if not (isinstance(access, str) and access and isinstance(refresh, str) and refresh):
        raise ValueError("no access_token and refresh_token in it")
    if not isinstance(lifetime_s, int | float) or not 0 < lifetime_s < 1e9:
        lifetime_s = LIFETIME_S
    return Tokens(
        access=access,
        refresh=refresh,
        expires_at=now + timedelta(seconds=lifetime_s),
        told=before.told if before else {},
    )


class TokenFile:
    """The file of one source: readable by its owner alone, replaced as a whole, written under a lock."""

    def __init__(self, folder: Path, source: str) -> None:
        """Name the file; nothing is read yet."""
        self._source = source
        self.path = folder / f"{source}.json"
        self._lock_path = folder / f"{source}.lock"

    def read(self) -> Tokens | None:
        """The tokens; None where there are none, or none that can be read.

        Raises:
            SourceError: others can read or change the file, or it is somebody else's.
        """
        try:
            if trouble := not_private(self.path):
                raise SourceError(f"source '{self._source}': its tokens in {self.path} aren't used: {trouble}")
            kept: dict[str, Any] = orjson.loads(self.path.read_bytes())
            return Tokens(
                access=kept["access"],
                refresh=kept["refresh"],
                expires_at=datetime.fromisoformat(kept["expires_at"]).astimezone(UTC),
                told=kept["told"],
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until no other process renews or writes, and keep them off.

        Raises:
            OSError: the folder can't be made or written.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.parent.chmod(0o700)
        handle = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def replacing(self) -> Iterator[Callable[[Tokens], None]]:
        """Make sure that there is room on the disk, and give a function that puts tokens into the file for good.

        Only inside `locked`.

        Raises:
            OSError: there is no room, or the folder can't be written.
        """
        new = self.path.with_suffix(".new")
        new.unlink(missing_ok=True)
        handle = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, b" " * ROOM)
            os.fsync(handle)

            def put(tokens: Tokens) -> None:
                content = orjson.dumps(
                    {
                        "access": tokens.access,
                        "refresh": tokens.refresh,
                        "expires_at": tokens.expires_at,
                        "told": dict(tokens.told),
                    }
                )
                # Spaces behind JSON do no harm, so the room that is there is written over and not given back.
                os.pwrite(handle, content.ljust(ROOM), 0)
                os.fsync(handle)
                new.replace(self.path)
                folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)

            yield put
        finally:
            os.close(handle)
            new.unlink(missing_ok=True)

    def write(self, tokens: Tokens) -> None:
        """Put these in the place of the old ones.

        Raises:
            OSError: they can't be written.
        """
        with self.locked(), self.replacing() as put:
            put(tokens)


@dataclass(kw_only=True)
class TokenKeeper:
    """The tokens of one source during a run."""

    source: str
    file: TokenFile
    address: str
    """Of the vendor's token endpoint."""

    client_id: str
    client_secret: SecretStr
    hidden: list[str]
    """Every token that is used is added: no message may hold it."""

    now: Callable[[], datetime]
    _turn: Lock = field(default_factory=Lock)

    def tokens(self) -> Tokens:
        """Those in force, renewed where they have ended.

        Raises:
            AuthenticationError: the account's owner has not admitted slotfeed, or no longer does.
            SourceUnavailable: a renewal was needed and the vendor didn't answer.
        """
        tokens = self._read()
        return tokens if self.now() < tokens.expires_at - MARGIN else self.renew(tokens.access)

    def renew(self, refused: str) -> Tokens:
        """Tokens other than these.

        Args:
            refused: the access token that has ended or that the vendor doesn't take.

        Raises:
            AuthenticationError, SourceUnavailable: as of `tokens`.
            SourceError: the vendor's answer holds no tokens, or they can't be written.
        """
        with self._turn:
            if (tokens := self._read()).access == refused:
                self._run_child(refused)
                tokens = self._read()
            return tokens

    def _read(self) -> Tokens:
        tokens = self.file.read()
        if tokens is None:
            raise AuthenticationError(
                f"source '{self.source}': its owner has not admitted slotfeed, or {self.file.path} is lost; "
                f"run: slotfeed sources authorise {self.source}"
            )
        self.hidden.extend({tokens.access, tokens.refresh} - set(self.hidden))
        return tokens

    def _run_child(self, refused: str) -> None:
        task = {
            "source": self.source,
            "folder": str(self.file.path.parent),
            "address": self.address,
            "client_id": self.client_id,
            "client_secret": self.client_secret.get_secret_value(),
            "refused": refused,
            "now": self.now(),
        }
        child = subprocess.Popen(
            [sys.executable, "-m", "pipelines.collect.cloud.renew"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            said, _ = child.communicate(orjson.dumps(task), timeout=CHILD_S)
        except subprocess.TimeoutExpired:
            raise SourceUnavailable(f"source '{self.source}': the renewal of its tokens lasts too long") from None
        if child.returncode or said:
            raise _error(self.source, said)


_ERRORS: Mapping[str, type[SlotfeedError]] = {
    kind.__name__: kind for kind in (AuthenticationError, SourceError, SourceUnavailable)
}


def _error(source: str, said: bytes) -> SlotfeedError:
    """What went wrong in the child, as the error it was there."""
    try:
        told: dict[str, Any] = orjson.loads(said)
        kind, message = _ERRORS[told["error"]], str(told["message"])
    except (ValueError, KeyError, TypeError):
        return SourceUnavailable(f"source '{source}': the process that renews its tokens ended without a word")
    if kind is SourceUnavailable:
        return SourceUnavailable(message, retry_after_s=told.get("retry_after_s"))
    return kind(message)
