"""The community file's text after a sync: what changed, and that nothing else did."""

import os
import stat
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from pipelines.errors import ConfigurationError
from pipelines.starter import example_yaml
from pipelines.sync import Change, FileAsset, edited, read_file, save

NEW = "84d221fa-46e1-49e0-823b-26cfb3425a5a"
HEAD = """\
community: {name: X, simulation_uuid: sim}
exchange: {base_url: "https://exchange.example"}
"""


def change(number: int, field: str, new: str | bool) -> Change:
    asset = FileAsset(number=number, name=f"no. {number}", uuid=None, kind=None, live=True)
    return Change(asset=asset, field=field, old=None, new=new)


def after(assets: str, *changes: Change) -> str:
    """The assets' lines once the changes are in."""
    head = HEAD + "assets:\n"
    new = edited(head + dedent(assets), changes)
    assert new.startswith(head)
    return new.removeprefix(head)


def test_the_example_keeps_every_line_but_the_changed_ones() -> None:
    old = example_yaml()
    new = edited(old, [change(0, "uuid", NEW), change(1, "live", False)])
    lines = list(old.splitlines())
    at = next(i for i, line in enumerate(lines) if "(7)" in line)
    lines[at] = f"    uuid: {NEW}                # (7) the asset's, from the exchange"
    at = next(i for i, line in enumerate(lines) if "26090dea" in line)
    lines.insert(at + 1, "    live: false")
    assert new.splitlines() == lines


GOLDEN_BEFORE = """\
# our assets   \t

- &first
  name:   "Süd \U0001f31e #1"     # the roof's, don't touch
  uuid: null                # fill in: slotfeed assets sync
  type: load
  streams:

      # two blanks more than needed
      - {source: meters,   device: "1EMH", kind: register, unit: kWh}
- {name: 'it''s', uuid: 'old', type: pv}   # in braces
-   # a dash of its own
    name: Plain
    <<: {type: load}
    uuid:        # nothing yet
    live: off
-   name: Without   # no uuid
    type: load
# the end"""

GOLDEN_AFTER = """\
# our assets   \t

- &first
  name:   "Süd \U0001f31e #1"     # the roof's, don't touch
  uuid: 84d221fa-46e1-49e0-823b-26cfb3425a5a
  live: false
  type: load
  streams:

      # two blanks more than needed
      - {source: meters,   device: "1EMH", kind: register, unit: kWh}
- {name: 'it''s', uuid: '84d221fa-46e1-49e0-823b-26cfb3425a5a', live: false, type: pv}   # in braces
-   # a dash of its own
    name: Plain
    <<: {type: load}
    uuid: "it's \\"0123\\""        # nothing yet
    live: true
-   name: Without   # no uuid
    uuid: 84d221fa-46e1-49e0-823b-26cfb3425a5a
    live: false
    type: load
# the end"""

GOLDEN_CHANGES = (
    change(0, "uuid", NEW),
    change(0, "live", False),
    change(1, "uuid", NEW),
    change(1, "live", False),
    change(2, "uuid", 'it\'s "0123"'),
    change(2, "live", True),
    change(3, "uuid", NEW),
    change(3, "live", False),
)


def test_comments_layout_quotes_and_anchors_stay() -> None:
    assert after(GOLDEN_BEFORE, *GOLDEN_CHANGES) == GOLDEN_AFTER


def test_line_ends_of_windows_stay() -> None:
    old = (HEAD + "assets:\n" + GOLDEN_BEFORE).replace("\n", "\r\n")
    assert edited(old, GOLDEN_CHANGES) == (HEAD + "assets:\n" + GOLDEN_AFTER).replace("\n", "\r\n")


@pytest.mark.parametrize("uuid", ["0123", "1:30", "yes", "null", "a b", "x: y # z", "ä\n", "1e5", "load-1", "*a", "&a"])
def test_a_uuid_of_any_form_is_read_back_as_it_is(uuid: str) -> None:
    for assets in ("- name: A\n  uuid: null\n", "- name: A\n", "- {name: A}\n", "- {name: A, uuid: 'x'}\n"):
        (asset,) = yaml.safe_load(after(assets, change(0, "uuid", uuid)))
        assert asset == {"name": "A", "uuid": uuid}


def test_an_anchor_that_others_use_stays_and_an_alias_is_replaced() -> None:
    before = "- {name: A, uuid: &u old}\n- {name: B, uuid: *u}\n"
    assert after(before, change(1, "uuid", NEW)) == f"- {{name: A, uuid: &u old}}\n- {{name: B, uuid: {NEW}}}\n"


def test_a_value_that_another_asset_shares_is_left_to_its_owner() -> None:
    before = "- {name: A, uuid: &u old}\n- {name: B, uuid: *u}\n"
    with pytest.raises(ConfigurationError, match="by hand: uuid: 84d2"):
        after(before, change(0, "uuid", NEW))


def test_an_asset_that_merges_another_one_gets_a_uuid_of_its_own() -> None:
    before = "- &a\n  name: A\n  uuid: old\n- <<: *a\n  name: B\n"
    assert (
        after(before, change(1, "uuid", NEW)) == f"- &a\n  name: A\n  uuid: old\n- <<: *a\n  name: B\n  uuid: {NEW}\n"
    )


def community_file(folder: Path, content: bytes | None = None) -> Path:
    path = folder / "community.yaml"
    path.write_bytes(content or (HEAD + "assets:\n- name: A\n").encode())
    return path


def test_saving_keeps_the_mode_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = community_file(tmp_path)
    path.chmod(0o640)
    file = read_file(path)
    save(file, file.text + "# more\n")
    assert path.read_text() == HEAD + "assets:\n- name: A\n# more\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path = community_file(tmp_path / "real")
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    file = read_file(link)
    save(file, file.text + "# more\n")
    assert link.is_symlink()
    assert path.read_text().endswith("# more\n")


def test_a_byte_order_mark_and_line_ends_stay(tmp_path: Path) -> None:
    old = b"\xef\xbb\xbf" + (HEAD + "assets:\n- name: A\n").replace("\n", "\r\n").encode()
    file = read_file(community_file(tmp_path, old))
    save(file, edited(file.text, [change(0, "uuid", NEW)]))
    assert file.path.read_bytes() == old + f"  uuid: {NEW}\r\n".encode()


def test_what_somebody_wrote_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = community_file(tmp_path)
    file = read_file(path)
    path.write_text(file.text + "# mine\n")
    with pytest.raises(ConfigurationError, match="changed it meanwhile"):
        save(file, file.text + "# yours\n")
    assert path.read_text() == file.text + "# mine\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fails_leaves_the_file_and_nothing_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = community_file(tmp_path)
    file = read_file(path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        save(file, "new")
    assert path.read_text() == file.text
    assert list(tmp_path.iterdir()) == [path]
