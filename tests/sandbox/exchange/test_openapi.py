"""Whatever a client sends, the exchange answers: no request makes it fail."""

import asyncio

import httpx
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

KNOWN = {"sim": "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1", "asset": "load"}
LOGIN = {"username": "feeder@example.org", "password": "correct horse battery"}


async def end_faults_and_login(app: FastAPI) -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sandbox") as client:
        await client.put("/sandbox/faults", json=[])
        return (await client.post("/api-token-auth/", json=LOGIN)).json()["access"]


def statuses_seen(operation: schemathesis.APIOperation, mode: GenerationMode, token: str) -> set[int]:
    seen = set()

    @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def probe(case: schemathesis.Case) -> None:
        # Ids out of thin air would never get past 404, nor a request without a token past 401.
        case.path_parameters |= {name: KNOWN[name] for name in KNOWN if name in case.path_parameters}
        answer = case.call_and_validate(headers={"Authorization": f"JWT {token}"}, checks=[not_a_server_error])
        seen.add(answer.status_code)

    probe()
    return seen


def test_no_request_is_answered_with_a_server_error(app: FastAPI) -> None:
    schema = schemathesis.openapi.from_asgi("/sandbox/openapi.json", app)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) == 11
    for operation in operations:
        token = asyncio.run(end_faults_and_login(app))
        seen = statuses_seen(operation, GenerationMode.POSITIVE, token)
        if operation.body:
            seen |= statuses_seen(operation, GenerationMode.NEGATIVE, token)
        if "/set" in operation.label:
            assert 200 in seen, f"no request got as far as the command {operation.label}: {seen}"
