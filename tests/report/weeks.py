"""Two days of 36 assets with all that goes wrong in life, and eight weeks of days before, as a community sees them.

The period is Wednesday 11 March 2026, whole, and Thursday till 14:00, Berlin's time; it is judged at 14:05.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pipelines.store import (
    FindingRow,
    ForecastChoiceRow,
    QualityDayRow,
    Store,
    finish_run,
    insert_rows,
    start_run,
)
from tests.report.days import SLOT, Day, day_of

START = datetime(2026, 3, 10, 23, tzinfo=UTC)
END = datetime(2026, 3, 12, 13, tzinfo=UTC)
NOW = END + timedelta(minutes=5)
SLOTS = [START + n * SLOT for n in range((END - START) // SLOT)]
LAST_DAY = date(2026, 3, 11)
DAYS = 56

SILENT_FROM = 28
"""Asset 13 says nothing from this slot on: Wednesday 07:00 CET."""


@dataclass
class Weeks(Day):
    """A day with what the daily quality run leaves behind."""

    findings: list[dict[str, Any]] = field(default_factory=list)
    days: list[dict[str, Any]] = field(default_factory=list)
    choices: list[dict[str, Any]] = field(default_factory=list)

    def find(self, n: int, check: str, indices: range | list[int], **changed: Any) -> None:
        """Open findings of asset n in these slots."""
        for index in indices:
            row = {
                "suite": "slot_energy", "check_name": check, "severity": "flag", "asset_id": self.uuid(n),
                "subject": self.uuid(n), "ts": SLOTS[index], "reading_id": 0, "value": None, "low": None, "high": None,
                "detail": "", "found_at": END - timedelta(hours=8), "closed_at": None, "closed_by": "", "run_id": "r",
            }  # fmt: skip
            self.findings.append(row | changed)

    def slot(self, n: int, index: int, **changed: Any) -> None:
        """The slot energy of asset n, changed in place."""
        found = next(s for s in self.slots if s["asset_id"] == self.uuid(n) and s["slot_start"] == SLOTS[index])
        found.update(changed)

    def write(self, store: Store) -> None:
        super().write(store)
        with store.writing() as connection:
            for model, rows in ((FindingRow, self.findings), (QualityDayRow, self.days)):
                insert_rows(connection, model, rows)
            insert_rows(connection, ForecastChoiceRow, self.choices)


def weeks_of(assets: int, slots: list[datetime] = SLOTS) -> Weeks:
    """Two days on which all went well, without any day summed up before."""
    plain = day_of(assets, slots)
    return Weeks(
        community=plain.community, starts=slots, submissions=plain.submissions, exchange=plain.exchange,
        slots=plain.slots, live=plain.live,
    )  # fmt: skip


def quality_day(asset_id: str, day: date, **changed: Any) -> dict[str, Any]:
    """An asset's day on which all went well."""
    row = {
        "day": day, "asset_id": asset_id, "slots_expected": 96, "slots_measured": 96, "slots_substituted": 0,
        "slots_estimated": 0, "slots_missing": 0, "energy_wh": 9000.0, "rejected": 0, "flagged": 0, "informed": 0,
        "forecast_slots": 94, "forecast_error_wh": 700.0, "persistence_error_wh": 900.0, "exchange_compared": 96,
        "exchange_differs": 0, "computed_at": END, "run_id": "r",
    }  # fmt: skip
    return row | changed


def real_weeks() -> Weeks:
    """36 assets, two days, and 56 days before with ups and downs."""
    weeks = weeks_of(36)
    _gaps(weeks)
    _exchange(weeks)
    _findings(weeks)
    weeks.days = [_past_day(weeks, n, back) for back in range(DAYS) for n in range(36)]
    methods = ("blend", "model", "last_week", "persistence")
    for n in range(36):
        method = methods[n % 4]
        weeks.choices.append(
            {"asset_id": weeks.uuid(n), "method": method, "weights": {}, "scored_slots": 2000, "run_id": "r",
             "mean_errors_wh": {"persistence": 10.0, method: 10.0 if method == "persistence" else 8.0},
             "scored_from": START - timedelta(days=21), "scored_until": START, "chosen_at": START}
        )  # fmt: skip
    return weeks


