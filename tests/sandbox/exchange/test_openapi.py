"""Whatever a client sends, the exchange answers: no request makes it fail."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from pipelines.sandbox.exchange.accounts.people import Role
from pipelines.sandbox.exchange.ctn import Ctn
from pipelines.sandbox.exchange.engine.trading import Aggregator

SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
ADMIN = "feeder@example.org"
MIB = 1 << 20

OPEN = ("/sandbox/", "/api-token-auth/", "/manage/invitations/accept")
"""Paths that take no token."""

LAST = ("PUT /manage/users/{username}/role", "DELETE /manage/users/{username}", "PUT /sandbox/clock")


class Prober:
    """Sends requests and looks at every answer; the network is never locked by what was sent before."""

    def __init__(self, app: FastAPI, ctn: Ctn) -> None:
        self.schema = schemathesis.openapi.from_asgi("/sandbox/openapi.json", app)
        self._ctn = ctn
        self.count: Counter[int] = Counter()

    def operations(self) -> list[schemathesis.APIOperation]:
        """What takes from the others last."""
        found = [one.ok() for one in self.schema.get_all_operations()]
        return sorted(found, key=lambda one: LAST.index(one.label) if one.label in LAST else -1)

    def token(self) -> str:
        """A token of the administrator, however often somebody failed to log in."""
        self._ctn.faults.replace([])
        user = self._ctn.people._users[ADMIN]
        return self._ctn.people._tokens.issue(user.username, user.stamp)

    def probe(self, operation: schemathesis.APIOperation, mode: GenerationMode, cases: int, *, token: bool) -> set[int]:
        """Statuses of generated requests."""
        seen: set[int] = set()
        known = self.known()

        # The same requests in every run: which of them chance lets through must not decide over a test.
        @settings(max_examples=cases, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode), foreign=st.integers(0, 9))
        def send(case: schemathesis.Case, foreign: int) -> None:
            # Ids out of thin air would never get past 404, nor a request without a token past 401.
            if foreign:
                case.path_parameters |= {name: known[name] for name in known if name in case.path_parameters}
                if foreign > 3 and isinstance(case.body, dict):
                    case.body |= {name: known[name] for name in known if name in case.body}
            headers = {"Authorization": f"JWT {self.token()}"} if token else {}
            answer = case.call(headers=headers)
            seen.add(answer.status_code)
            self.count[answer.status_code] += 1
            assert answer.status_code < 500, f"{operation.label}: {answer.text}"
            assert "Traceback" not in answer.text

        send()
        return seen

    def known(self) -> dict[str, str]:
        aggregator = next(iter(self._ctn.trading.aggregators), "none")
        return {
            "sim": SIMULATION,
            "asset": "load",
            "market": "area-house",
            "username": "guest",
            "subject": "load",
            "start": "2026-03-02T12:00",
            "end": "2026-03-02T13:00",
            "aggregator_uuid": aggregator,
            "device_uuid": "load",
            "now": "2199-12-31T00:00:00Z",
            "old_password": "correct horse battery stapler",
        }


@pytest.fixture
async def prober(app: FastAPI, ctn: Ctn, new_user: Callable[..., Awaitable[str]]) -> Prober:
    await new_user("guest", Role.AGGREGATOR, "load")
    ctn.trading.add(Aggregator(uuid="there-already", name="There already", username=ADMIN))
    return Prober(app, ctn)


def test_no_request_of_an_administrator_is_answered_with_a_server_error(prober: Prober) -> None:
    succeeded = set()
    operations = prober.operations()
    for operation in operations:
        seen = prober.probe(operation, GenerationMode.POSITIVE, 25, token=True)
        if operation.body:
            seen |= prober.probe(operation, GenerationMode.NEGATIVE, 12, token=True)
        if any(status < 300 for status in seen):
            succeeded.add(operation.label)
    assert sum(prober.count.values()) >= 1000, prober.count
    assert len(operations) >= 38
    unlucky = {one.label for one in operations} - succeeded
    assert unlucky <= UNLUCKY, "requests that never get as far as an answer probe nothing"


UNLUCKY = {
    "POST /api-token-auth/",
    "POST /manage/invitations/accept",
    "POST /manage/connections",
    "PUT /manage/me/password",
    "PUT /manage/assets/{asset}/profile",
    "GET /manage/assets/{asset}/profile",
    "POST /graphql/",
}
"""What chance doesn't find: passwords, an invitation's code, a profile, a query; and nothing is an administrator's to
ask for."""


def test_without_a_token_everything_guarded_is_refused(prober: Prober) -> None:
    for operation in prober.operations():
        if operation.path.startswith(OPEN):
            continue
        seen = prober.probe(operation, GenerationMode.POSITIVE, 3, token=False)
        assert seen <= {400, 401, 403, 404, 405, 422}, f"{operation.label}: {seen}"
        assert 401 in seen, operation.label


NESTED = b"[" * 100_000 + b"]" * 100_000
ODD = {
    "malformed": b'{"energy_Wh": ',
    "nan": b'{"energy_Wh": NaN, "energy_forecast": NaN}',
    "infinity": b'{"energy_Wh": Infinity, "energy_forecast": {"2026-03-02T12:15": -Infinity}}',
    "1e999": b'{"energy_Wh": 1e999, "energy_forecast": {"2026-03-02T12:15": 1e999}, "fee_const": 1e999}',
    "nested": NESTED,
    "nested in a key": b'{"energy_forecast": ' + NESTED + b"}",
    "nested objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "lone surrogate": rb'{"energy_forecast": {"\ud800": 1}, "name": "\ud800", "username": "\ud800"}',
    "empty": b"",
    "blank": b" \r\n\t",
    "array": b"[1, 2, 3]",
    "number": b"7",
    "text": b'"energy_Wh"',
    "null": b"null",
    "null byte": b'{"energy_forecast": {"2026-03-02T12:15\\u0000": 1}, "name": "\\u0000", "now": "\\u0000"}',
    "huge integer": b'{"energy_Wh": ' + b"9" * 5000 + b', "fee_const": ' + b"9" * 400 + b"}",
    "huge float": b'{"energy_Wh": 1.7e308, "energy_forecast": {"2026-03-02T12:15": 1.7e308}}',
    "far years": b'{"energy_forecast": {"9999-12-31T23:59": 1, "0001-01-01T00:00": 1}, "now": "9999-12-31T23:59+01"}',
    "duplicate keys": b'{"energy_Wh": 1, "energy_Wh": 2, "username": 1, "username": 2}',
    "not utf-8": b'{"energy_Wh": "\xff\xfe"}',
    "utf-16": '{"energy_Wh": 1}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"energy_Wh": 1}',
}
"""Bodies that generators seldom make."""

REFUSED = {"malformed", "nested", "nested in a key", "nested objects", "not utf-8"}
"""Those that no path can take."""


IDS = {
    "{sim}": SIMULATION,
    "{asset}": "load",
    "{market}": "area-house",
    "{username}": "guest",
    "{subject}": "load",
    "{start}": "2026-03-02T12:00",
    "{end}": "2026-03-02T12:15",
}


def filled(path: str) -> str:
    """With ids that are there."""
    for name, value in IDS.items():
        path = path.replace(name, value)
    return path


def writing(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of everything that takes a body."""
    paths = app.openapi()["paths"].items()
    return [(method, filled(path)) for path, methods in paths for method in methods if method in {"post", "put"}]


