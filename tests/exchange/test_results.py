"""Reading back over windows: what is asked for, what is kept, whose trouble is whose."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import SlotfeedError
from pipelines.exchange.results import parse_kwh, read_energy, read_history, windows

Scripted = Any
START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def paths(scripted: Scripted, asset: str) -> list[str]:
    return [r.url.path.split(f"/{asset}/")[1] for r in scripted.requests if f"/{asset}/" in r.url.path]


async def read(scripted: Scripted, *assets: str, days: int = 1, how: Any = read_history) -> Any:
    async with scripted.client() as client:
        return await how(client, simulation="sim", assets=assets, start=START, end=START + days * DAY, concurrency=2)


async def test_a_long_span_is_asked_for_in_weeks_one_after_the_other(scripted: Scripted) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        first, last = request.url.path.split("/")[-2:]
        # Both ends belong to this exchange's answer: the later one mustn't be counted twice.
        return httpx.Response(200, json={first: {"load_profile_kWh": 0.1}, last: {"load_profile_kWh": 0.2}})

    scripted.answers = [answer]
    found = await read(scripted, "a", days=16)
    assert paths(scripted, "a") == [
        "2026-03-01T00:00/2026-03-08T00:00",
        "2026-03-08T00:00/2026-03-15T00:00",
        "2026-03-15T00:00/2026-03-17T00:00",
    ]
    assert found.energy_kwh == {"a": {START: 0.1, START + 7 * DAY: 0.1, START + 14 * DAY: 0.1}}


async def test_a_window_that_cant_be_read_costs_its_asset_that_window_only(scripted: Scripted) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        first = request.url.path.split("/")[-2]
        return httpx.Response(200, json={"gibberish": 1} if first == "2026-03-01T00:00" else {first: 0.5})

    scripted.answers = [answer]
    found = await read(scripted, "a", days=14)
    assert found.energy_kwh == {"a": {START + 7 * DAY: 0.5}}
    assert "gibberish" in found.failed["a"]
    # Who compares must not take the rest for the whole.
    whole = await read(scripted, "a", days=14, how=read_energy)
    assert (whole.energy_wh, list(whole.failed)) == ({}, ["a"])


async def test_one_assets_trouble_is_its_own_and_stops_its_windows(scripted: Scripted) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        asset, first = request.url.path.split("/")[4], request.url.path.split("/")[-2]
        if asset == "gone":
            return httpx.Response(404, json={"detail": "No such asset."})
        return httpx.Response(503) if asset == "busy" else httpx.Response(200, json={first: 1.25})

    scripted.answers = [answer]
    found = await read(scripted, "gone", "busy", "good", days=14)
    assert found.energy_kwh == {"good": {START: 1.25, START + 7 * DAY: 1.25}}
    assert (list(found.unknown), list(found.failed)) == (["gone"], ["busy"])
    assert len(paths(scripted, "gone")) == 1
    assert set(paths(scripted, "busy")) == {"2026-03-01T00:00/2026-03-08T00:00"}


async def test_kwh_stay_as_they_came_and_wh_are_a_thousand_of_them(scripted: Scripted) -> None:
    scripted.answers = [httpx.Response(200, json={"2026-03-01T00:00": 0.30000000000000004})]
    assert (await read(scripted, "a")).energy_kwh["a"][START] == 0.30000000000000004
    assert (await read(scripted, "a", how=read_energy)).energy_wh["a"][START] == pytest.approx(300, abs=1e-9)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e306, "NaN"])
def test_what_is_no_finite_energy_is_no_answer(value: object) -> None:
    with pytest.raises(SlotfeedError, match="can't read the entry '2026-03-01T00:00'"):
        parse_kwh({"2026-03-01T00:00": {"load_profile_kWh": value}}, step="results")


def test_a_slot_that_stands_twice_is_no_answer() -> None:
    with pytest.raises(Exception, match="twice"):
        parse_kwh({"2026-03-01T00:00": 1, "2026-3-1T0:00": 2}, step="results of asset a")


@given(hours=st.integers(0, 24 * 40))
def test_windows_cover_the_span_exactly(hours: int) -> None:
    end = START + timedelta(hours=hours)
    parts = list(windows(START, end))
    assert [first for first, _ in parts] == [START, *[last for _, last in parts[:-1]]][: len(parts)]
    assert all(timedelta(0) < last - first <= timedelta(days=7) for first, last in parts)
    assert sum((last - first for first, last in parts), timedelta(0)) == end - START
