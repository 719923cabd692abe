"""Thresholds, holidays, load profiles and check registers: every fault in its own words."""

from collections.abc import Callable
from typing import Any

import pytest

from expectations.names import Check
from pipelines.check import check_community
from pipelines.community import Community

File = dict[str, Any]
Change = Callable[[File], object]


def flat(file: File) -> File:
    found: File = file["assets"][0]
    return found


def register(**more: Any) -> File:
    return {"source": "meters", "device": "m1", "kind": "register", "unit": "kWh", "register": "1-0:2.8.0", **more}


ONE_FAULT: list[tuple[str, Change, str]] = [
    (
        "check that doesn't exist",
        lambda f: f.update(checks={"all": {"stale_runn": {"high": 3}}}),
        "checks, all.stale_runn: there is no check 'stale_runn'. Did you mean 'stale_run'?",
    ),
    (
        "type that doesn't exist",
        lambda f: f.update(checks={"boiler": {"stale_run": {"high": 3}}}),
        "checks, boiler: 'boiler' is no type of asset. "
        "Known: all, battery, ev_charger, heat_pump, load, pv, smart_meter",
    ),
    (
        "check without a threshold",
        lambda f: flat(f).update(checks={"value_present": {"high": 3}}),
        "asset 'Flat', checks.value_present: this check has no threshold. "
        "It can't be changed: a reading has a value: nothing is not zero",
    ),
    (
        "crossed bounds",
        lambda f: f.update(checks={"all": {"day_usage": {"low": 3, "high": 1}}}),
        "checks, all.day_usage: low 3 is above high 1, so nothing would be good. Make low the lower one",
    ),
    (
        "low above the default's high",
        lambda f: flat(f).update(checks={"day_usage": {"low": 50}}),
        "asset 'Flat', checks.day_usage: low 50.0 is above high",
    ),
    (
        "high below what the type sets as low",
        lambda f: (
            f.update(checks={"load": {"slot_covered": {"low": 0.9}}}),
            flat(f).update(checks={"slot_covered": {"high": 0.5}}),
        ),
        "asset 'Flat', checks.slot_covered: low 0.9 is above high 0.5, so nothing would be good: "
        "low stands elsewhere, by default or for other assets. Write low here too",
    ),
    (
        "key that doesn't exist",
        lambda f: f.update(checks={"pv": {"zero_run": {"hgh": 3}}}),
        "checks, pv.zero_run.hgh: this key is unknown. Did you mean 'high'?",
    ),
    (
        "severity that doesn't exist",
        lambda f: f.update(checks={"pv": {"zero_run": {"severity": "shout"}}}),
        "checks, pv.zero_run.severity: 'shout' is no severity. Write reject, flag or inform",
    ),
    (
        "number that is none",
        lambda f: f.update(checks={"pv": {"zero_run": {"high": "much"}}}),
        "checks, pv.zero_run.high: 'much' is no number. Write a number, or take the key out for no bound",
    ),
    (
        "bound that nothing can reach",
        lambda f: f.update(checks={"pv": {"zero_run": {"high": -3}}}),
        "checks, pv.zero_run.high: -3 is below 0. It is time at zero",
    ),
    (
        "off in quotes",
        lambda f: flat(f).update(checks={"zero_run": "off"}),
        "asset 'Flat', checks.zero_run: 'off' stands where a mapping belongs. "
        "Write low, high or severity below, or off, without quotes",
    ),
    (
        "checks that are no mapping",
        lambda f: flat(f).update(checks=["zero_run"]),
        "asset 'Flat', checks: a list stands where a mapping belongs",
    ),
    (
        "holidays of nowhere",
        lambda f: f["community"].update(holidays="XX"),
        "community, holidays: no holidays are known of country 'XX'",
    ),
    (
        "holidays of no such part",
        lambda f: f["community"].update(holidays="DE-ZZ"),
        "community, holidays: no holidays are known of part 'ZZ' of DE",
    ),
    (
        "holidays in words",
        lambda f: f["community"].update(holidays="Germany"),
        "community, holidays: 'Germany' can't be used. Write a country such as AT",
    ),
    (
        "load profile that doesn't exist",
        lambda f: flat(f).update(load_profile="h9", annual_kwh=3500),
        "asset 'Flat', load_profile: the BDEW has no load profile 'h9'. Write one of h0, g0",
    ),
    (
        "load profile without a year's energy",
        lambda f: flat(f).update(load_profile="h0"),
        "asset 'Flat', annual_kwh: is missing: a load profile tells only the shape",
    ),
    (
        "forecast by a profile that isn't there",
        lambda f: flat(f).update(forecast="standard_profile"),
        "asset 'Flat', forecast: the asset has no load_profile",
    ),
    (
        "check register of another kind",
        lambda f: flat(f).update(check_registers=[register(kind="interval", register="1-0:1.29.0")]),
        "asset 'Flat', check_registers[0].kind: a check register is of kind register, not interval",
    ),
    (
        "check register that would prove itself",
        lambda f: flat(f).update(check_registers=[register(register="1-0:1.8.0")]),
        "asset 'Flat', check_registers[0]: the asset's energy is computed from this channel",
    ),
    (
        "check register of no source",
        lambda f: flat(f).update(check_registers=[register(source="metres")]),
        "asset 'Flat', check_registers[0].source: there is no source 'metres'. Did you mean 'meters'?",
    ),
    (
        "line that is too long for a line",
        lambda f: f.update(estimation={"linear_minutes": 5000}),
        "estimation, linear_minutes: '5000' is out of range. Write a number less than or equal to 720",
    ),
    (
        "estimation by another name",
        lambda f: f.update(estimation={"linear": 60}),
        "estimation, linear: this key is unknown. Did you mean 'linear_minutes'?",
    ),
    (
        "report served nowhere",
        lambda f: f.update(quality={"url": "reports"}),
        "quality, url: 'reports' can't be used. Write the address at which the folder is served",
    ),
]


@pytest.mark.parametrize(("change", "expected"), [case[1:] for case in ONE_FAULT], ids=[case[0] for case in ONE_FAULT])
def test_fault_is_told_once_and_in_words(
    check: Callable[..., list[str]], sound: File, change: Change, expected: str
) -> None:
    change(sound)
    found = check(sound)
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_right_thresholds_are_in_force(check: Callable[..., list[str]], path: Any, sound: File) -> None:
    sound["checks"] = {
        "all": {"stale_run": {"high": 11}, "day_spike": {"high": 4}},
        "load": {"stale_run": {"high": 13, "severity": "inform"}},
    }
    flat(sound)["checks"] = {"day_spike": False, "within_rated_power": {"high": 1.5}}
    assert check(sound) == []
    community, _ = check_community(path)
    assert isinstance(community, Community)
    of_flat, of_roof = (community.limits(asset) for asset in community.assets)
    assert (of_flat[Check.STALE_RUN].bounds.high, of_flat[Check.STALE_RUN].severity) == (13.0, "inform")
    assert of_roof[Check.STALE_RUN].bounds.high == 11.0
    assert of_flat[Check.DAY_SPIKE].bounds.high is None
    assert of_roof[Check.DAY_SPIKE].bounds.high == 4.0
    assert of_flat[Check.WITHIN_RATED_POWER].bounds.high == 1.5
