"""Renews a source's tokens, in a process that nobody but itself ends: see `pipelines.collect.cloud.tokens`.

Run as `python -m pipelines.collect.cloud.renew` with its task as a JSON object on standard input, so that no secret
stands on a command line. Says nothing where the tokens in the file are new; else its error, as JSON, on standard
output.
"""

import contextlib
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import orjson

from pipelines.collect.cloud.tokens import TokenFile, Tokens, parse_tokens
from pipelines.errors import AuthenticationError, SlotfeedError, SourceError, SourceUnavailable
from pipelines.headers import retry_after_s, server_time
from pipelines.hidden import hide
from pipelines.hosts import is_loopback
from pipelines.plain import plain
from pipelines.tls import tls_context

TIMEOUT = httpx.Timeout(connect=10, read=30, write=10, pool=10)
REQUEST_S = 60.0
MOST_BYTES = 65_536
REFUSED = frozenset({400, 401, 403})
"""RFC 6749, 5.2: 400, or 401 for an unknown client; 403 where access was withdrawn is ours."""


def renew(task: dict[str, Any]) -> None:
    """Ask for new tokens and keep them, unless another process has done so meanwhile.

    Args:
        task: `source`, `folder`, `address`, `client_id`, `client_secret`, `refused` and `now`, as `tokens` writes them.

    Raises:
        AuthenticationError: the vendor refuses the refresh token, or there is none.
        SourceUnavailable: no answer; the old tokens are still in the file.
        SourceError: an answer without tokens, or the tokens' folder can't be written, which is seen before asking.
    """
    source, file = task["source"], TokenFile(Path(task["folder"]), task["source"])
    try:
        with file.locked():
            if (tokens := file.read()) is None:
                raise _not_admitted(source, "its tokens are gone")
            if tokens.access != task["refused"]:
                return
            with file.replacing() as put:
                put(_ask(task, tokens))
    except OSError as error:
        raise SourceError(
            f"source '{source}': renewed tokens couldn't be written, so none are asked for: {error}"
        ) from None


def _ask(task: dict[str, Any], tokens: Tokens) -> Tokens:
    at = f"source '{task['source']}', renewal of its tokens"
    body = {
        "grant_type": "refresh_token",
        "refresh_token": tokens.refresh,
        "client_id": task["client_id"],
        "client_secret": task["client_secret"],
    }
    now = datetime.fromisoformat(task["now"])
    try:
        status, headers, content = _post(task["address"], body)
    except httpx.HTTPError as error:
        raise SourceUnavailable(f"{at}: no answer ({type(error).__name__})") from None
    told = _json(content)
    if status in REFUSED and not content.lstrip().startswith(b"<"):
        reason = told.get("error") if isinstance(told, dict) else None
        words = plain(hide(str(reason), (task["client_secret"], tokens.refresh, tokens.access)))
        raise _not_admitted(task["source"], f"the vendor refused ({status} {words[:60]})")
    if httpx.codes.is_success(status):
        try:
            return parse_tokens(told, now, before=tokens)
        except ValueError as error:
            raise SourceError(f"{at}: the vendor's answer was {error}") from None
    if httpx.codes.is_redirect(status):
        raise SourceError(f"{at}: redirected; no token is sent there. Correct the source's `url`")
    wait_s = retry_after_s(headers.get("Retry-After"), server_time(headers) or now)
    raise SourceUnavailable(f"{at}: the vendor answered {status}", retry_after_s=wait_s)


def _post(address: str, body: dict[str, str]) -> tuple[int, httpx.Headers, bytes]:
    """Status, headers and body of the answer; its whole may last `REQUEST_S`."""
    began = time.monotonic()
    with httpx.stream(
        "POST",
        address,
        json=body,
        headers={"Accept-Encoding": "identity"},
        timeout=TIMEOUT,
        follow_redirects=False,
        verify=tls_context(),
        trust_env=not is_loopback(httpx.URL(address).host),
    ) as response:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise httpx.DecodingError("packed, which nobody asked for")
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > MOST_BYTES or time.monotonic() - began > REQUEST_S:
                raise httpx.ReadTimeout("too long")
        return response.status_code, response.headers, bytes(content)


def _json(content: bytes) -> object:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _not_admitted(source: str, why: str) -> AuthenticationError:
    return AuthenticationError(
        f"source '{source}': its tokens can't be renewed, {why}; run: slotfeed sources authorise {source}"
    )


def main() -> None:
    """Do the task on standard input."""
    try:
        task: dict[str, Any] = orjson.loads(sys.stdin.buffer.read())
    except orjson.JSONDecodeError:
        sys.exit(2)  # whoever started this is gone, and has not said all
    try:
        renew(task)
    except SlotfeedError as error:
        said = {"error": type(error).__name__, "message": str(error)}
        if isinstance(error, SourceUnavailable):
            said["retry_after_s"] = error.retry_after_s  # type: ignore[assignment]
        # Nobody may be there to read it any more.
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.buffer.write(orjson.dumps(said))
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
