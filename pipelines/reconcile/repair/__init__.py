"""Mend what can be mended, tell people what they must do, and give up what is lost, with its reason."""

from pipelines.reconcile.repair.compared import oldest_awaited
from pipelines.reconcile.repair.people import Instruction
from pipelines.reconcile.repair.run import RepairSummary, repair

__all__ = ["Instruction", "RepairSummary", "oldest_awaited", "repair"]
