"""The feed, with leases that a test can outlast. Only the process of a run may import this: it changes the program."""

from datetime import timedelta

from flows.feed import feed, feed_rest
from tests.reliability.haste import SHORT_LEASE_S, put

for module in ("outbox", "run"):
    put(f"pipelines.deliver.{module}:LEASE", timedelta(seconds=SHORT_LEASE_S))

__all__ = ["feed", "feed_rest"]
