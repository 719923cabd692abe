import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import ConfigurationError
from pipelines.gsy_files.config import read_config


def config() -> dict[str, Any]:
    leaf = {"name": "Flat", "type": "Load", "uuid": "l", "attributes": None, "registered": None}
    return {
        "username": "someone@example.com",
        "name": "Sunny Street",
        "uuid": "84d221fa-46e1-49e0-823b-26cfb3425a5a",
        "domain_name": "https://exchange.example",
        "web_socket_domain_name": "wss://exchange.example/external-ws",
        "global_settings": {
            "start_date": "2021-02-25",
            "spot_market_type": "2",
            "slot_length": "0:15:00",
            "grid_fee_type": 1,
            "tick_length": "0:00:15",
        },
        "registry": {"name": "Grid", "type": "Area", "uuid": "g", "children": [leaf]},
    }


def write(folder: Path, content: object) -> Path:
    path = folder / "simulation.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def fields(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read_config(path)
    assert all(issue.where == "simulation config simulation.json" for issue in caught.value.issues)
    return [issue.field for issue in caught.value.issues]


def test_a_config_as_the_registry_page_gives_it(tmp_path: Path) -> None:
    read = read_config(write(tmp_path, config()))
    assert (read.name, read.uuid) == ("Sunny Street", "84d221fa-46e1-49e0-823b-26cfb3425a5a")
    assert (read.domain_name, read.username) == ("https://exchange.example", "someone@example.com")
    assert read.web_socket_domain_name == "wss://exchange.example/external-ws"
    assert (read.slot_length, read.tick_length) == (timedelta(minutes=15), timedelta(seconds=15))
    assert (read.spot_market_type, read.grid_fee_type) == (2, 1)
    assert [leaf.name for leaf in read.registry.leaves()] == ["Flat"]


def test_silent_settings_are_gsy_s_defaults(tmp_path: Path) -> None:
    given = config()
    given["global_settings"] = {"slot_length": "15m"}
    read = read_config(write(tmp_path, given))
    assert (read.tick_length, read.spot_market_type, read.grid_fee_type) == (timedelta(seconds=15), 1, 1)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    assert read_config(write(tmp_path, "\ufeff" + json.dumps(config()))).name == "Sunny Street"


@pytest.mark.parametrize(
    ("written", "minutes"),
    [
        *[(one, 15) for one in ("15m", "0:15", "0:15:00", 15, "15", 900, "900.0", "PT15M")],
        *[("1h", 60), ("1:00", 60), ("60", 60), (120, 2), ("5 min", 5), ("300s", 5)],
    ],
)
def test_slot_lengths_are_read_in_each_form_gsy_writes(tmp_path: Path, written: object, minutes: int) -> None:
    given = config()
    given["global_settings"]["slot_length"] = written
    assert read_config(write(tmp_path, given)).slot_length == timedelta(minutes=minutes)


@pytest.mark.parametrize("written", [None, "", "1m", "61m", "0:00", 0, -15, True, "a quarter", [], 7.5, "PT", "90s"])
def test_what_can_be_no_slot_length_is_refused(tmp_path: Path, written: object) -> None:
    given = config()
    given["global_settings"]["slot_length"] = written
    assert fields(write(tmp_path, given)) == ["global_settings.slot_length"]


def _drop_all(given: dict[str, Any]) -> None:
    given.clear()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            _drop_all,
            ["username", "name", "uuid", "domain_name", "web_socket_domain_name", "global_settings", "registry"],
        ),
        (lambda c: c.update(uuid=5, name=""), ["name", "uuid"]),
        (lambda c: c.update(domain_name="https://me:pw@exchange.example"), ["domain_name"]),
        (lambda c: c.update(global_settings=[]), ["global_settings"]),
        (
            lambda c: c["global_settings"].update(spot_market_type="9", grid_fee_type=True, tick_length="soon"),
            ["global_settings.tick_length", "global_settings.spot_market_type", "global_settings.grid_fee_type"],
        ),
        (lambda c: c["registry"].update(uuid=None), ["registry.uuid"]),
        (lambda c: c["registry"]["children"][0].pop("uuid"), ["registry.children[0].uuid"]),
        (lambda c: c["registry"].update(children=None), ["registry"]),
        (lambda c: (c.pop("uuid"), c["registry"].update(children=5)), ["uuid", "registry.children"]),
    ],
)
def test_every_fault_is_listed(tmp_path: Path, change: Callable[[dict[str, Any]], object], expected: list[str]) -> None:
    given = config()
    change(given)
    assert fields(write(tmp_path, given)) == expected


def test_a_password_in_an_address_isn_t_repeated(tmp_path: Path) -> None:
    given = config() | {"domain_name": "https://me:hush@exchange.example"}
    with pytest.raises(ConfigurationError) as caught:
        read_config(write(tmp_path, given))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 200_000])
def test_what_is_no_config_is_refused(tmp_path: Path, text: str) -> None:
    assert fields(write(tmp_path, text)) == [""]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.json: it can't be read \(No such file"):
        read_config(tmp_path / "nowhere.json")
