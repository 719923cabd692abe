import pickle

import pytest

from pipelines.errors import (
    AuthenticationError,
    ConfigurationError,
    ExchangeUnavailable,
    ExpiredError,
    Issue,
    RejectedError,
    Severity,
    SlotfeedError,
    SourceError,
    SourceUnavailable,
    StoreError,
    TerminalError,
    TransientError,
)

UNIT = Issue(where="asset 'Flat 3'", field="streams[0].unit", problem="'kwh' is unknown", remedy="Did you mean 'kWh'?")
FILE = Issue(where="community.yaml", field="", problem="there is no such file", remedy="Name the right path")


def test_an_issue_says_where_what_and_what_to_do() -> None:
    assert str(UNIT) == "asset 'Flat 3', streams[0].unit: 'kwh' is unknown. Did you mean 'kWh'?"
    assert str(FILE) == "community.yaml: there is no such file. Name the right path"
    assert UNIT.severity is Severity.FAULT


def test_a_configuration_error_tells_all_its_issues() -> None:
    error = ConfigurationError(issue for issue in (UNIT, FILE))
    assert error.issues == (UNIT, FILE)
    assert str(error).splitlines() == [str(UNIT), str(FILE)]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ExchangeUnavailable, TransientError),
        (SourceUnavailable, TransientError),
        (AuthenticationError, TerminalError),
        (RejectedError, TerminalError),
        (SourceError, TerminalError),
        (StoreError, TerminalError),
    ],
)
def test_each_error_says_by_its_type_whether_trying_again_helps(
    error: type[SlotfeedError], kind: type[SlotfeedError]
) -> None:
    kinds = {TransientError, TerminalError, ExpiredError, ConfigurationError}
    assert {other for other in kinds if issubclass(error, other)} == {kind}
    assert issubclass(error, SlotfeedError)


def test_errors_survive_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ConfigurationError([UNIT, FILE])))  # noqa: S301 - made here
    assert error.issues == (UNIT, FILE)
    assert str(error).splitlines() == [str(UNIT), str(FILE)]
    busy = pickle.loads(pickle.dumps(ExchangeUnavailable("busy", retry_after_s=7.5)))  # noqa: S301 - made here
    assert (str(busy), busy.retry_after_s) == ("busy", 7.5)
    assert ExchangeUnavailable("busy").retry_after_s is None
