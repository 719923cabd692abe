"""The feed, with leases that a test can outlast."""

from datetime import timedelta

from flows.feed import feed, feed_rest
from tests.reliability.haste import put

LEASE_S = 10

for module in ("outbox", "run"):
    put(f"pipelines.deliver.{module}:LEASE", timedelta(seconds=LEASE_S))

__all__ = ["feed", "feed_rest"]
