"""Collect: from meter databases into the store."""

from pipelines.collect.probe import probe
from pipelines.collect.run import collect
from pipelines.collect.summary import CollectSummary, Counts

__all__ = ["CollectSummary", "Counts", "collect", "probe"]