def _gaps(weeks: Weeks) -> None:
    """13 is silent; 15 has a gap of 24 slots filled in three ways; 28 is provisional; 30 is covered by halves."""
    for index in range(SILENT_FROM, len(SLOTS)):
        weeks.drop(weeks.slots, 13, SLOTS[index])
        if index >= SILENT_FROM + 10:
            weeks.drop(weeks.submissions, 13, SLOTS[index])
            weeks.drop(weeks.exchange, 13, SLOTS[index])
            weeks.discrepancy(13, SLOTS[index], expected_wh=None, exchange_wh=0.0, diagnosis="no local value",
                              evidence="nothing valid was measured in time; the exchange holds 0 Wh",
                              repair="Look at the asset's meter; this slot is past mending")  # fmt: skip
    for index in range(40, 52):
        weeks.slot(15, index, quality="SUBSTITUTED", method="interpolated", coverage=0.0)
    for index in range(52, 60):
        weeks.slot(15, index, quality="ESTIMATED", method="like_day", coverage=0.0)
    for index in range(60, 64):
        weeks.drop(weeks.slots, 15, SLOTS[index])
    for index in range(112, 132):
        weeks.slot(28, index, quality="PROVISIONAL", coverage=1.0)
    for index in range(70, 76):
        weeks.slot(30, index, coverage=0.5)
    weeks.find(15, "slot_covered", range(40, 64), value=0.0, low=0.999)
    weeks.find(13, "slot_covered", range(SILENT_FROM, 96), value=0.0, low=0.999)


def _exchange(weeks: Weeks) -> None:
    """20 has other values at the exchange for three slots; two streams have readings in quarantine."""
    for index in (90, 91, 92):
        row = next(e for e in weeks.exchange if e["asset_id"] == weeks.uuid(20) and e["slot_start"] == SLOTS[index])
        sent = weeks.submission(20, SLOTS[index], state="accepted")["energy_wh"]
        row["energy_wh"] = sent + 60
        weeks.discrepancy(20, SLOTS[index], expected_wh=sent, exchange_wh=sent + 60, diagnosis="differs",
                          evidence=f"sent {sent:g} Wh; the exchange holds {sent + 60:g} Wh",
                          repair="Check who else writes to this asset")  # fmt: skip
        weeks.find(20, "exchange_equal", [index], suite="exchange_match", value=60.0, high=0.02)
    weeks.quarantine(9, SLOTS[100], value=-12.5, received_at=SLOTS[101])
    weeks.quarantine(9, SLOTS[101], value=-11.0, received_at=SLOTS[102])
    weeks.quarantine(11, SLOTS[120], value=99_999_999.0, broken="within_rated_power", received_at=SLOTS[121])


def _findings(weeks: Weeks) -> None:
    weeks.find(2, "zero_run", range(60, 72), value=9.25, high=6.0, detail="at zero in daylight since 09:00")
    weeks.find(25, "stale_run", range(100, 124), value=24.0, high=7.0)
    for n in (16, 17, 18, 19, 21):
        weeks.find(n, "day_usage", [0], value=2.4 + n / 100, low=0.4, high=2.0)
    weeks.find(21, "usual_range", [30, 31, 32, 50], value=7.3, high=6.0)
    weeks.find(33, "read_back_fresh", range(110, 118), suite="exchange_match", severity="inform", value=8.0, high=6.0)


def _past_day(weeks: Weeks, n: int, back: int) -> dict[str, Any]:
    day = LAST_DAY - timedelta(days=back)
    missing = 30 if back in (9, 10) and n < 12 else (n * 7 + back * 3) % 5 if (n + back) % 6 == 0 else 0
    estimated = 10 if (n + back) % 9 == 0 else 0
    substituted = 6 if (n + back) % 7 == 0 else 0
    worse = 1.35 if back > 40 else 1.0
    return quality_day(
        weeks.uuid(n), day,
        slots_measured=96 - missing - estimated - substituted, slots_missing=missing, slots_estimated=estimated,
        slots_substituted=substituted, flagged=missing + estimated + (back % 4 if n % 5 == 0 else 0),
        rejected=2 if back in (9, 10, 30) and n % 4 == 0 else 0, informed=1 if n % 3 == 0 else 0,
        energy_wh=9000.0 + 300 * (n % 7) - 40 * back,
        forecast_error_wh=worse * (600.0 + 10 * n + 25 * (back % 7)),
        persistence_error_wh=900.0 + 10 * n + 30 * (back % 5),
        exchange_differs=4 if back in (3, 22) and n % 3 == 0 else 0,
    )  # fmt: skip


def log_runs(store: Store, *, reconcile: str = "ok") -> None:
    """The runs of the last hours: all went well, but for `reconcile` as told."""
    for command, minutes, outcome in (("feed", 3, "ok"), ("reconcile", 40, reconcile), ("quality", 480, "ok")):
        at = NOW - timedelta(minutes=minutes)
        finish_run(store, start_run(store, command, logical_time=at, now=at), outcome=outcome, summary={}, now=at)
