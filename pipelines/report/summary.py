"""The page's first lines: one sentence that says how the period stands, and six figures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from pipelines.community import Community
from pipelines.report.figures import Status
from pipelines.report.tables import OpenDiscrepancy
from pipelines.report.times import local_text

NAMED_CAUSES = 3
"""Diagnoses that the sentence counts by name; the table has them all."""

PLURALS = {"discrepancy": "discrepancies"}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How the period stands. Mark and word say what the tone's colour says."""

    tone: str
    mark: str
    word: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One key figure."""

    label: str
    value: str
    more: str
    unit: str = ""
    tone: str = ""


def counted(number: int, what: str) -> str:
    """`1 slot`, `3,600 slots`."""
    return f"{number:,} {what if number == 1 else PLURALS.get(what, what + 's')}"


def verdict(status: Status, differing: Sequence[OpenDiscrepancy], zone: ZoneInfo) -> Verdict:
    """The period in one sentence.

    Args:
        status: of the period.
        differing: its first open discrepancies; one that is alone is told whole.
        zone: of the community.
    """
    if not status.assets:
        return Verdict(
            tone="plain",
            mark="○",
            word="Not live",
            sentence="No asset is live yet; nothing is expected of the exchange.",
        )
    if not status.slots_over:
        return Verdict(tone="plain", mark="○", word="Not yet", sentence="No slot of the period is over yet.")
    whole = f"{counted(status.slots_over, 'slot')} of {counted(status.assets, 'asset')}"
    differs = _differs(status, differing, zone)
    if not status.accounted:
        missing = status.unaccounted.count
        known = status.slots_over - missing
        return Verdict(
            tone="bad",
            mark="✕",
            word="Incomplete",
            sentence=f"{known:,} of {whole} {_are(known)} accounted for, {missing:,} {_are(missing)} not; {differs}.",
        )
    everything = f"All {whole} are" if status.slots_over > 1 else f"The {whole} is"
    if status.open_discrepancies:
        return Verdict(
            tone="warn", mark="!", word="With differences", sentence=f"{everything} accounted for; {differs}."
        )
    return Verdict(tone="good", mark="✓", word="Complete", sentence=f"{everything} accounted for; {differs}.")


def tiles(status: Status, community: Community, *, exchange_wh: float) -> list[Tile]:
    """The key figures."""
    confirmed = status.submissions["forecast"]["confirmed"]
    closed = sum(status.closed_discrepancies.values())
    return [
        Tile(label="Assets live", value=f"{status.assets:,}", more=f"of {len(community.assets):,} in the file"),
        Tile(label="Slots over", value=f"{status.slots_over:,}", more=f"of {community.community.slot_length} minutes"),
        Tile(
            label="Energy sent",
            value=f"{status.energy_sent_wh / 1000:,.1f}",
            unit="kWh",
            more=f"{exchange_wh / 1000:,.1f} at the exchange",
        ),
        Tile(
            label="Confirmed",
            value=_share(confirmed, status.slots_over),
            unit="%" if status.slots_over else "",
            more=f"{confirmed:,} of {counted(status.slots_over, 'slot')}",
        ),
        Tile(
            label="Open discrepancies",
            value=f"{status.open_discrepancies:,}",
            more=f"{closed:,} closed",
            tone="bad" if status.open_discrepancies else "",
        ),
        Tile(
            label="In quarantine",
            value=f"{status.quarantined:,}",
            more=("waiting for a decision" if status.quarantined else "nothing waits for a decision")
            + (f", {status.suspect:,} suspect" if status.suspect else ""),
            tone="warn" if status.quarantined else "",
        ),
    ]


def _differs(status: Status, differing: Sequence[OpenDiscrepancy], zone: ZoneInfo) -> str:
    if not status.open_discrepancies:
        return "nothing differs"
    if status.open_discrepancies == 1 and differing:
        only = differing[0]
        return f"1 differs: {only.asset}, {local_text(only.slot_start, zone)}, {only.diagnosis}"
    return f"{status.open_discrepancies:,} differ: {_causes(status.discrepancies)}"


def _causes(discrepancies: Mapping[str, int]) -> str:
    named = [f"{cause} ({number:,})" for cause, number in list(discrepancies.items())[:NAMED_CAUSES]]
    if len(discrepancies) > NAMED_CAUSES:
        named.append("others")
    return ", ".join(named)


def _share(part: int, whole: int) -> str:
    """Per cent, rounded down: what isn't all must not read as 100."""
    return f"{math.floor(1000 * part / whole) / 10:.1f}" if whole else "none"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
