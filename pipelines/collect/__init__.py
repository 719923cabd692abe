"""Collect: from vendor clouds and meter databases into the store.

The doors are `run.collect`, `probe.probe` and what is in `people`. Nothing is imported here: the process that renews a
token must start at once.
"""
