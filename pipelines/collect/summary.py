"""What a collecting run did, in numbers."""

from dataclasses import dataclass


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
class CollectSummary(Counts):
    """All sources together, and each of them."""

    per_source: dict[str, Counts]

    streams_without_data: list[str]
    """Streams for which a source that answered sent no value."""

    sources_failed: dict[str, str]
    """Sources that could not be read to the end, each with the reason. What they had sent before is stored."""
