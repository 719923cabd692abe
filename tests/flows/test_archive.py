"""`slotfeed archive` against the sandbox's exchange."""

import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

Place = Any
Command = Callable[..., tuple[int, str]]
AT = "2016-10-29T21:47Z"


def test_run_list_verify_and_add(place: Place, slotfeed: Command) -> None:
    assert slotfeed("feed", "--at", AT)[0] == 0
    assert "No day is kept yet" in slotfeed("archive", "list")[1]
    place.live_until(datetime(2016, 11, 1, 0, 1, tzinfo=UTC))
    status, told = slotfeed("archive", "run")
    assert status == 0, told
    # Live since 22:00 UTC of the 29th; the 31st hasn't been over for a day.
    assert "kept 2 day(s) whole" in told, told
    status, told = slotfeed("archive", "list")
    assert "2016-10-30" in told
    assert "3,456 of 3,456" in told, "36 assets of 96 slots"
    status, told = slotfeed("archive", "verify")
    assert (status, "The archive is sound: 2 days, 0 downloads" in told) == (0, True), told
    assert "nothing to do: every day that is over is kept" in slotfeed("archive", "run")[1]

    download = place.folder / "results.zip"
    with zipfile.ZipFile(download, "w") as archive:
        leaf = {"Flat": {"trade_energy_kWh": {"2016-10-30T00:00": 0.5}}}
        archive.writestr("aggregated_results/asset_statistics.json", json.dumps(leaf))
    assert "Added: 1 assets, 1 slots" in slotfeed("archive", "add", download)[1]
    assert "in the archive already" in slotfeed("archive", "add", download)[1]

    (kept,) = place.folder.glob("archive/*/2016/2016-10-30.parquet")
    kept.write_bytes(b"gone")
    status, told = slotfeed("archive", "verify")
    assert status == 1
    assert "2016/2016-10-30.parquet has changed" in told
