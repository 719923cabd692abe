"""Shares: every asset in one, and in the same one whatever else is there."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.community import Community
from pipelines.errors import ConfigurationError
from pipelines.sandbox.demo_community import community_yaml
from pipelines.shares import WHOLE, Share, parts

METER = {"source": "meters", "register": "1.8.0", "kind": "register", "unit": "kWh"}


def community(
    assets: int, *, clouds: dict[str, list[int]] | None = None, channel: list[int] | None = None
) -> Community:
    """So many loads of one meter database; those of a list in `clouds` read from that account besides."""
    text = community_yaml(base_url="http://127.0.0.1:1", meter_url="sqlite:///m.sqlite", database="sqlite:///s.sqlite")
    content = yaml.safe_load(text)
    meters = content["sources"].pop("smart_meters")
    content["sources"] = {"meters": meters} | {
        name: {"type": "inexogy", "username": "somebody"} for name in clouds or {}
    }
    content["assets"] = [
        {
            "uuid": f"{number:08d}-0000-4000-8000-000000000000",
            "name": f"Load {number}",
            "type": "load",
            "rated_power_kw": 5,
            "streams": [METER | {"device": f"m{number}"}],
        }
        for number in range(assets)
    ]
    for name, numbers in (clouds or {}).items():
        for number in numbers:
            stream = {"source": name, "device": f"c{number}", "register": "import", "kind": "register", "unit": "kWh"}
            content["assets"][number]["streams"].append(stream)
    for number in channel or []:
        content["assets"][number]["streams"][0]["device"] = "shared"
    return Community.model_validate(content)


def places(of: int, found: Community) -> dict[str, int]:
    """Name of each asset -> its share; no asset is in two."""
    held = [(asset.name, share.number) for share in parts(of) for asset in share.part(found).assets]
    assert len(held) == len(found.assets)
    return dict(held)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 12))
def test_every_asset_is_in_one_share_and_stays_there_while_others_come(assets: int, of: int) -> None:
    before, after = places(of, community(assets)), places(of, community(assets + 7))
    assert len(before) == assets
    assert before.items() <= after.items()


def test_shares_are_about_as_large_as_each_other_and_the_whole_is_the_file() -> None:
    found = community(3000)
    sizes = [len(share.part(found).assets) for share in parts(4)]
    assert min(sizes) > 650
    assert WHOLE.part(found) is found


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 9), st.lists(st.integers(0, 29), min_size=2, max_size=8, unique=True), st.booleans())
def test_what_reads_from_one_account_or_one_channel_stays_together(of: int, numbers: list[int], cloud: bool) -> None:
    found = community(30, clouds={"a": numbers}) if cloud else community(30, channel=numbers)
    held = places(of, found)
    assert len({held[f"Load {number}"] for number in numbers}) == 1
    # The others are where they would be anyhow.
    alone = places(of, community(30))
    assert all(held[f"Load {n}"] == alone[f"Load {n}"] for n in range(30) if n not in numbers)


def test_two_accounts_that_one_asset_joins_stay_together_whatever_the_order() -> None:
    chained = community(30, clouds={"a": [0, 1], "b": [2, 3], "c": [1, 2]})
    for of in range(2, 9):
        held = places(of, chained)
        assert len({held[f"Load {number}"] for number in range(4)}) == 1
        # Without the one that joins them, each account is where its own name puts it.
        parted = places(of, community(30, clouds={"a": [0, 1], "b": [2, 3]}))
        assert parted["Load 0"] == held["Load 0"]


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", "1/101", ""])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no share"):
        Share.parse(text)
    assert str(Share.parse("2/3")) == "2/3"
