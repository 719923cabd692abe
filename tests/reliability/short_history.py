"""A short history in the replay's meter database: enough for these tests, and quickly read."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pipelines.sandbox.demo_community import TIME_ZONE


def forget(meters: Path, *, before: datetime) -> None:
    """Delete what was measured before an instant. The inverters' stamps are local.

    Args:
        meters: SQLite file of `meter_replay`.
        before: aware.
    """
    local = before.astimezone(ZoneInfo(TIME_ZONE)).replace(tzinfo=None)
    with closing(sqlite3.connect(meters)) as connection:
        connection.execute("DELETE FROM smart_meter_register WHERE read_at < ?", (before.timestamp(),))
        connection.execute("DELETE FROM inverter_log WHERE local_time < ?", (local.isoformat(sep=" "),))
        connection.execute("DELETE FROM gateway_power WHERE ts <= ?", (before.astimezone(UTC).isoformat(sep=" "),))
        connection.commit()
