"""Steps 1 and 2: whose business an issue is, and in which words."""

import contextlib
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from pipelines.check.finding import Loc, as_issues, notice
from pipelines.collect import probe as probing
from pipelines.collect.source import Device
from pipelines.commission.around import Around, Surroundings
from pipelines.commission.names import Mark
from pipelines.community import Community
from pipelines.errors import Issue, Severity, Topic
from pipelines.exchange.registry import Place
from pipelines.gsy_files.tree import Area
from pipelines.sync import standing_issues
from tests.commission.history import community

SMALL = community(("Roof", "pv"), ("Flat 1", "load"))


def by_asset(around: Around, of: Community = SMALL) -> list[tuple[Mark, str, str]]:
    surroundings = Surroundings(of, around)
    steps = [surroundings.reachable(asset) for asset in of.assets]
    return [(step.mark, step.cause, step.told) for step in steps]


def places(*areas: tuple[str, str]) -> list[Place]:
    return [
        Place(area=Area(name=uuid, type=kind, uuid=uuid, children=(), live=None, aggregator=None), path=())
        for uuid, kind in areas
    ]


def test_all_well() -> None:
    told = "source 'meters' answers; the exchange knows it, and its live switch is on"
    assert by_asset(Around()) == [(Mark.STANDS, "", told)] * 2
    (spared, _) = by_asset(Around(spared=frozenset({"meters"})))
    assert spared[2].startswith("source 'meters' told readings lately, so it wasn't asked; ")


@pytest.mark.parametrize(
    ("registry", "live", "cause", "field"),
    [
        ([("roof", "PV"), ("flat 1", "Load")], {"flat 1"}, "live switch off", "live"),
        ([("flat 1", "Load")], {"flat 1"}, "unknown at the exchange", "uuid"),
        ([("roof", "Load"), ("flat 1", "Load")], {"roof", "flat 1"}, "another type at the exchange", "type"),
    ],
)
def test_what_the_exchange_says_of_an_asset_blocks_that_one(
    registry: Sequence[tuple[str, str]], live: set[str], cause: str, field: str
) -> None:
    issues = standing_issues(SMALL, places(*registry), frozenset(live))
    roof, flat = by_asset(Around(exchange=issues))
    assert (roof[0], roof[1]) == (Mark.BLOCKED, cause)
    assert flat[0] is Mark.STANDS
    step = Surroundings(SMALL, Around(exchange=issues)).reachable(SMALL.assets[0])
    assert f"(its `{field}` in community.yaml)" in step.remedy


def test_an_exchange_that_couldnt_be_asked_is_everybodys_and_nobodys_fault() -> None:
    secret = Issue(where="secrets", field="SLOTFEED_EXCHANGE_PASSWORD", problem="is not set", remedy="Set it")
    found = by_asset(Around(exchange=[secret], exchange_answered=False))
    assert found == [(Mark.UNASKED, "exchange", "secrets, `SLOTFEED_EXCHANGE_PASSWORD`: is not set")] * 2
    unknown = Issue(where="community", field="simulation_uuid", problem="refused", remedy="Correct it")
    assert [one[:2] for one in by_asset(Around(exchange=[unknown]))] == [(Mark.BLOCKED, "exchange")] * 2


def test_switches_that_cant_be_read_block_nothing_and_are_told() -> None:
    notice = Issue(
        where="exchange",
        field="",
        problem="refused",
        remedy="Look",
        severity=Severity.NOTICE,
        topic=Topic.SWITCHES_UNTOLD,
    )
    assert by_asset(Around(exchange=[notice]))[0][2].endswith("its live switch is not told by the exchange")


def test_a_source_that_is_away_leaves_its_assets_unknown() -> None:
    down = Issue(where="source 'meters'", field="url", problem="refuses to connect", remedy="Check the URL")
    told = "source 'meters', `url`: refuses to connect"
    assert by_asset(Around(sources={"meters": [down]})) == [(Mark.UNASKED, "source 'meters'", told)] * 2


def test_a_device_that_a_source_lacks_is_the_business_of_who_reads_it() -> None:
    [stream] = SMALL.assets[0].streams
    absent = Issue(
        where="source 'meters'",
        field="device",
        problem="whatever words it is told in",
        remedy="Known: x",
        topic=Topic.STREAM_ABSENT,
        concerns=stream.stream_id,
    )
    roof, flat = by_asset(Around(sources={"meters": [absent]}))
    assert roof == (Mark.BLOCKED, "not at source 'meters'", "source 'meters', `device`: whatever words it is told in")
    assert flat[0] is Mark.STANDS


