"""Judges finished days: each asset's slots, and our values beside the exchange's."""

from pipelines.validate.days.calendar import Days
from pipelines.validate.days.run import DaysSummary, docs_frames, judge_days

__all__ = ["Days", "DaysSummary", "docs_frames", "judge_days"]
