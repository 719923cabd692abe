"""How the owner of devices lets slotfeed in by OAuth 2 (authorization code, RFC 6749, 4.1), at a terminal.

The owner opens an address, agrees there, and gives back the address at which the browser ended, or the code in it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import orjson

from pipelines.collect.cloud.tokens import TokenFile, TokenKeeper, Tokens, parse_tokens
from pipelines.collect.cloud.vendor import Account
from pipelines.errors import AuthenticationError, SourceError


def token_keeper(account: Account, path: str) -> TokenKeeper:
    """Who keeps the account's tokens.

    Args:
        account: with a client id; its secret is the client's.
        path: of the token endpoint, below the account's address.
    """
    return TokenKeeper(
        source=account.name,
        file=TokenFile(account.tokens, account.name),
        address=_base(account) + path,
        client_id=account.settings.client_id or "",
        client_secret=account.secret,
        hidden=account.http.hidden,
        now=account.now,
    )


def take_consent(
    account: Account,
    show: Callable[[str], str],
    *,
    address: str,
    query: Mapping[str, str],
    path: str,
    keep: tuple[str, ...],
) -> Tokens:
    """Let the owner agree, change the code into tokens and keep these.

    Args:
        account: with a client id.
        show: shows an address and returns what the owner gives back.
        address: where the owner agrees.
        query: of that address, beside the client id.
        path: of the token endpoint, which takes JSON.
        keep: names in the query of the address given back that stay with the tokens.

    Raises:
        AuthenticationError: the code was refused.
        SourceUnavailable: no answer.
        SourceError: no answer with tokens, or they can't be written.
    """
    client_id = account.settings.client_id or ""
    given = show(f"{address}?{urlencode({'client_id': client_id} | dict(query))}").strip()
    told = parse_qs(urlsplit(given).query) if "code=" in given else {"code": [given]}
    code = told.get("code", [""])[0]
    body = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": client_id,
        "client_secret": account.secret.get_secret_value(),
    }
    account.http.hidden.append(code)
    file, at = TokenFile(account.tokens, account.name), f"source '{account.name}', tokens for a code"
    try:
        # A code serves once, so whether its tokens can be written is seen before.
        with file.locked(), file.replacing() as put:
            reply = account.http.login(path, what="tokens for a code", body=body)
            if not httpx.codes.is_success(reply.status):
                raise AuthenticationError(
                    f"{at}: refused ({reply.status}). A code serves once and for a short time: run slotfeed sources "
                    f"authorise {account.name} again; else check client_id and its secret"
                )
            tokens = parse_tokens(orjson.loads(reply.body), account.now())
            tokens = replace(tokens, told={name: told[name][0] for name in keep if name in told})
            put(tokens)
    except ValueError as error:
        problem = "no JSON" if isinstance(error, orjson.JSONDecodeError) else error
        raise SourceError(f"{at}: the vendor's answer was {problem}") from None
    except OSError as error:
        raise SourceError(f"{at}: they can't be written ({error})") from None
    return tokens


def _base(account: Account) -> str:
    return str(account.http.client.base_url).rstrip("/")
