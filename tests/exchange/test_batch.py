"""The aggregator's dialect: bodies byte for byte, and what answers mean."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.exchange import PROTOCOLS, Command, Envelope, Fate, Request
from pipelines.frames import Quantity

SLOT = datetime(2016, 10, 30, 0, 30, tzinfo=UTC)
LATER = SLOT + timedelta(minutes=15)
F, M = Quantity.FORECAST, Quantity.MEASUREMENT
BATCH = PROTOCOLS["batch"]
ENVELOPE = Envelope(simulation="b4d5", transaction_id="7c1f", aggregator="a66a")


def command(asset: str = "e81a", quantity: Quantity = F, **energy_wh: float) -> Command:
    slots = {"now": SLOT, "later": LATER}
    return Command(asset=asset, quantity=quantity, energy_wh={slots[key]: wh for key, wh in energy_wh.items()})


def test_a_batch_names_its_aggregator_and_each_asset_s_commands_in_kwh() -> None:
    commands = [command("e81a", later=812.5, now=0.1 + 0.2), command("f92b", now=0.0), command("e81a", M, now=300.0)]
    assert BATCH.request(ENVELOPE, commands) == Request(
        path="/external-connection/aggregator-api/b4d5/batch-commands/",
        body=(
            b'{"aggregator_uuid":"a66a","batch_commands":{'
            b'"e81a":[{"type":"set_energy_forecast","energy_forecast":'
            b'{"2016-10-30T00:30":0.0003,"2016-10-30T00:45":0.8125}},'
            b'{"type":"set_energy_measurement","energy_measurement":{"2016-10-30T00:30":0.3}}],'
            b'"f92b":[{"type":"set_energy_forecast","energy_forecast":{"2016-10-30T00:30":0.0}}]},'
            b'"transaction_id":"7c1f"}'
        ),
    )


def test_a_batch_without_an_aggregator_is_never_made() -> None:
    with pytest.raises(ValueError, match="aggregator"):
        BATCH.request(Envelope(simulation="b4d5", transaction_id="7c1f"), [command(now=1.0)])


READY = {"status": "ready"}


def answer(**responses: Any) -> dict[str, Any]:
    return {"command": "batch_commands", "transaction_id": "7c1f", "aggregator_uuid": "a66a", "responses": responses}


def fates(told: object, *commands: Command) -> list[Fate]:
    return [verdict.fate for verdict in BATCH.verdicts(commands, told)]


def test_each_command_has_the_verdict_of_its_place() -> None:
    told = answer(
        e81a=[
            {"command": "set_energy_forecast", "area_uuid": "e81a", **READY},
            {"command": "set_energy_measurement", "area_uuid": "e81a", "status": "error", "message": "not supported"},
        ],
        f92b=[{"command": "set_energy_forecast", **READY}],
    )
    asked = [command("e81a", M, now=1.0), command("f92b", now=1.0)]
    both = [command("e81a", now=1.0), command("f92b", now=1.0), command("e81a", M, now=1.0)]
    assert fates(told, *both) == [Fate.READY, Fate.READY, Fate.REFUSED]
    assert BATCH.verdicts(both, told)[2].reason == "not supported"
    # The first answer is for a forecast, and none was sent.
    assert fates(told, *asked) == [Fate.UNANSWERED, Fate.READY]


@pytest.mark.parametrize(
    ("response", "fate", "words"),
    [
        ({**READY}, Fate.READY, ""),
        ({"status": "error", "message": "Command type not supported for device e81a"}, Fate.REFUSED, "not supported"),
        (
            {
                "status": "error",
                "error_message": "Error when handling set_energy_forecast on area Flat with arguments "
                + "{'type': 'set_energy_forecast'}" * 50
                + ".Market cycle already finished.",
            },
            Fate.RACED,
            "market cycle already finished",
        ),
        (
            {
                "status": "error",
                "error_message": "Error when handling set_energy_forecast on area Flat with arguments {}",
            },
            Fate.REFUSED,
            "Error when handling set_energy_forecast on area Flat",
        ),
        ({"status": "error"}, Fate.REFUSED, "without saying why"),
        ({"status": "perhaps"}, Fate.UNANSWERED, "status 'perhaps'"),
        ({}, Fate.UNANSWERED, "status 'None'"),
        ({**READY, "area_uuid": "f92b"}, Fate.UNANSWERED, "another command"),
        ({**READY, "command": "set_energy_measurement"}, Fate.UNANSWERED, "another command"),
        ("ready", Fate.UNANSWERED, "leaves this command out"),
        (None, Fate.UNANSWERED, "leaves this command out"),
    ],
)
def test_what_a_response_says(response: object, fate: Fate, words: str) -> None:
    (verdict,) = BATCH.verdicts([command(now=1.0)], answer(e81a=[response]))
    assert (verdict.fate, words in verdict.reason) == (fate, True), verdict.reason
    assert len(verdict.reason) <= 200


@pytest.mark.parametrize("entry", [None, [], {}, "ready", 7])
def test_an_asset_without_readable_responses_is_unanswered(entry: object) -> None:
    told = answer(e81a=entry, f92b=[READY])
    assert fates(told, command("e81a", now=1.0), command("f92b", now=1.0)) == [Fate.UNANSWERED, Fate.READY]


@pytest.mark.parametrize("reply", [{"queued": True}, [], "ok", None, {"responses": None}])
def test_a_reply_without_responses_says_that_all_is_queued(reply: object) -> None:
    assert not BATCH.tells_all(reply)
    assert fates(reply, command("e81a", now=1.0), command("f92b", now=1.0)) == [Fate.READY, Fate.READY]


def test_a_race_told_for_no_transaction_means_the_whole_batch() -> None:
    race = {"command": "set_energy_forecast", "status": "error", "error_message": "X.Market cycle already finished."}
    assert fates(race, command("e81a", now=1.0), command("f92b", now=1.0)) == [Fate.RACED, Fate.RACED]
