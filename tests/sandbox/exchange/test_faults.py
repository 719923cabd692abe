import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from pipelines.clock import FixedClock
from pipelines.errors import ConfigurationError
from pipelines.sandbox.exchange.faults import Fault, Rule, read_rule

Exchange = Any


async def used_at_quarter_past(exchange: Exchange, asset: str = "load") -> float:
    await exchange.faults()
    await exchange.at("12:15")
    return (await exchange.used(asset))["12:15"]


async def test_drop_says_ready_and_throws_away(exchange: Exchange) -> None:
    await exchange.faults({"do": "drop"})
    assert (await exchange.send_wh("load", 250))["status"] == "ready"
    assert (await exchange.forecast("load", {"12:15": 1.0}))["status"] == "ready"
    assert await used_at_quarter_past(exchange) == 0.0


async def test_scale_applies_the_wrong_energy(exchange: Exchange) -> None:
    await exchange.faults({"do": "scale", "factor": 1000})
    await exchange.send_wh("load", 250)
    await exchange.forecast("pv", {"12:15": 0.5})
    assert await used_at_quarter_past(exchange) == 250.0
    assert (await exchange.used("pv"))["12:15"] == 500.0


@pytest.mark.parametrize("retry_after", ["120", "Mon, 02 Mar 2026 12:05:00 GMT", None])
async def test_status_is_answered_and_nothing_applied(exchange: Exchange, retry_after: str | None) -> None:
    await exchange.faults({"do": "status", "status": 429, "retry_after": retry_after})
    answer = await exchange.command("load", "set_energy_forecast", {"energy_Wh": 250})
    assert (answer.status_code, answer.headers.get("retry-after")) == (429, retry_after)
    assert await used_at_quarter_past(exchange) == 0.0


@pytest.mark.parametrize(("fault", "kind"), [("html", "text/html; charset=utf-8"), ("empty", "application/json")])
async def test_200_without_a_command_answer_applies_nothing(exchange: Exchange, fault: str, kind: str) -> None:
    await exchange.faults({"do": fault})
    answer = await exchange.command("load", "set_energy_forecast", {"energy_Wh": 250})
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert "ready" not in answer.text
    assert await used_at_quarter_past(exchange) == 0.0


async def test_replaced_answer_is_sent_as_it_stands_and_applies_nothing(exchange: Exchange) -> None:
    await exchange.faults({"do": "replace", "body": '{"a": NaN, "a": 1e999'})
    answer = await exchange.command("load", "set_energy_forecast", {"energy_Wh": 250})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.text == '{"a": NaN, "a": 1e999'
    assert await used_at_quarter_past(exchange) == 0.0


async def test_redirect_names_the_same_path_elsewhere_and_applies_nothing(exchange: Exchange) -> None:
    await exchange.faults({"do": "redirect", "location": "http://127.0.0.1:9"})
    answer = await exchange.command("load", "set_energy_forecast", {"energy_Wh": 250})
    assert answer.status_code == 307
    assert answer.headers["location"] == f"http://127.0.0.1:9{answer.request.url.path}"
    assert await used_at_quarter_past(exchange) == 0.0


async def test_reset_applies_nothing(exchange: Exchange) -> None:
    await exchange.faults({"do": "reset"})
    with pytest.raises(ConnectionResetError):
        await exchange.send_wh("load", 250)
    assert await used_at_quarter_past(exchange) == 0.0


async def test_lost_reply_is_applied(exchange: Exchange) -> None:
    await exchange.faults({"do": "lose_reply"})
    with pytest.raises(ConnectionResetError):
        await exchange.send_wh("load", 250)
    entry = (await exchange.journal())[-1]
    assert (entry["fault"], entry["answer"], entry["status"]) == ("lose_reply", "ready", None)
    assert await used_at_quarter_past(exchange) == 0.25


