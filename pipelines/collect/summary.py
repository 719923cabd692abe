"""What a collecting run did, in numbers."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Rows of one source, or of all."""

    fetched: int = 0
    """Rows of known streams that the source sent for the span asked."""

    stored: int = 0
    """Readings written: new ones and corrections."""

    corrected: int = 0
    """Of these, readings that differ from one stored before."""

    duplicates: int = 0
    """Rows that said again exactly what another row of the same fetch says."""

    nulls: int = 0
    """Rows without a value: no reading."""

    def __add__(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(
            fetched=self.fetched + other.fetched,
            stored=self.stored + other.stored,
            corrected=self.corrected + other.corrected,
            duplicates=self.duplicates + other.duplicates,
            nulls=self.nulls + other.nulls,
        )


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What one source was asked for, what came, and what is still due."""

    asked_until: str
    """End of what was asked for, ISO 8601, UTC; what the source may still change after a span's end is left out."""

    streams: int
    """Streams that were asked for."""

    with_data: int
    """Of these, streams for which at least one value came."""

    due: dict[str, str] = field(default_factory=dict)
    """Stream -> stamp of its newest reading, where more than a step lies between that and `asked_until`; empty where
    it has none."""

    gaps: int = 0
    """Stretches with later readings behind them that the source is still asked for."""

    notes: tuple[str, ...] = ()
    """What is worth knowing and no failure: not asked yet, unknown fields, a clock that is wrong."""


@dataclass(frozen=True, kw_only=True)
class CollectSummary(Counts):
    """All sources together, and each of them."""

    per_source: dict[str, Counts]
    coverage: dict[str, Coverage]

    streams_without_data: list[str]
    """Streams for which a source that answered sent no value."""

    sources_failed: dict[str, str]
    """Sources that could not be read to the end, each with the reason. What they had sent before is stored."""

    devices_failed: dict[str, str]
    """`source/device` -> reason, where the others of its source were read."""
