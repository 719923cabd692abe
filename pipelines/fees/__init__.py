"""Set the grid fees that the community file plans for the day, and show what stands."""

from pipelines.fees.run import FeesSummary, MarketLine, Outcome, apply_fees
from pipelines.fees.schedule import Change, fee_at, next_change

__all__ = ["Change", "FeesSummary", "MarketLine", "Outcome", "apply_fees", "fee_at", "next_change"]