async def test_an_odd_body_is_no_more_than_refused(exchange: Any, app: FastAPI) -> None:
    for method, path in writing(app):
        for odd, body in ODD.items():
            answer = await exchange.http.request(
                method, path, content=body, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code < 500, f"{odd} {path}: {answer.text}"
            if odd in REFUSED:
                assert answer.status_code >= 400, f"{odd} {path}"


async def test_a_wrong_content_type_does_no_harm(exchange: Any, app: FastAPI) -> None:
    for method, path in writing(app):
        for content_type in (
            "text/plain",
            "application/xml",
            "multipart/form-data; boundary=x",
            "",
            "application/json; x",
        ):
            answer = await exchange.http.request(
                method, path, content=b'{"energy_Wh": 1}', headers={"Content-Type": content_type}
            )
            assert answer.status_code < 500, f"{content_type} {path}"


async def test_a_body_has_its_limit(exchange: Any, app: FastAPI) -> None:
    for method, path in writing(app):
        if path.startswith("/sandbox/"):
            continue
        most = 16 * MIB if "batch-commands" in path else MIB
        assert (await exchange.http.request(method, path, content=b" " * most)).status_code < 500, path
        answer = await exchange.http.request(method, path, content=b" " * (most + 1))
        assert answer.status_code == 413, path


ODD_PARTS = ("%00", "..", "%2e%2e", "%2f", "%ff", "%ed%a0%80", "a" * 5000, "%25", "'--", "load%00")


async def test_an_odd_path_is_no_more_than_refused(exchange: Any, app: FastAPI) -> None:
    for path, methods in app.openapi()["paths"].items():
        for place in [place for place in IDS if place in path]:
            for odd in ODD_PARTS:
                asked = filled(path.replace(place, odd))
                for method in methods:
                    answer = await exchange.http.request(method, asked, json={})
                    assert 400 <= answer.status_code < 500, f"{method} {asked}: {answer.text}"
    for page in ("/assets/", "/docs/", "/sandbox/", "/"):
        for odd in ODD_PARTS:
            assert (await exchange.http.get(page + odd)).status_code < 500, odd


async def test_the_clock_went_on_all_the_while(exchange: Any, ctn: Ctn) -> None:
    """What was refused above must not have been half done: a good post counts as ever after a bad one."""
    for body in ODD.values():
        await exchange.http.post(f"/external-connection/api/{SIMULATION}/load/set-energy-forecast/", content=body)
    await exchange.forecast("load", {"12:15": 0.25})
    await exchange.at("12:16")
    assert await exchange.used("load", "12:15", "12:30") == {"12:15": 0.25}
    assert ctn.market.slot.minute == 15
    assert timedelta(0) <= ctn.clock.now() - ctn.market.slot < ctn.market.slot_length
