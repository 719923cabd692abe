"""Substitute values: what stands in slots that readings don't back whole (the E of VEE)."""
