"""What is wrong, as a manager wants to hear it: what, where, since when, how much, what to do.

Rows that tell of the same thing are one problem: a day without readings, not its 96 slots.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pipelines.report.assets import AssetFigures
from pipelines.report.series import MULTIPLES
from pipelines.report.times import local_text

NAMED = 3
"""Assets that a problem names; of the others it gives the number."""

LISTED = 10
"""Problems that are told one by one."""

TONES = ("bad", "warn", "plain")
MARKS = {"bad": ("✕", "Act"), "warn": ("!", "Look"), "plain": ("i", "Know")}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong."""

    tone: str
    """One of TONES: somebody has to act, somebody should look, good to know."""

    title: str
    where: str = ""
    """Which assets, where the title doesn't say."""

    since: str
    size: str
    """How many slots, readings or how much energy it concerns."""

    rule: str = ""
    """What holds where all is well."""

    cause: str = ""
    """What it rests on."""

    remedy: str
    command: str = ""
    last: datetime
    """When it was seen last, so that the newest comes first."""

    weight: float = 0.0
    """Among problems seen last at the same time the heavier comes first."""

    anchor: str = ""
    """Section of the page that tells more."""

    @property
    def mark(self) -> str:
        """A sign that says what the tone's colour says."""
        return MARKS[self.tone][0]

    @property
    def word(self) -> str:
        """The same in a word."""
        return MARKS[self.tone][1]


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What problems are told with."""

    figures: Sequence[AssetFigures]
    zone: ZoneInfo
    length: timedelta
    """Of a slot."""

    over: datetime
    """End of the period's last slot that is over."""

    def local(self, instant: datetime) -> str:
        """In local time with its zone."""
        return local_text(instant, self.zone)

    def anchor(self, asset_ids: Sequence[str], *, otherwise: str) -> str:
        """Where the page tells more: the details of an asset that is alone and has some, or a section."""
        charted = [asset.status.uuid for asset in self.figures[:MULTIPLES]]
        if len(asset_ids) == 1 and asset_ids[0] in charted:
            return f"asset-{charted.index(asset_ids[0])}"
        return otherwise

    def day(self, instant: datetime) -> str:
        """The local day, as commands take it."""
        return f"{instant.astimezone(self.zone):%Y-%m-%d}"


def named(names: Sequence[str]) -> str:
    """`Flat 1, Flat 2, Flat 3 and 17 others`."""
    if len(names) <= NAMED:
        return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), *names[-1:]])
    rest = len(names) - NAMED
    return f"{', '.join(names[:NAMED])} and {rest:,} other{'s' if rest > 1 else ''}"


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """The most severe first, then the newest, then the heaviest."""
    return sorted(problems, key=lambda one: (TONES.index(one.tone), -one.last.timestamp(), -one.weight, one.title))


def counted_by_tone(problems: Iterable[Problem]) -> Mapping[str, int]:
    """Tone -> problems."""
    found = [one.tone for one in problems]
    return {tone: found.count(tone) for tone in TONES}


def backfill(since: datetime, ground: Ground) -> str:
    """The command that fetches whole local days again: from that of `since` to the last of the period."""
    following = ground.over + timedelta(days=1)
    return f"slotfeed backfill --start {ground.day(since)} --end {ground.day(following)}"


def quoted(name: str) -> str:
    """A name as one argument of a command line."""
    return "'" + name.replace("'", "'\\''") + "'"
