"""The page's first lines: whether all is well, in a word and a sentence, and the key figures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from pipelines.community import Community
from pipelines.report.assets import AssetFigures
from pipelines.report.figures import Status
from pipelines.report.problems import Problem, counted_by_tone
from pipelines.report.tables import DifferingSlot
from pipelines.report.times import local_text
from pipelines.report.trend import RECORD_DAYS, better_by
from pipelines.report.words import are, counted

NAMED_CAUSES = 3
"""Diagnoses that the sentence counts by name; the table has them all."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How the period stands. Mark and word say what the tone's colour says."""

    tone: str
    mark: str
    word: str
    sentence: str
    accounts: str = ""
    """What became of the slots at the exchange."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One key figure."""

    label: str
    value: str
    more: str
    unit: str = ""
    tone: str = ""


def verdict(status: Status, problems: Sequence[Problem], differing: Sequence[DifferingSlot], zone: ZoneInfo) -> Verdict:
    """Whether all is well.

    Args:
        status: of the period.
        problems: in their order.
        differing: its first open discrepancies; one that is alone is told whole.
        zone: of the community.
    """
    if not status.assets:
        sentence = "No asset is live yet; nothing is expected of the exchange."
        return Verdict(tone="plain", mark="○", word="Not live", sentence=sentence)
    if not status.slots_over:
        return Verdict(tone="plain", mark="○", word="Not yet", sentence="No slot of the period is over yet.")
    counts = counted_by_tone(problems)
    told = _told(counts, problems)
    accounts = _accounts(status, differing, zone)
    if counts["bad"]:
        return Verdict(tone="bad", mark="✕", word="No", sentence=told, accounts=accounts)
    if counts["warn"]:
        return Verdict(tone="warn", mark="!", word="Not quite", sentence=told, accounts=accounts)
    return Verdict(tone="good", mark="✓", word="Yes", sentence=told, accounts=accounts)


def tiles(
    status: Status, community: Community, figures: Sequence[AssetFigures], *, severities: Mapping[str, int], older: int
) -> list[Tile]:
    """The key figures.

    Args:
        status: of the period.
        community: the file.
        figures: of all assets.
        severities: severity -> open findings of the period.
        older: open findings from before it.
    """
    uncovered = sum(asset.slots.uncovered for asset in figures)
    silent = sum(1 for asset in figures if asset.silent_since is not None)
    exchange_wh = sum(asset.exchange_wh or 0.0 for asset in figures)
    confirmed = status.submissions["forecast"]["confirmed"]
    return [
        Tile(
            label="Assets that report",
            value=f"{status.assets - silent:,}",
            unit=f"of {status.assets:,}",
            more=(f"{silent:,} silent" if silent else "none silent") + _not_live(status, community),
            tone="bad" if silent else "",
        ),
        Tile(
            label="Backed by readings",
            value=share(status.slots_over - uncovered, status.slots_over),
            unit="%" if status.slots_over else "",
            more=f"{uncovered:,} of {counted(status.slots_over, 'slot')} not whole",
            tone="warn" if uncovered else "",
        ),
        Tile(
            label="Confirmed",
            value=share(confirmed, status.slots_over),
            unit="%" if status.slots_over else "",
            more=f"{confirmed:,} of {counted(status.slots_over, 'slot')}",
        ),
        Tile(
            label="Energy here",
            value=f"{sum(asset.slots.energy_wh for asset in figures) / 1000:,.1f}",
            unit="kWh",
            more=f"{exchange_wh / 1000:,.1f} kWh at the exchange",
        ),
        Tile(
            label="Open differences",
            value=f"{status.open_discrepancies:,}",
            more=f"{sum(status.closed_discrepancies.values()):,} closed"
            + (f", {status.lost_discrepancies:,} lost" if status.lost_discrepancies else ""),
            tone="bad" if status.open_discrepancies else "",
        ),
        Tile(
            label="In quarantine",
            value=f"{status.quarantined:,}",
            more=("waiting for a decision" if status.quarantined else "nothing waits for a decision")
            + (f", {status.suspect:,} suspect" if status.suspect else ""),
            tone="warn" if status.quarantined else "",
        ),
        _findings_tile(severities, older, live=status.assets > 0),
        _forecast_tile(figures),
    ]


