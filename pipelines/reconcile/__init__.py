"""Compare what the exchange holds with the local database, and name the cause of each difference."""

from pipelines.reconcile.run import ReconcileSummary, reconcile

__all__ = ["ReconcileSummary", "reconcile"]
