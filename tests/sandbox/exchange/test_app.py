import json
from typing import Any

import httpx
import pytest

from pipelines.sandbox.exchange.accounts.people import Role, Visitor
from pipelines.sandbox.exchange.ctn import Ctn

PASSWORD = "correct horse battery"
SIMULATION = "5b2ddb77-3b0b-4a25-a4c4-0ac2f2a1c9b1"
Exchange = Any

LOAD_POST = f"/external-connection/api/{SIMULATION}/load/set_energy_forecast/"


async def test_forecast_for_the_next_slot_is_used_in_it(exchange: Exchange) -> None:
    answer = await exchange.forecast("load", {"12:15": 0.25})
    assert answer == {"command": "set_energy_forecast", "status": "ready", "transaction_id": None}
    await exchange.at("12:15")
    assert await exchange.used("load") == {"12:00": 0.0, "12:15": 0.25}


async def test_ready_means_queued_and_not_applied(exchange: Exchange) -> None:
    assert (await exchange.send_wh("load", 250))["status"] == "ready"
    await exchange.forecast("pv", {"12:00": 0.7, "12:15": 0.8})
    assert await exchange.used("load") == {"12:00": 0.0}
    assert await exchange.used("pv") == {"12:00": 0.0}


async def test_late_forecast_is_answered_ready_and_vanishes(exchange: Exchange) -> None:
    await exchange.at("12:31")
    assert (await exchange.forecast("load", {"12:15": 1.0, "12:30": 2.0}))["status"] == "ready"
    await exchange.at("12:46")
    assert await exchange.used("load") == {"12:00": 0.0, "12:15": 0.0, "12:30": 0.0, "12:45": 0.0}


async def test_forecast_off_the_grid_vanishes(exchange: Exchange) -> None:
    assert (await exchange.forecast("load", {"12:17": 1.0}))["status"] == "ready"
    await exchange.at("12:46")
    assert set((await exchange.used("load")).values()) == {0.0}


async def test_slot_without_forecast_is_zero_and_not_carried_over(exchange: Exchange) -> None:
    await exchange.forecast("load", {"12:15": 1.0, "12:45": 3.0})
    await exchange.at("12:45")
    assert await exchange.used("load") == {"12:00": 0.0, "12:15": 1.0, "12:30": 0.0, "12:45": 3.0}


async def test_last_forecast_for_a_slot_wins(exchange: Exchange) -> None:
    await exchange.forecast("load", {"12:30": 1.0})
    await exchange.forecast("load", {"12:30": 2.0})
    await exchange.at("12:16")
    await exchange.forecast("load", {"12:30": 3.0})
    await exchange.at("12:30")
    await exchange.forecast("load", {"12:30": 4.0})
    await exchange.at("12:45")
    assert (await exchange.used("load"))["12:30"] == 3.0


async def test_value_without_slot_time_drives_the_slot_after_its_arrival_and_is_repeated(exchange: Exchange) -> None:
    await exchange.send_wh("load", 100)
    await exchange.send_wh("load", 250)
    await exchange.at("12:46")
    await exchange.send_wh("load", 400)
    await exchange.at("13:00")
    assert await exchange.used("load") == {"12:00": 0.0, "12:15": 0.25, "12:30": 0.25, "12:45": 0.25, "13:00": 0.4}


async def test_forecast_with_slot_time_beats_the_repeated_one(exchange: Exchange) -> None:
    await exchange.send_wh("load", 250)
    await exchange.forecast("load", {"12:30": 0.0})
    await exchange.at("12:45")
    assert await exchange.used("load") == {"12:00": 0.0, "12:15": 0.25, "12:30": 0.0, "12:45": 0.25}


async def test_older_key_of_the_value_without_slot_time_is_wh_too(exchange: Exchange) -> None:
    answer = await exchange.command("load", "set_energy_forecast", {"energy_forecast": 250, "transaction_id": "t-1"})
    assert answer.json() == {"command": "set_energy_forecast", "status": "ready", "transaction_id": "t-1"}
    await exchange.at("12:15")
    assert (await exchange.used("load"))["12:15"] == 0.25


