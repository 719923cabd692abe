"""Prefect flows, each the story of one run, and the `slotfeed` command."""