async def test_delayed_post_arrives_when_it_is_handled(
    exchange: Exchange, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def slot_passes(seconds: float) -> None:
        waits.append(seconds)
        clock.set(clock.now() + timedelta(minutes=15))

    await exchange.faults({"do": "delay", "seconds": 1.5})
    monkeypatch.setattr(asyncio, "sleep", slot_passes)
    assert (await exchange.forecast("load", {"12:15": 1.0, "12:30": 2.0}))["status"] == "ready"
    monkeypatch.undo()
    await exchange.faults()
    await exchange.at("12:30")
    assert waits == [1.5]
    assert await exchange.used("load") == {"12:00": 0.0, "12:15": 0.0, "12:30": 2.0}


async def test_expired_tokens_stay_expired_until_a_new_login(exchange: Exchange) -> None:
    await exchange.send_wh("load", 100)
    await exchange.faults({"do": "expire_tokens", "times": 1})
    for _ in range(2):
        answer = await exchange.command("load", "set_energy_forecast", {"energy_Wh": 250})
        assert answer.status_code == 401
    await exchange.login()
    assert (await exchange.send_wh("load", 250))["status"] == "ready"


async def test_rule_meets_the_requests_it_names(exchange: Exchange) -> None:
    await exchange.at("12:20")
    await exchange.faults(
        {"do": "status", "status": 500, "path": "set-energy-forecast", "asset": "pv", "slot": "2026-03-02T12:15:00Z"}
    )

    async def statuses() -> list[int]:
        keyed = {"energy_forecast": {}}
        return [
            (await exchange.command("pv", "set-energy-forecast", keyed)).status_code,
            (await exchange.command("pv", "set_energy_forecast", {"energy_Wh": 1})).status_code,
            (await exchange.command("load", "set-energy-forecast", keyed)).status_code,
        ]

    assert await statuses() == [500, 200, 200]
    await exchange.at("12:30")
    assert await statuses() == [200, 200, 200]


async def test_first_rule_that_fits_meets_a_request_until_it_is_spent(exchange: Exchange) -> None:
    await exchange.faults(
        {"do": "status", "status": 500, "times": 2},
        {"do": "drop", "times": 1},
        {"do": "status", "status": 502},
    )
    got = [
        (await exchange.command("load", "set_energy_forecast", {"energy_Wh": energy_wh})).status_code
        for energy_wh in (100, 200, 300, 400)
    ]
    assert got == [500, 500, 200, 502]
    assert [entry["fault"] for entry in await exchange.journal()][1:] == ["status", "status", "drop", "status"]


async def test_faults_of_energies_are_not_spent_on_other_requests(exchange: Exchange) -> None:
    await exchange.faults({"do": "drop", "times": 1})
    await exchange.login()
    await exchange.used("load")
    await exchange.send_wh("load", 250)
    assert await used_at_quarter_past(exchange) == 0.0


async def test_control_paths_meet_no_fault(exchange: Exchange) -> None:
    await exchange.faults({"do": "status"})
    assert (await exchange.http.get("/sandbox/health")).json() == {"status": "ok"}


@pytest.mark.parametrize(
    "rule",
    [{"do": "explode"}, {"do": "drop", "tiems": 1}, {"do": "status", "status": 200}, {"do": "delay", "seconds": 1e9}],
)
async def test_rule_that_means_nothing_is_refused_and_the_old_ones_stay(
    exchange: Exchange, rule: dict[str, object]
) -> None:
    await exchange.faults({"do": "status"})
    answer: httpx.Response = await exchange.http.put("/sandbox/faults", json=[rule])
    assert answer.status_code == 422
    assert (await exchange.command("load", "set_energy_forecast", {"energy_Wh": 1})).status_code == 503


async def statuses(exchange: Exchange, posts: int, asset: str = "load") -> list[int]:
    return [(await exchange.command(asset, "set_energy_forecast", {"energy_Wh": 1})).status_code for _ in range(posts)]


async def test_first_requests_are_spared_and_others_do_not_count(exchange: Exchange) -> None:
    await exchange.faults({"do": "status", "status": 500, "asset": "load", "after": 2, "times": 1})
    assert await statuses(exchange, 3, "pv") == [200, 200, 200]
    assert await statuses(exchange, 4) == [200, 200, 500, 200]


async def test_probability_meets_its_share_and_the_same_requests_again(exchange: Exchange) -> None:
    rule = {"do": "status", "status": 500, "probability": 0.25, "seed": 7}
    await exchange.faults(rule)
    once = await statuses(exchange, 200)
    await exchange.faults(rule)
    assert await statuses(exchange, 200) == once
    # 50 are expected; fewer than 25 or more than 75 would come up once in 10,000 seeds.
    assert 25 <= once.count(500) <= 75
    await exchange.faults(rule | {"seed": 8})
    assert await statuses(exchange, 200) != once


@pytest.mark.parametrize(("probability", "status"), [(0, 200), (1, 500)])
async def test_probability_of_none_and_all(exchange: Exchange, probability: float, status: int) -> None:
    await exchange.faults({"do": "status", "status": 500, "probability": probability})
    assert await statuses(exchange, 20) == [status] * 20


async def test_asset_is_named_by_its_name_too(exchange: Exchange) -> None:
    await exchange.faults({"do": "status", "status": 500, "asset": "Roof"})
    assert await statuses(exchange, 1, "pv") + await statuses(exchange, 1, "load") == [500, 200]


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("1.5", "1.5"),
        ("86400", "86400"),
        ("soon", "soon"),
        ("date+30", "Mon, 02 Mar 2026 12:01:30 GMT"),
    ],
)
async def test_retry_after_is_sent_as_it_stands_but_for_a_date_ahead(
    exchange: Exchange, written: str, sent: str
) -> None:
    await exchange.faults({"do": "status", "status": 429, "retry_after": written})
    answer = await exchange.command("load", "set_energy_forecast", {"energy_Wh": 250})
    assert answer.headers["retry-after"] == sent


async def test_late_tick_meets_no_request(exchange: Exchange) -> None:
    await exchange.faults({"do": "late_tick", "seconds": 60, "times": 1})
    assert await statuses(exchange, 2) == [200, 200]
    await exchange.at("12:15")
    assert await exchange.used("load") == {"12:00": 0.0}


def test_rule_of_the_command_line_is_the_rule_of_the_control_path() -> None:
    text = "do=status status=429 retry_after='Mon, 02 Mar 2026 12:05:00 GMT' path=set-energy probability=0.05 times=3"
    assert read_rule(text) == Rule(
        do=Fault.STATUS,
        status=429,
        retry_after="Mon, 02 Mar 2026 12:05:00 GMT",
        path="set-energy",
        probability=0.05,
        times=3,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [("status=429", "do: "), ("do=drop tiems=1", "tiems: "), ("do=drop asset='x", "quotation"), ("nonsense", "do: ")],
)
def test_rule_of_the_command_line_that_means_nothing_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_rule(text)
