"""A community's standing on one screen of 80 columns and 24 lines, and many communities' a line each."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from rich.text import Text

from pipelines.metrics.overview import LastRun, Level, Matter, Overview
from pipelines.plain import plain
from pipelines.report.words import counted
from pipelines.slots import slot_floor

WIDTH, HEIGHT = 80, 24
LABEL = 11
BANNERS = {Level.FINE: "FINE", Level.LOOK: "LOOK BY DAY", Level.ACT: "ACT NOW"}
STYLES = {Level.FINE: "bold green", Level.LOOK: "bold yellow", Level.ACT: "bold red"}
SHORT = {Level.FINE: "fine", Level.LOOK: "look", Level.ACT: "ACT"}
FLOWS = ("feed", "reconcile", "watch", "quality")
SHOWN_SOURCES = 3
SHOWN_FINE = 15
"""Communities with which all is well that are shown each; ours."""


def screen(found: Overview) -> list[Text]:
    """The lines, the answer first."""
    clock = _Clock(zone=ZoneInfo(found.time_zone), at=found.at)
    lines = [_banner(found.level, _answer(found.matters)), Text(_fit(_about(found, clock))), Text("")]
    lines += [Text.assemble((f"{label:{LABEL}}", "bold"), _fit(words, LABEL)) for label, words in _rows(found, clock)]
    lines.append(Text(""))
    room = HEIGHT - 1 - len(lines)
    shown = [_matter(matter, clock) for matter in found.matters]
    for number, block in enumerate(shown):
        left = len(shown) - number - 1
        if len(block) + bool(left) > room:
            lines.append(Text(f"and {left + 1} more: slotfeed status --json"))
            break
        lines += block
        room -= len(block)
    return lines


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One community among many."""

    file: str
    overview: Overview | None
    trouble: str = ""
    """Why it couldn't be read."""

    @property
    def level(self) -> Level:
        """Of its most urgent matter; what can't be read can't be vouched for."""
        return Level.ACT if self.overview is None else self.overview.level


def many(found: Sequence[Standing]) -> list[Text]:
    """The answer for all, and a line each, the most urgent first."""
    ordered = sorted(found, key=lambda one: -one.level)
    urgent = [one for one in ordered if one.level is Level.ACT]
    by_day = [one for one in ordered if one.level is Level.LOOK]
    level = max((one.level for one in found), default=Level.FINE)
    told = f"{counted(len(urgent), 'community')} now, {len(by_day)} by day, of {len(found):,}"
    lines = [_banner(level, "nobody has to act" if level is Level.FINE else told), Text("")]
    lines.append(Text(f"{'':5}{'community':22}{'at exchange':>12}{'waiting':>9}{'differ':>8}  what", style="bold"))
    fine = 0
    for one in ordered:
        fine += one.level is Level.FINE
        if fine <= SHOWN_FINE:
            lines.append(_line(one))
    if fine > SHOWN_FINE:
        lines.append(Text(f"and {fine - SHOWN_FINE:,} more with which all is well"))
    return lines


def _line(one: Standing) -> Text:
    head = (f"{SHORT[one.level]:5}", STYLES[one.level])
    found = one.overview
    if found is None:
        return Text.assemble(head, _fit(f"{_end(plain(one.file), 21):22}{plain(one.trouble)}", 5))
    taken = f"{found.figure('slot_values_taken', 'present'):,.0f}/{found.figure('assets', 'true'):,.0f}"
    differ = sum(found.labelled("discrepancies_open").values())
    words = f"{_cut(found.name, 21):22}{taken:>12}{_waiting(found):>9,.0f}{differ:>8,.0f}  {_answer(found.matters)}"
    return Text.assemble(head, _fit(words, 5))


@dataclass(frozen=True, kw_only=True)
class _Clock:
    """Times as the community reads them."""

    zone: ZoneInfo
    at: datetime

    def time(self, moment: datetime) -> str:
        """An hour of today, or with its day."""
        local = moment.astimezone(self.zone)
        same_day = local.date() == self.at.astimezone(self.zone).date()
        return f"{local:%H:%M}" if same_day else f"{local:%Y-%m-%d %H:%M}"

    def ago(self, moment: datetime) -> str:
        """How long ago, to one unit."""
        minutes = (self.at - moment) // timedelta(minutes=1)
        if minutes < 120:
            return f"{minutes} min ago"
        return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // 1440} days ago"


def _answer(matters: Sequence[Matter]) -> str:
    """The most urgent matter, and how many others there are."""
    if not matters:
        return "nobody has to act"
    more = f" (and {len(matters) - 1:,} more)" if len(matters) > 1 else ""
    return f"{_named(matters[0])}{more}: {plain(matters[0].told)}"


def _named(matter: Matter) -> str:
    return plain(f"{matter.name} {matter.subject}".strip())


def _banner(level: Level, words: str) -> Text:
    head = f"{BANNERS[level]}: "
    return Text.assemble((head, STYLES[level]), (_fit(words, len(head)), "bold"))


def _about(found: Overview, clock: _Clock) -> str:
    local = found.at.astimezone(clock.zone)
    live = counted(int(found.figure("assets", "true")), "live asset")
    off = int(found.figure("assets", "false"))
    rest = f" ({off:,} off)" if off else ""
    return f"{_cut(plain(found.name), 34)}, {found.protocol}, {live}{rest}, {local:%a %Y-%m-%d %H:%M %Z}"