async def test_measurement_is_taken_and_never_echoed(exchange: Exchange) -> None:
    answer = await exchange.measure("load", {"12:00": 1.5})
    assert answer == {"command": "set_energy_measurement", "status": "ready", "transaction_id": None}
    await exchange.at("12:30")
    assert set((await exchange.used("load")).values()) == {0.0}


async def test_smart_meter_takes_data_and_uses_none(exchange: Exchange) -> None:
    assert (await exchange.forecast("meter", {"12:15": 1.0}))["status"] == "ready"
    assert (await exchange.send_wh("meter", 100))["status"] == "ready"
    await exchange.at("12:15")
    assert await exchange.used("meter") == {"12:00": 0.0, "12:15": 0.0}


@pytest.mark.parametrize("stamp", ["2026-03-02T12:15+00:00", "2026-03-02T12:15Z", "2026-3-2T12:15", "2026-03-02T25:15"])
async def test_slot_in_another_format_is_refused_with_the_whole_command(exchange: Exchange, stamp: str) -> None:
    body = {"energy_forecast": {"2026-03-02T12:30": 1.0, stamp: 0.5}, "transaction_id": "t-2"}
    answer = (await exchange.command("load", "set-energy-forecast", body)).json()
    assert (answer["status"], answer["transaction_id"]) == ("error", "t-2")
    assert f"Format of {stamp} is not one of ['YYYY-MM-DDTHH:mm', " in answer["error_message"]
    await exchange.at("12:30")
    assert set((await exchange.used("load")).values()) == {0.0}


@pytest.mark.parametrize(
    "stamp", ["2026-03-02T12:15:00", "March 02 2026, 12:15 h", "12:15", "12:15:00"], ids=["s", "ui", "time", "time-s"]
)
async def test_other_formats_of_the_engine_are_taken(exchange: Exchange, stamp: str) -> None:
    await exchange.command("load", "set-energy-forecast", {"energy_forecast": {stamp: 0.5}})
    await exchange.at("12:15")
    assert (await exchange.used("load"))["12:15"] == 0.5


@pytest.mark.parametrize(
    ("energy", "words"),
    [(-0.1, "is not positive"), (None, "is not a number"), ("1.0", "is not a number"), (True, "is not a number")],
)
async def test_energy_that_is_no_energy_is_refused(exchange: Exchange, energy: object, words: str) -> None:
    for answer in (
        await exchange.forecast("load", {"12:15": 1.0, "12:30": energy}),
        await exchange.measure("load", {"12:00": energy}),
        await exchange.send_wh("load", energy),
    ):
        assert answer["status"] == "error"
        assert words in answer["error_message"]
    await exchange.at("12:30")
    assert set((await exchange.used("load")).values()) == {0.0}


@pytest.mark.parametrize(
    ("command", "body"),
    [
        ("set-energy-forecast", {}),
        ("set-energy-forecast", {"energy_forecast": {}, "more": 1}),
        ("set-energy-forecast", {"energy_measurement": {}}),
        ("set_energy_forecast", {"energy_wh": 1}),
        ("set_energy_forecast", {"energy_Wh": 1, "energy_forecast": 1}),
        ("set-energy-measurement", []),
    ],
)
async def test_other_keys_are_an_incorrect_request(exchange: Exchange, command: str, body: object) -> None:
    answer = (await exchange.command("load", command, body)).json()
    assert answer["status"] == "error"
    assert answer["error"].startswith("Incorrect set_energy_")


async def test_dialects_do_not_mix(exchange: Exchange) -> None:
    keyed_as_single = await exchange.command("load", "set_energy_forecast", {"energy_forecast": {"12:15": 1.0}})
    single_as_keyed = await exchange.command("load", "set-energy-forecast", {"energy_forecast": 250})
    assert keyed_as_single.json()["status"] == single_as_keyed.json()["status"] == "error"


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"energy_Wh": NaN}', b'{"energy_Wh": 1e999}', b"[" * 100_000, b'{"energy_Wh": 1' + b"0" * 5000 + b"}"],
)
async def test_body_that_is_no_json_is_400(exchange: Exchange, body: bytes) -> None:
    answer = await exchange.http.post(LOAD_POST, content=body)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("JSON parse error")
    await exchange.at("12:15")
    assert (await exchange.used("load"))["12:15"] == 0.0


