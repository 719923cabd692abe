"""A run that is to stop asks its sources for nothing more; what it has read is kept."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from pipelines.clock import FixedClock
from pipelines.collect.run import collect
from pipelines.errors import SourceUnavailable
from pipelines.settings import Secrets

HOUR = timedelta(hours=1)
SOURCE = {
    "table": "meter_log",
    "columns": {"meter": "meter", "time": "at", "value": "wh"},
    "time_type": "epoch_s",
}
STREAM = {"source": "m", "device": "101", "kind": "register", "unit": "Wh"}


def test_a_backfill_ends_between_two_windows_and_is_finished_by_the_next(
    sqlite_meters: Any, desk: Any, noon: datetime
) -> None:
    start = noon - timedelta(days=20)
    sqlite_meters.run("CREATE TABLE meter_log (meter integer, at bigint, wh double precision)")
    stamps = [start + number * HOUR for number in range(20 * 24 + 1)]
    sqlite_meters.add("meter_log", [{"meter": 101, "at": int(at.timestamp()), "wh": 1.0} for at in stamps])
    of = desk.community({"m": {"url": sqlite_meters.url, **SOURCE}}, STREAM)
    with pytest.raises(SourceUnavailable, match="source 'm': not read to the end"):
        collect(
            desk.store,
            of,
            Secrets(desk.folder, environment={}),
            folder=desk.folder,
            start=start,
            end=noon,
            run_id="r",
            clock=FixedClock(noon),
            # Once the first window is in the store.
            stopping=lambda: bool(desk.readings("ts")),
        )
    read = [ts for (ts,) in desk.readings("ts")]
    assert read
    assert read == stamps[: len(read)]
    assert len(read) < len(stamps)
    assert set(desk.cursors().values()) == {read[-1]}

    desk.collect(of, noon)
    assert [ts for (ts,) in desk.readings("ts")] == stamps
