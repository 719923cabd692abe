"""The second verb: runs the suites, parts good rows from quarantined ones."""

from pipelines.validate.run import ValidateSummary, validate

__all__ = ["ValidateSummary", "validate"]