async def test_number_too_large_to_count_with_is_refused(exchange: Exchange) -> None:
    answer = await exchange.send_wh("load", 10**400)
    assert (answer["status"], "out of range" in answer["error_message"]) == ("error", True)


async def test_post_without_a_body_is_an_incorrect_request(exchange: Exchange) -> None:
    assert (await exchange.http.post(LOAD_POST)).json()["status"] == "error"


async def test_history_rounds_to_eight_decimals(exchange: Exchange) -> None:
    await exchange.forecast("load", {"12:15": 0.1 + 0.2, "12:30": 0.123456789})
    await exchange.at("12:30")
    assert await exchange.used("load", "12:15") == {"12:15": 0.3, "12:30": 0.12345679}


async def test_history_has_an_alias_and_refuses_other_formats(exchange: Exchange) -> None:
    path = f"/historical-data/devices/{SIMULATION}/pv/2026-03-02T12:00/2026-03-02T12:15"
    assert (await exchange.http.get(path)).json() == {"2026-03-02T12:00": {"pv_production_kWh": 0.0}}
    for start in ("2026-03-02", "2026-03-02T12:00:00", "2026-03-02T12:00Z", "2026-02-30T12:00", "1999-01-01T00:00"):
        path = f"/historical-data/assets/{SIMULATION}/pv/{start}/2026-03-02T12:15"
        assert (await exchange.http.get(path)).status_code == 400, start


async def test_registry_is_the_tree_of_the_file(exchange: Exchange, config: dict[str, Any]) -> None:
    answer = await exchange.http.get(f"/external-connection/configurations/{SIMULATION}/registry")

    def outline(node: dict[str, Any]) -> dict[str, object]:
        children = [outline(child) for child in node.get("children") or ()]
        return {key: node[key] for key in ("name", "type", "uuid")} | {"children": children}

    assert outline(answer.json()) == outline(config["registry"])


async def test_what_does_not_exist_is_404(exchange: Exchange) -> None:
    body = {"energy_Wh": 1}
    for path in (
        LOAD_POST.removesuffix("/"),
        LOAD_POST.replace(SIMULATION, "another"),
        LOAD_POST.replace("/load/", "/nobody/"),
        LOAD_POST.replace("/load/", "/area-house/"),
        "/api-token-auth",
    ):
        answer = await exchange.http.post(path, json=body)
        assert (answer.status_code, answer.headers.get("location")) == (404, None), path
    for path in (
        "/external-connection/configurations/another/registry",
        f"/historical-data/assets/{SIMULATION}/nobody/2026-03-02T12:00/2026-03-02T12:15",
    ):
        assert (await exchange.http.get(path)).status_code == 404, path


async def test_every_answer_tells_the_sandbox_time_and_the_version(exchange: Exchange) -> None:
    await exchange.at("12:14")
    for path in ("/sandbox/health", "/nowhere", LOAD_POST):
        answer = await exchange.http.get(path)
        assert answer.headers.get_list("date") == ["Mon, 02 Mar 2026 12:14:00 GMT"], path
        assert answer.headers["api-version"] == "1.3.0"


async def test_clock_never_goes_back_and_wants_an_offset(exchange: Exchange) -> None:
    async def put(now: str) -> httpx.Response:
        return await exchange.http.put("/sandbox/clock", json={"now": now})

    assert (await put("2026-03-02T12:00:59Z")).status_code == 409
    assert (await put("2026-03-02T13:00:00")).status_code == 422
    assert (await put("2026-03-02T14:00:00+01:00")).json() == {"now": "2026-03-02T13:00:00Z"}
    assert (await exchange.http.get("/sandbox/clock")).json() == {"now": "2026-03-02T13:00:00Z"}


