"""Metrics: what Prometheus asks of a community, answered from its store and run log, whichever worker did the work."""
