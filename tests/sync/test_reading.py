from pathlib import Path

import pytest

from pipelines.errors import ConfigurationError
from pipelines.sync import read_file

HEAD = 'community: {simulation_uuid: sim}\nexchange: {base_url: "https://exchange.example"}\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "community.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read_file(path)
    return [f"{issue.where}, {issue.field}".removesuffix(", ") for issue in caught.value.issues]


def test_a_file_with_names_alone_is_enough(tmp_path: Path) -> None:
    text = HEAD + (
        "assets:\n- name: A\n- {name: ' B ', uuid: null, type: heat_pump}\n- {name: C, uuid: '', type: pv, live: off}\n"
        "- {name: D, uuid: d, type: battery}\n- {name: 5, uuid: e, type: nonsense}\n"
    )
    file = read_file(written(tmp_path, text))
    assert (file.base_url, file.simulation, file.text) == ("https://exchange.example", "sim", text)
    assert [(one.name, one.uuid, one.kind, one.live) for one in file.assets] == [
        ("A", None, None, True),
        ("B", None, "Load", True),
        ("C", None, "PV", False),
        ("D", "d", None, True),
        ("5", "e", None, True),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("community: {}\nexchange: {}\nassets: []\n", ["community, simulation_uuid", "exchange, base_url", "assets"]),
        ("sources: {}\n", ["community", "exchange", "assets"]),
        (
            HEAD + "assets:\n- {uuid: a}\n- B\n- {name: [C]}\n",
            ["asset no. 1, name", "asset no. 2", "asset no. 3, name"],
        ),
        (HEAD + "assets:\n- {name: A, uuid: 0123}\n", ["asset 'A', uuid"]),
        (HEAD + "assets:\n- {name: A, uuid: [a]}\n", ["asset 'A', uuid"]),
        (HEAD + "assets:\n- {name: A, uuid: a, uuid: null}\n", ["asset 'A', uuid"]),
        (HEAD + "assets:\n- {name: A, live: perhaps}\n", ["asset 'A', live"]),
        (HEAD.replace("https://", "https://me:hush@") + "assets:\n- {name: A}\n", ["exchange, base_url"]),
    ],
)
def test_every_fault_that_hinders_is_told(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert faults(written(tmp_path, text)) == expected


@pytest.mark.parametrize("content", [b"", b"\xff", b"a: [", b"- 1"])
def test_what_is_no_community_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "community.yaml"
    path.write_bytes(content)
    assert faults(path) == [str(path)]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert faults(tmp_path / "gone.yaml") == [str(tmp_path / "gone.yaml")]
