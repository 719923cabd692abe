"""Commissioning: each asset on its way to being proven, what blocks it, and its certificate."""
