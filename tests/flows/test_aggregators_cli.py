"""`slotfeed aggregators` against an exchange that keeps who has selected whom."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml

from flows import logged_in
from pipelines.exchange import open_exchange

Command = Callable[..., tuple[int, str]]
FLAT, ROOF = "5f9c3e13-f75d-42af-92e4-55244faec4b4", "26090dea-a100-4c9b-9d2c-fcd582be8b2d"
HOUSE = "c1b6cb37-64a3-4d54-a50b-97a0c1ac9d0c"
SIM = "84d221fa-46e1-49e0-823b-26cfb3425a5a"


class Exchange:
    def __init__(self) -> None:
        self.names = {"uuid-1": "Street", "uuid-2": "Other"}
        self.selected: dict[str, str] = {}

    def handle(self, request: httpx.Request) -> httpx.Response:
        what = request.url.path.rstrip("/").rpartition("/")[2]
        body = json.loads(request.content) if request.content else {}
        device, aggregator = body.get("device_uuid", ""), body.get("aggregator_uuid", "")
        match what:
            case "api-token-auth":
                return httpx.Response(200, json={"access": "t"})
            case "list-aggregators":
                return httpx.Response(200, json=[{"uuid": uuid, "name": name} for uuid, name in self.names.items()])
            case "create-aggregator":
                self.names["uuid-3"] = body["name"]
                return httpx.Response(200, json={"uuid": "uuid-3"})
            case "delete-aggregator":
                del self.names[aggregator]
                return httpx.Response(200, json={"uuid": aggregator})
            case "select-aggregator" if device in self.selected:
                msg = f"Device already have selected {self.selected[device]}"
                return httpx.Response(200, json={"status": "error", "msg": msg})
            case "select-aggregator":
                self.selected[device] = aggregator
            case "unselect-aggregator":
                self.selected.pop(device)
        return httpx.Response(200, json={"aggregator_uuid": aggregator})


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exchange:
    """The exchange, and beside it a community whose file names the aggregator Street."""
    served = Exchange()
    opened = functools.partial(open_exchange, transport=httpx.MockTransport(served.handle))
    monkeypatch.setattr(logged_in, "open_exchange", opened)
    monkeypatch.setenv("SLOTFEED_EXCHANGE_USERNAME", "me")
    monkeypatch.setenv("SLOTFEED_EXCHANGE_PASSWORD", "hush-hush")
    monkeypatch.chdir(tmp_path)
    meters = {
        "type": "meter_database",
        "url": "sqlite:///m.sqlite",
        "table": "t",
        "columns": {"meter": "m", "time": "t", "value": "v"},
        "time_type": "epoch_s",
    }
    assets = [
        {
            "name": name,
            "uuid": uuid,
            "type": kind,
            "rated_power_kw": 5,
            "streams": [{"source": "meters", "device": name, "kind": "register", "unit": "kWh"}],
        }
        for name, uuid, kind in (("Flat", FLAT, "load"), ("Roof", ROOF, "pv"))
    ]
    file = {
        "community": {"name": "Street", "simulation_uuid": SIM},
        "exchange": {"base_url": "http://127.0.0.1:1", "protocol": "batch", "aggregator": "Street"},
        "sources": {"meters": meters},
        "assets": assets,
        "grid_fees": [{"market": "House", "uuid": HOUSE, "cents_per_kwh": 5}],
    }
    (tmp_path / "community.yaml").write_text(yaml.safe_dump(file))
    return served


def test_list_shows_them_and_which_is_the_file_s(exchange: Exchange, slotfeed: Command) -> None:
    status, told = slotfeed("aggregators", "list")
    assert status == 0, told
    (street,) = [line for line in told.splitlines() if "Street" in line]
    (other,) = [line for line in told.splitlines() if "Other" in line]
    assert ("uuid-1" in street, "yes" in street, "yes" in other) == (True, True, False)


def test_create_and_delete(exchange: Exchange, slotfeed: Command) -> None:
    status, told = slotfeed("aggregators", "create", "New")
    assert (status, exchange.names["uuid-3"]) == (0, "New"), told
    assert "aggregator: uuid-3" in told
    assert slotfeed("aggregators", "create", "New")[0] == 1
    status, told = slotfeed("aggregators", "delete", "New", "--yes")
    assert (status, "uuid-3" in exchange.names) == (0, False), told


@pytest.mark.parametrize("command", [("select", "--all"), ("delete", "Street")])
def test_nothing_is_done_when_nobody_can_agree(exchange: Exchange, slotfeed: Command, command: tuple[str, ...]) -> None:
    status, told = slotfeed("aggregators", *command)
    assert (status, exchange.selected, "Street" in exchange.names.values()) == (1, {}, True)
    assert "--yes" in told


def test_select_tells_the_trap_and_selects(exchange: Exchange, slotfeed: Command) -> None:
    status, told = slotfeed("aggregators", "select", "--all", "--yes")
    assert (status, exchange.selected) == (0, {FLAT: "uuid-1", ROOF: "uuid-1"}), told
    assert "stops the exchange's template trading" in told
    assert "Roof: selected ('Street')" in told
    status, told = slotfeed("aggregators", "select", "--asset", "Roof", "--yes")
    assert (status, "was selected already" in told) == (0, True), told


@pytest.mark.parametrize("named", ["House", HOUSE])
def test_market_whose_fees_are_planned_is_selected_by_name(exchange: Exchange, slotfeed: Command, named: str) -> None:
    status, told = slotfeed("aggregators", "select", "--asset", named, "--yes")
    assert (status, exchange.selected) == (0, {HOUSE: "uuid-1"}), told
    assert "House: selected ('Street')" in told
    status, told = slotfeed("aggregators", "unselect", "--asset", named)
    assert (status, exchange.selected) == (0, {}), told


def test_one_that_another_has_fails_the_command_and_hinders_no_other(exchange: Exchange, slotfeed: Command) -> None:
    exchange.selected[FLAT] = "uuid-2"
    status, told = slotfeed("aggregators", "select", "--all", "--yes")
    assert (status, exchange.selected) == (1, {FLAT: "uuid-2", ROOF: "uuid-1"})
    assert "slotfeed aggregators unselect --aggregator uuid-2 --asset 'Flat'" in told
    status, told = slotfeed("aggregators", "unselect", "--aggregator", "uuid-2", "--asset", "Flat")
    assert (status, exchange.selected) == (0, {ROOF: "uuid-1"}), told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "--all"),
        (("--all", "--asset", "Flat"), "--all"),
        (("--asset", "Rof"), "no asset or market 'Rof'"),
        (("--all", "--aggregator", "Steet"), "no aggregator 'Steet'"),
    ],
)
def test_what_is_unclear_selects_nothing(
    exchange: Exchange, slotfeed: Command, options: tuple[str, ...], words: str
) -> None:
    status, told = slotfeed("aggregators", "select", "--yes", *options)
    assert (status, exchange.selected) == (1, {})
    assert words in told