def test_what_a_vendors_account_lacks_is_found_by_what_the_probe_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the probe's own answer on: its words and its fields may change, and the outcome doesn't."""
    parts = {"type": "victron_vrm"}
    assets = [
        {"name": name, "uuid": name, "type": "load", "rated_power_kw": 9, "streams": [{"source": "vrm", **stream}]}
        for name, stream in (
            ("no device", {"device": "1", "register": "r", "kind": "register", "unit": "kWh"}),
            ("no register", {"device": "2", "register": "other", "kind": "register", "unit": "kWh"}),
            ("there", {"device": "2", "register": "r", "kind": "register", "unit": "kWh"}),
        )
    ]
    head = SMALL.model_dump(by_alias=True, include={"community", "exchange"})
    found = Community.model_validate({**head, "sources": {"vrm": parts}, "assets": assets})

    class Account:
        def devices(self) -> list[Device]:
            return [Device(device="2", registers=("r",))]

    monkeypatch.setattr(probing, "open_source", lambda *_: contextlib.nullcontext(Account()))
    issues = probing.probe("vrm", SimpleNamespace(community=found))
    told = [one[:2] for one in by_asset(Around(sources={"vrm": issues}), found)]
    assert told == [(Mark.BLOCKED, "not at source 'vrm'"), (Mark.BLOCKED, "not at source 'vrm'"), (Mark.STANDS, "")]


def test_two_assets_of_one_name_are_told_apart() -> None:
    twins = community(("Flat", "load"), ("Roof", "pv"))
    twins = twins.model_copy(
        update={"assets": tuple(asset.model_copy(update={"name": "Flat"}) for asset in twins.assets)}
    )
    issues = standing_issues(twins, places(("roof", "PV")), frozenset({"roof"}))
    assert [one[:2] for one in by_asset(Around(exchange=issues), twins)] == [
        (Mark.BLOCKED, "unknown at the exchange"),
        (Mark.STANDS, ""),
    ]


@pytest.mark.parametrize(
    ("loc", "concerns"),
    [
        (("assets", 1, "streams", 0, "unit"), "b"),
        (("assets", 2, "type"), "7"),
        (("assets", 3, "uuid"), ""),
        (("assets",), ""),
        (("exchange", "margin_s"), ""),
    ],
)
def test_what_check_finds_tells_whose_it_is(loc: Loc, concerns: str) -> None:
    """By uuid: names are cut where they are long, and may stand twice."""
    raw = {"assets": [{"name": "x" * 80, "uuid": "a"}, {"name": "x" * 79 + "y", "uuid": " b "}, {"uuid": 7}, {}]}
    [issue] = as_issues([notice(loc, "problem", "remedy")], file="f", raw=raw)
    assert issue.concerns == concerns


def test_a_notice_is_told_of_its_asset_alone() -> None:
    of_flat = Issue(where="anywhere", field="", problem="odd", remedy="Look", concerns=SMALL.assets[1].uuid)
    surroundings = Surroundings(SMALL, Around(notices=[of_flat]))
    roof, flat = (surroundings.configured(asset).told for asset in SMALL.assets)
    assert (roof, flat) == ("the file has no fault", "the file has no fault; noticed: odd")


def test_an_asset_that_the_file_switches_off_goes_nowhere() -> None:
    off = SMALL.model_copy(update={"assets": (SMALL.assets[0].model_copy(update={"live": False}), SMALL.assets[1])})
    step = Surroundings(off, Around()).configured(off.assets[0])
    assert (step.mark, step.cause) == (Mark.BLOCKED, "live: false in the file")
    assert "slotfeed assets sync" in step.remedy


def test_names_of_any_kind_find_their_asset() -> None:
    odd = community(("me@home.example", "load"), ("x" * 80, "load"), ("it's", "load"))
    issues = standing_issues(odd, [], frozenset())
    assert [one[:2] for one in by_asset(Around(exchange=issues), odd)] == [
        (Mark.BLOCKED, "unknown at the exchange")
    ] * 3
