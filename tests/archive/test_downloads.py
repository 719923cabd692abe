"""The results download of the exchange's user interface."""

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.archive import add_download, verify
from pipelines.errors import TerminalError

NOW = datetime(2026, 3, 5, tzinfo=UTC)
KNOWN = {"u-1": "Flat 1 load", "u-2": "Roof", "u-3": "Twin", "u-4": "Twin"}
STATISTICS = {
    "Grid": {
        "House 1": {
            "Flat 1 load": {
                "trade_energy_kWh": {"2026-03-01T00:00": 0.2, "2026-03-01T00:15": 0.0},
                "min_trade_energy_kWh": {"2026-03-01T00:00": 0.1},
                "load_profile_kWh": {"2026-03-01T00:00": 0.25, "2026-03-01T00:15": 0.5},
                "trade_price_eur": {"2026-03-01T00:00": [0.3]},
            },
            "Twin": {"trade_energy_kWh": {"2026-03-01T00:00": 1.0}},
        },
        "Roof": {"PV_Production_kWh": {"2026-03-01T00:00": 0.75}, "Trade_Energy_kWh": {"2026-03-01T00:00": -0.2}},
        "Battery": {"soc_history_%": {"2026-03-01T00:00": 50.0}},
    }
}


def write(path: Path, files: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content if isinstance(content, str | bytes) else json.dumps(content))
    return path


def good(**changes: Any) -> dict[str, Any]:
    files = {
        "aggregated_results/asset_statistics.json": STATISTICS,
        "aggregated_results/Bills.json": {"House 1": {}},
        "bids_offers_trades/grid-trades.csv": "slot,rate\n",
    }
    return {**files, **changes}


def add(path: Path, root: Path) -> Any:
    return add_download(path, root=root, simulation="sim", known=KNOWN, now=NOW)


def test_a_download_is_kept_with_its_series(tmp_path: Path) -> None:
    path, root = write(tmp_path / "results.zip", good()), tmp_path / "archive"
    entry, new = add(path, root)
    assert (new, entry.assets, entry.rows, entry.name) == (True, 3, 4, "results.zip")
    assert (root / entry.zip_file).read_bytes() == path.read_bytes()
    frame = pl.read_parquet(root / entry.parquet_file).drop("slot_start")
    assert frame.rows() == [
        ("u-1", "Flat 1 load", "Grid / House 1 / Flat 1 load", 0.25, 0.2),
        ("u-1", "Flat 1 load", "Grid / House 1 / Flat 1 load", 0.5, 0.0),
        (None, "Twin", "Grid / House 1 / Twin", None, 1.0),  # two of the community's have this name
        ("u-2", "Roof", "Grid / Roof", 0.75, -0.2),
    ]
    assert add(path, root) == (entry, False)
    assert verify(root, simulation="sim")[1] == []
    (root / entry.zip_file).write_bytes(b"changed")
    assert [trouble.file for trouble in verify(root, simulation="sim")[1]] == [entry.zip_file]


def test_names_differ_in_case_and_the_form_by_uuid_is_read_too(tmp_path: Path) -> None:
    files = {"Results/Aggregated_Results/Asset statistics.json": {"u-2": STATISTICS["Grid"]["Roof"]}}
    entry, _ = add(write(tmp_path / "r.zip", files), tmp_path / "archive")
    frame = pl.read_parquet(tmp_path / "archive" / entry.parquet_file)
    assert frame.select("asset_id", "asset_name", "trade_energy_kwh").rows() == [("u-2", "Roof", -0.2)]


STATS = "aggregated_results/asset_statistics.json"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"readme.txt": "hello"}, "no results download"),
        ({"aggregated_results/Bills.json": {}}, "no aggregated_results/asset_statistics.json"),
        (good(**{STATS: '{"Grid": '}), "no readable JSON"),
        (good(**{"aggregated_results/Bills.json": b"\xff\xfe\x00"}), "no readable JSON"),
        (good(**{STATS: "[" * 100_000}), "no readable JSON"),
        (good(**{STATS: []}), "no object"),
        (good(**{STATS: {"Grid": {}}}), "no asset with a profile or trades"),
        (good(**{STATS: {"A": {"trade_energy_kWh": {"noon": 1}}}}), "'noon' is no slot"),
        (good(**{STATS: {"A": {"trade_energy_kWh": {"2026-03-01T00:00": "x"}}}}), "is no energy"),
        (good(**{"../../evil.json": {}}), "points out of it"),
        (good(**{"/etc/evil.json": {}}), "points out of it"),
        (good(**{"..\\evil.json": {}}), "points out of it"),
    ],
)
def test_what_is_no_sound_download_is_refused_in_words(tmp_path: Path, files: dict[str, Any], words: str) -> None:
    with pytest.raises(TerminalError, match=words):
        add(write(tmp_path / "r.zip", files), tmp_path / "archive")
    assert not (tmp_path / "archive").exists(), "nothing is left behind"


def test_a_bomb_a_torn_file_and_no_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "bomb.zip", good(**{"bids_offers_trades/x.csv": b"0" * 2_000_000}))
    assert path.stat().st_size < 10_000
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.archive.downloads.MOST_BYTES", 1_000_000)
        with pytest.raises(TerminalError, match="far more than results have"):
            add(path, tmp_path / "archive")
    torn = tmp_path / "torn.zip"
    torn.write_bytes(path.read_bytes()[:500])
    for bad in (torn, tmp_path / "none.zip"):
        with pytest.raises(TerminalError, match=r"no sound zip file|can't be read"):
            add(bad, tmp_path / "archive")
