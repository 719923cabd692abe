"""One figure, as the parts of this room hand it on."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """The value of one series. A histogram's comes bucket by bucket."""

    family: str
    """Name in `pipelines.metrics.families.FAMILIES`."""

    labels: tuple[str, ...] = ()
    """Values, in the family's order; of a histogram also the bucket's bound, or `sum`, at the end."""

    value: float


def sample(family: str, value: float, *labels: str) -> Sample:
    """A figure."""
    return Sample(family=family, labels=labels, value=float(value))


def instant(family: str, at: datetime, *labels: str) -> Sample:
    """An instant, as Prometheus has them: seconds since 1970."""
    return sample(family, at.timestamp(), *labels)
