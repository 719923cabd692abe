"""Readings to energy per market slot, and slots to what the exchange should be told."""

from pipelines.convert.run import ConvertSummary, convert, preview_forecasts

__all__ = ["ConvertSummary", "convert", "preview_forecasts"]