def _not_live(status: Status, community: Community) -> str:
    others = len(community.assets) - status.assets
    return f"; {others:,} more not live yet" if others else ""


def _findings_tile(severities: Mapping[str, int], older: int, *, live: bool) -> Tile:
    words = {"reject": "rejected", "flag": "flagged", "inform": "for information"}
    told = [f"{severities[name]:,} {word}" for name, word in words.items() if severities.get(name)]
    told += [f"{older:,} older" if told else f"{older:,} older ones are open"] if older else []
    return Tile(
        label="Broken checks",
        value=f"{sum(severities.values()):,}",
        more=", ".join(told) or ("every check holds" if live else "nothing is judged of what isn't live"),
        tone="bad" if severities.get("reject") else "warn" if severities.get("flag") else "",
    )


def _forecast_tile(figures: Sequence[AssetFigures]) -> Tile:
    records = [asset.forecast for asset in figures if asset.forecast is not None and asset.forecast.slots]
    gain = better_by(sum(one.error_wh for one in records), sum(one.persistence_wh for one in records))
    if gain is None:
        return Tile(label="Forecasts", value="none", more="nothing is scored yet")
    slots = sum(one.slots for one in records)
    return Tile(
        label="Forecasts",
        value=f"{abs(gain):.0%}".removesuffix("%"),
        unit="% " + ("nearer" if gain >= 0 else "farther off"),
        more=f"than repeating the last value, {counted(slots, 'slot')} of {RECORD_DAYS} days",
        tone="warn" if gain < -0.005 else "",
    )


def _told(counts: Mapping[str, int], problems: Sequence[Problem]) -> str:
    """How many problems there are, and the first of them."""
    told = []
    if acts := counts["bad"]:
        told.append(f"{counted(acts, 'problem')} {'needs' if acts == 1 else 'need'} somebody to act")
    if looks := counts["warn"]:
        told.append(f"{looks:,} should be looked at" if told else f"{counted(looks, 'problem')} should be looked at")
    if not told:
        return "Nothing needs you."
    return f"{' and '.join(told)}. First: {problems[0].title}."


def _accounts(status: Status, differing: Sequence[DifferingSlot], zone: ZoneInfo) -> str:
    whole = f"{counted(status.slots_over, 'slot')} of {counted(status.assets, 'asset')}"
    differs = _differs(status, differing, zone)
    if not status.accounted:
        missing = status.unaccounted.count
        known = status.slots_over - missing
        return f"{known:,} of {whole} {are(known)} accounted for, {missing:,} {are(missing)} not; {differs}."
    everything = f"All {whole} are" if status.slots_over > 1 else f"The {whole} is"
    return f"{everything} accounted for; {differs}."


def _differs(status: Status, differing: Sequence[DifferingSlot], zone: ZoneInfo) -> str:
    lost = f", {status.lost_discrepancies:,} {are(status.lost_discrepancies)} lost" if status.lost_discrepancies else ""
    return _open_ones(status, differing, zone) + lost


def _open_ones(status: Status, differing: Sequence[DifferingSlot], zone: ZoneInfo) -> str:
    if not status.open_discrepancies:
        return "nothing else differs" if status.lost_discrepancies else "nothing differs"
    if status.open_discrepancies == 1 and differing:
        only = differing[0]
        return f"1 differs: {only.asset}, {local_text(only.slot_start, zone)}, {only.diagnosis}"
    return f"{status.open_discrepancies:,} differ: {causes_in_words(status.discrepancies)}"


def causes_in_words(discrepancies: Mapping[str, int]) -> str:
    """`late (3), missing (1)`."""
    named = [f"{cause} ({number:,})" for cause, number in list(discrepancies.items())[:NAMED_CAUSES]]
    if len(discrepancies) > NAMED_CAUSES:
        named.append("others")
    return ", ".join(named)


def share(part: int, whole: int) -> str:
    """Per cent, rounded down: what isn't all must not read as 100."""
    return f"{math.floor(1000 * part / whole) / 10:.1f}" if whole else "none"
