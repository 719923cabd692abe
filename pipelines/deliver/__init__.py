"""The outbox: what must reach the exchange, by when, and what became of it."""

from pipelines.deliver.line import open_line
from pipelines.deliver.outbox import expire_overdue
from pipelines.deliver.run import DeliverSummary, deliver

__all__ = ["DeliverSummary", "deliver", "expire_overdue", "open_line"]
