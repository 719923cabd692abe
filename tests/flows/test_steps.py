"""Which errors of a step make Prefect try it again."""

from typing import Any

import pytest
from prefect.states import exception_to_failed_state

from flows.steps import worth_repeating
from pipelines.errors import AuthenticationError, ExchangeMoved, ExchangeUnavailable, SourceUnavailable, TerminalError

ANY: Any = None


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ExchangeUnavailable("503"), True),
        (SourceUnavailable("away"), True),
        (ExchangeMoved("maintenance", for_good=False), True),
        # It would send the password in clear once more, or to an address that is gone.
        (ExchangeMoved("https instead", for_good=True), False),
        (AuthenticationError("refused"), False),
        (TerminalError("no"), False),
        (ValueError("a bug"), False),
    ],
)
async def test_only_what_may_succeed_next_time_is_tried_again(error: Exception, again: bool) -> None:
    assert await worth_repeating(ANY, ANY, await exception_to_failed_state(error)) is again