def _rows(found: Overview, clock: _Clock) -> Iterator[tuple[str, str]]:
    live = found.figure("assets", "true")
    slot = slot_floor(found.at, found.slot_length)
    coming = found.figure("slot_values_taken", "coming")
    yield (
        f"slot {slot.astimezone(clock.zone):%H:%M}",
        f"{found.figure('slot_values_taken', 'present'):,.0f} of {live:,.0f} values at the exchange; "
        f"of the coming one {coming:,.0f}",
    )
    yield "last day", _states(found, "forecast")
    if any(value for labels, value in found.labelled("slots").items() if labels[0] == "measurement"):
        yield "measured", _states(found, "measurement")
    yield (
        "outbox",
        f"{_waiting(found):,.0f} wait, {found.figure('submissions_waiting', 'yes'):,.0f} of them with a deadline; "
        f"{found.figure('submissions_in_flight'):,.0f} on their way",
    )
    yield "exchange", _exchange(found, clock)
    yield "readings", _readings(found)
    yield from _sources(found, clock)
    for flow in FLOWS:
        yield flow, _run(found.runs.get(flow), clock)
    for (path,), free in found.labelled("disk_free_bytes").items():
        yield "disk", f"{free / 1e9:,.1f} GB free in {plain(path)}"


def _states(found: Overview, quantity: str) -> str:
    words = {"confirmed": "confirmed", "accepted": "accepted", "rejected": "refused", "expired": "too late"}
    words |= {"none": "without value"} if quantity == "forecast" else {}
    counts = {state: found.figure("slots", quantity, state) for state in words}
    whole = f"{found.figure('slots_expected'):,.0f} slots: " if quantity == "forecast" else ""
    told = ", ".join(f"{count:,.0f} {words[state]}" for state, count in counts.items() if count)
    return whole + (told or "nothing yet")


def _exchange(found: Overview, clock: _Clock) -> str:
    causes = found.labelled("discrepancies_open")
    told = f"{sum(causes.values()):,.0f} slots differ"
    if causes:
        first = max(causes, key=lambda labels: causes[labels])
        told += f" ({plain(first[0])}{', ...' if len(causes) > 1 else ''})"
    if lost := found.figure("discrepancies_lost"):
        told += f", {lost:,.0f} lost"
    oldest = found.instant("oldest_unsettled_slot_timestamp_seconds")
    return f"{told}; " + ("all read back" if oldest is None else f"read back up to {clock.time(oldest)}")


def _readings(found: Overview) -> str:
    coverage = found.figures.get(("coverage_ratio",))
    measured = "nothing measured yet" if coverage is None else f"{coverage:.1%} of the day measured"
    waiting = found.labelled("readings_waiting")
    return f"{measured}; " + ", ".join(
        f"{waiting.get((verdict,), 0):,.0f} {words}"
        for verdict, words in (("quarantined", "in quarantine"), ("suspect", "suspect"))
    )


def _sources(found: Overview, clock: _Clock) -> Iterator[tuple[str, str]]:
    newest = found.labelled("source_newest_reading_timestamp_seconds")
    if not newest:
        return
    stopped = {labels for labels, value in found.labelled("source_stopped").items() if value}
    ordered = sorted(newest, key=lambda labels: newest[labels])
    told = [
        f"{plain(labels[0])} {'stopped' if labels in stopped else _at(found, clock, labels[0])}"
        for labels in ordered[:SHOWN_SOURCES]
    ]
    more = len(ordered) - SHOWN_SOURCES
    yield "sources", ", ".join(told) + (f", {more:,} newer" if more > 0 else "")


def _at(found: Overview, clock: _Clock, source: str) -> str:
    stamp = found.instant("source_newest_reading_timestamp_seconds", source)
    return "" if stamp is None else clock.time(stamp)


def _run(run: LastRun | None, clock: _Clock) -> str:
    if run is None:
        return "never"
    share = "" if run.share == "1/1" else f"share {run.share}: "
    when = f"{clock.time(run.logical_time)} ({clock.ago(run.logical_time)})"
    return f"{share}{run.outcome}, {when}, took {run.seconds:,.1f} s"


def _waiting(found: Overview) -> float:
    return sum(found.labelled("submissions_waiting").values())


def _matter(matter: Matter, clock: _Clock) -> list[Text]:
    since = f" since {clock.time(matter.since)}" if matter.since else ""
    head = f"{SHORT[matter.level]:5}"
    words = textwrap.wrap(f"{_named(matter)}{since}: {plain(matter.told)}", WIDTH - 5)[:2]
    lines = [Text.assemble((head, STYLES[matter.level]), words[0])]
    lines += [Text(f"     {more}") for more in words[1:]]
    remedy = textwrap.wrap(matter.remedy, WIDTH - 8)
    return lines + [Text(f"     {'-> ' if number == 0 else '   '}{part}") for number, part in enumerate(remedy)]


def _fit(words: str, taken: int = 0) -> str:
    return _cut(words, WIDTH - taken)


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _end(path: str, most: int) -> str:
    """Of a long path its end, which tells files apart."""
    return path if len(path) <= most else "…" + path[1 - most :]
