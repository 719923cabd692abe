"""The next slot's energy before it is measured: what leaves for the exchange, and how its method is chosen."""

from pipelines.convert.forecast.run import (
    CommunityBacktest,
    ForecastSummary,
    backtest_community,
    choose_forecasts,
    keep_choices,
)

__all__ = ["CommunityBacktest", "ForecastSummary", "backtest_community", "choose_forecasts", "keep_choices"]
