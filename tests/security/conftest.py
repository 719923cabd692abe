"""Fixtures of the folder."""

from tests.flows.conftest import slotfeed

__all__ = ["slotfeed"]
