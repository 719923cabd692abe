"""What a feed goes on with when no source can be read."""

from types import SimpleNamespace
from typing import Any

import pytest

from flows import feed
from pipelines.errors import (
    AccountStopped,
    AuthenticationError,
    ConfigurationError,
    Issue,
    SlotfeedError,
    SourceError,
    SourceUnavailable,
)

MISSING = Issue(where="source 'roof'", field="", problem="no key is set", remedy="Set it")


@pytest.mark.parametrize(
    "failure",
    [
        AccountStopped("the month is used up", until=None),
        SourceUnavailable("away"),
        SourceError("a column is gone"),
        AuthenticationError("the key is refused"),
        ConfigurationError([MISSING]),
    ],
)
async def test_what_was_measured_before_is_still_sent(failure: SlotfeedError, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []

    async def collect(_run: Any) -> None:
        raise failure

    def step(name: str) -> Any:
        async def take(_run: Any) -> None:
            done.append(name)

        return take

    monkeypatch.setattr(feed, "collect", collect)
    for name in ("validate", "convert", "deliver"):
        monkeypatch.setattr(feed, name, step(name))
    run: Any = SimpleNamespace(problems=[])
    await feed.feed_once(run)
    assert done == ["validate", "convert", "deliver"]
    assert run.problems == [str(failure)]
