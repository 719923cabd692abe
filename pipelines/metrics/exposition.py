"""Figures in Prometheus' format, by its own client library, which escapes and orders them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pipelines.metrics.amounts import SUM
from pipelines.metrics.families import COMMUNITY, FAMILIES, PREFIX, Family, Kind
from pipelines.metrics.sample import Sample
from pipelines.plain import plain

ByCommunity = Mapping[str, Sequence[Sample]]
"""Community -> its figures."""


def registry_of(figures: ByCommunity) -> CollectorRegistry:
    """A registry that holds these figures and nothing of this process."""

    class _Given(Collector):
        def collect(self) -> Iterator[Metric]:
            return metrics(figures)

    registry = CollectorRegistry()
    registry.register(_Given())
    return registry


def metrics(figures: ByCommunity) -> Iterator[Metric]:
    """Each family that has figures, in the order in which they are declared."""
    by_family: dict[str, list[tuple[str, Sample]]] = defaultdict(list)
    for community, samples in figures.items():
        for one in samples:
            by_family[one.family].append((plain(community), one))
    for name, family in FAMILIES.items():
        if name in by_family:
            yield _metric(family, by_family[name])


def as_text(figures: ByCommunity) -> str:
    """Prometheus' text format, version 0.0.4."""
    return generate_latest(registry_of(figures)).decode()


def write_textfile(path: Path, figures: ByCommunity) -> None:
    """Write the file whole: it is renamed into its place, so that a collector never reads half of one.

    Raises:
        OSError: it can't be written.
    """
    write_to_textfile(str(path), registry_of(figures))


def _metric(family: Family, samples: Iterable[tuple[str, Sample]]) -> Metric:
    name, labels = PREFIX + family.name, [COMMUNITY, *family.labels]
    if family.kind is Kind.HISTOGRAM:
        return _histogram(HistogramMetricFamily(name, family.help, labels=labels), samples)
    kind = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    found = kind(name, family.help, labels=labels)
    for community, one in samples:
        found.add_metric([community, *map(plain, one.labels)], one.value)
    return found


def _histogram(found: HistogramMetricFamily, samples: Iterable[tuple[str, Sample]]) -> Metric:
    buckets: dict[tuple[str, ...], list[tuple[str, float]]] = defaultdict(list)
    sums: dict[tuple[str, ...], float] = {}
    for community, one in samples:
        *labels, bound = one.labels
        key = (community, *labels)
        if bound == SUM:
            sums[key] = one.value
        else:
            buckets[key].append((bound, one.value))
    for key, counts in buckets.items():
        found.add_metric(list(key), counts, sums[key])
    return found
