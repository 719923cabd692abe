"""What `check` finds in the grid fees of a file."""

from typing import Any

import pytest

from pipelines.check.fees import fee_findings

UUID = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"


def market(*spans: dict[str, Any], name: str = "Grid", uuid: str = UUID) -> dict[str, Any]:
    return {"market": name, "uuid": uuid, "cents_per_kwh": 1, "schedule": list(spans)}


def span(start: str, end: str, *days: str) -> dict[str, Any]:
    return {"from": start, "to": end, "cents_per_kwh": 2, "days": list(days)}


@pytest.mark.parametrize(
    ("markets", "words"),
    [
        ([market(span("22:00", "06:00", "sat"), span("05:00", "06:00", "mon"))], []),
        ([market(), market(name="House")], ["market 'Grid' has this uuid too"]),
        ([market(), market(uuid=OTHER)], ["there is a market 'Grid' already"]),
        ([market(uuid="a-1")], ["this is the uuid of asset 'Flat'", "hasn't the form of a UUID"]),
        ([market(span("22:00", "06:00", "sat"), span("05:00", "06:00", "sun"))], ["it never counts"]),
        ([market(span("00:00", "00:00"), span("10:00", "11:00"))], ["it never counts"]),
        ([market(span("12:10", "13:00"))], ["12:10 isn't the start of a slot"]),
        ([{"market": "Grid"}, "nonsense"], []),
    ],
)
def test_fees(markets: list[Any], words: list[str]) -> None:
    raw = {"grid_fees": markets, "assets": [{"name": "Flat", "uuid": "a-1"}], "community": {"slot_length": 15}}
    found = [finding.problem for finding in fee_findings(raw)]
    assert len(found) == len(words), found
    assert all(word in problem for word, problem in zip(words, found, strict=True)), found
