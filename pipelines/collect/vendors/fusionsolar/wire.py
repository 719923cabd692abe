"""How FusionSolar is spoken to: a login for half an hour, and errors inside HTTP 200."""

from collections.abc import Mapping
from datetime import timedelta
from threading import Lock
from typing import Any

import orjson

from pipelines.collect.cloud.http import LoginLost, Manners, Reply
from pipelines.collect.cloud.vendor import Account
from pipelines.errors import AccountStopped, AuthenticationError, SourceError, SourceUnavailable

TOO_OFTEN, LOGINS_TOO_OFTEN, QUOTA_SPENT = timedelta(minutes=5), timedelta(minutes=10), timedelta(minutes=15)
"""How long an account isn't asked after failCode 407, after too many logins, after the gateway's refusal. Ours."""

TOKEN_USED = timedelta(minutes=29)
"""A token lasts 30 minutes. It is replaced a little sooner, because a refused request counts in the limits too."""

SHOWN = 200
"""Characters of the vendor's words in a message. Ours."""


class Wire:
    """Requests of one account; the token is kept for the run alone."""

    def __init__(self, account: Account) -> None:
        self._http, self._now = account.http, account.now
        self._secret, self._user = account.secret, account.settings.username
        self._token, self._entering = "", Lock()
        self._ends_at = self._now()
        self._http.manners = Manners(headers=self._headers, renew=self._renew, judge=self._judge)

    def post(self, path: str, *, what: str, body: object, costs: Mapping[str, int]) -> dict[str, Any]:
        """An answer that says that it succeeded."""
        with self._entering:
            if self._now() >= self._ends_at:
                self._http.retrying(self._log_in)
        answer = self._http.post(path, what=what, body=body, costs=costs)
        if not isinstance(answer, dict) or type(answer.get("success")) is not bool:
            raise self._http.strange(what, "the answer doesn't say whether it succeeded", answer)
        code = str(answer.get("failCode") or 0)
        if answer["success"] and code == "0":
            return answer
        at, said = f"source '{self._http.source}', {what}", self._said(answer)
        if code in {"407", "429"}:
            raise AccountStopped(f"{at}: asked too often ({said})", until=self._now() + TOO_OFTEN)
        if code == "401":
            raise SourceError(f"{at}: the northbound user has no right to {path} ({said}). Give it in FusionSolar")
        raise SourceError(f"{at}: refused ({said})")

    def _said(self, answer: Mapping[str, Any]) -> str:
        """The vendor's code and words: `message`, or `data` where that holds them."""
        words = next((text for text in (answer.get("message"), answer.get("data")) if isinstance(text, str)), "")
        return self._http.redact(f"failCode {answer.get('failCode')} {words}".strip())[:SHOWN]

    def _headers(self) -> Mapping[str, str]:
        return {"XSRF-TOKEN": self._token} if self._token else {}

    def _renew(self, refused: Mapping[str, str]) -> None:
        if refused.get("XSRF-TOKEN", "") == self._token:
            self._log_in()

    def _log_in(self) -> None:
        at = f"source '{self._http.source}', login"
        body = {"userName": self._user, "systemCode": self._secret.get_secret_value()}
        reply = self._http.login("/login", what="login", body=body, costs={"login": 1})
        try:
            answer = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            answer = None
        self._judge(reply, answer)
        if not isinstance(answer, dict):
            raise SourceUnavailable(f"{at}: something else than an answer came ({reply.status})")
        token = reply.headers.get("XSRF-TOKEN", "")
        if answer.get("success") is True and token:
            self._http.hidden.append(token)
            self._token, self._ends_at = token, self._now() + TOKEN_USED
            return
        said = self._said(answer)
        if str(answer.get("failCode")) in {"407", "429"}:
            raise AccountStopped(f"{at}: asked too often ({said})", until=self._now() + LOGINS_TOO_OFTEN)
        raise AuthenticationError(
            f"{at}: refused for user '{self._user}' ({said}). Correct `username` or the system code; after five wrong "
            "ones the vendor locks the account for half an hour"
        )

    def _judge(self, reply: Reply, parsed: Any) -> None:  # noqa: ANN401 - JSON of any shape
        """What is to be tried again, after a login or so, and the gateway's own refusal."""
        at = f"source '{self._http.source}'"
        if reply.status == 200 and not reply.body.strip():
            raise SourceUnavailable(f"{at}: an empty answer came")
        if not isinstance(parsed, dict):
            return
        if (reply.status == 403 and "quota" in reply.text().lower()) or parsed.get("errorCode") == "49401021002":
            said = self._http.redact(reply.text())[:SHOWN]
            raise AccountStopped(
                f"{at}: the vendor's gateway lets no more through ({said})", until=self._now() + QUOTA_SPENT
            )
        code = str(parsed.get("failCode"))
        if code == "305":
            raise LoginLost(f"not logged in ({self._said(parsed)})")
        if code == "20200":
            raise SourceUnavailable(f"{at}: the vendor's system is busy ({self._said(parsed)})")
