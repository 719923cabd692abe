"""The dead man's switch: its address is its key."""

import logging
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from flows.stopping import Stop
from flows.watch_steps import vouch
from pipelines.errors import ConfigurationError
from pipelines.settings import Secrets
from tests.conftest import small_community
from tests.security.listeners import Says, listening

KEY = "pl4nt-switch-5e0b"


def run_with(url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """As of a flow run."""
    monkeypatch.setattr("flows.watch_steps.FlowRunContext", SimpleNamespace(get=object))
    # Prefect's own sender would start a server, and outlive the test.
    looked: list[Any] = []
    monkeypatch.setattr("flows.watch_steps.emit_looked", looked.append)
    return SimpleNamespace(
        secrets=Secrets(tmp_path, {"SLOTFEED_DEAD_MANS_SWITCH_URL": url}),
        community=small_community("rest"),
        problems=[],
        stop=Stop(),
        stage=lambda _: nullcontext(),
        looked=looked,
    )


@pytest.mark.parametrize("status", [200, 302, 404, 500])
async def test_neither_a_problem_nor_a_log_tells_it_and_no_redirect_gets_it(
    status: int, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Undone after the test: the step turns these logs down for good.
    for name in ("httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=name)
    with listening() as switch, listening() as other:
        switch.answer = lambda heard: Says(status=status, headers={"Location": other.url + heard.path})
        run = run_with(f"{switch.url}/ping/{KEY}", tmp_path, monkeypatch)
        await vouch(run)
        assert [heard.path for heard in switch.heard] == [f"/ping/{KEY}"]
        assert other.heard == []
    assert len(run.problems) == (status != 200)
    assert run.looked == [run.community]
    assert KEY not in "".join(run.problems)
    assert KEY not in caplog.text


async def test_it_is_not_asked_in_clear(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_with(f"http://switch.example/ping/{KEY}", tmp_path, monkeypatch)
    with pytest.raises(ConfigurationError, match=r"allow_http: \[switch\.example\]") as caught:
        await vouch(run)
    assert KEY not in str(caught.value)
