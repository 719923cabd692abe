"""Retention: rows that nothing waits for any more move from the database to Parquet files, and back."""

from pipelines.retention.look import KindStanding, Trouble, standing_of, verify
from pipelines.retention.run import RetentionSummary, age, restore

__all__ = ["KindStanding", "RetentionSummary", "Trouble", "age", "restore", "standing_of", "verify"]