async def test_journal_tells_in_order_what_came_and_what_was_answered(exchange: Exchange) -> None:
    await exchange.send_wh("load", 250)
    await exchange.at("12:16")
    await exchange.forecast("pv", {"12:30": -1.0})
    await exchange.command("nobody", "set_energy_forecast", {"energy_Wh": 1})
    login, single, keyed, unknown = await exchange.journal()
    assert (login["path"], login["status"], login["answer"]) == ("/api-token-auth/", 200, None)
    assert single == {
        "seq": 2,
        "at": "2026-03-02T12:01:00+00:00",
        "method": "POST",
        "path": LOAD_POST,
        "asset": "load",
        "body": {"energy_Wh": 250},
        "status": 200,
        "answer": "ready",
        "answers": None,
        "fault": None,
        "fault_meets": None,
    }
    assert (keyed["at"], keyed["asset"], keyed["answer"]) == ("2026-03-02T12:16:00+00:00", "pv", "error")
    assert keyed["body"] == {"energy_forecast": {"2026-03-02T12:30": -1.0}}
    assert (unknown["asset"], unknown["status"], unknown["answer"]) == ("nobody", 404, None)


async def test_journal_is_read_on_from_an_entry(exchange: Exchange) -> None:
    for number in range(3):
        await exchange.send_wh("load", number)
    told = (await exchange.http.get("/sandbox/journal", params={"after": 2})).json()
    assert [(entry["seq"], entry["body"]) for entry in told] == [(3, {"energy_Wh": 1}), (4, {"energy_Wh": 2})]
    assert (await exchange.http.get("/sandbox/journal", params={"after": -1})).status_code == 422


async def test_journal_holds_no_password_and_no_token_wherever_they_were_put(exchange: Exchange) -> None:
    token = exchange.http.headers["authorization"].removeprefix("JWT ")
    await exchange.command("load", "set_energy_forecast", {"energy_Wh": 1, "password": PASSWORD, "token": token})
    await exchange.http.post("/api-token-auth/", json=[PASSWORD, token])
    written = json.dumps(await exchange.journal())
    assert '"password"' in written, "the login itself is in the journal"
    assert PASSWORD not in written
    assert token not in written


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1])
async def test_body_over_a_mebibyte_is_413(exchange: Exchange, size: int) -> None:
    body = b'{"energy_Wh": 250}'.ljust(size)
    answer = await exchange.http.post(LOAD_POST, content=body)
    assert answer.status_code == (200 if size == 1 << 20 else 413)
    assert (await exchange.journal())[-1]["status"] == answer.status_code
    await exchange.at("12:15")
    assert (await exchange.used("load"))["12:15"] == (0.25 if size == 1 << 20 else 0.0)


async def test_who_posts_for_a_foreign_asset_is_refused_and_written_down(
    exchange: Exchange, ctn: Ctn, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = Visitor(username="bea", role=Role.AGGREGATOR, subjects=frozenset({"pv"}))
    monkeypatch.setattr(ctn.people, "admit", lambda _: visitor)
    assert (await exchange.forecast("pv", {"12:15": 1.0}))["status"] == "ready"
    answer = await exchange.command("load", "set-energy-forecast", {"energy_forecast": {"2026-03-02T12:15": 1.0}})
    assert answer.status_code == 403
    assert answer.json() == {"detail": "You do not have permission to perform this action."}
    line = ctn.audit.lines(limit=1)[0]
    assert (line.username, line.action, line.subject, line.outcome) == (
        "bea",
        "set_energy_forecast",
        "load",
        "forbidden",
    )
    assert ctn.market.posted("load", ctn.market.slot, ctn.market.slot + 9 * ctn.market.slot_length) == {}


async def test_text_that_only_the_slower_parser_takes_comes_back_as_it_was(exchange: Exchange) -> None:
    body = b'{"energy_Wh": 250, "transaction_id": "\\ud800"}'
    answer = await exchange.http.post(LOAD_POST, content=body)
    assert answer.content.endswith(b'"transaction_id":"\\ud800"}')
