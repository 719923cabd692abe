"""From the steps to how an asset stands altogether, and since when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from pipelines.commission.names import Mark, Outcome, Standing, Step
from pipelines.community import Asset
from pipelines.report.times import local_text


@dataclass(frozen=True, kw_only=True)
class Certified:
    """An asset's newest certificate as the store has it."""

    number: str
    slots: int
    issued_at: datetime
    period_start: datetime
    period_end: datetime
    held_until: datetime | None
    ended_because: str
    holds: bool


@dataclass(frozen=True, kw_only=True)
class Change:
    """How an asset stood when that last changed."""

    at: datetime
    outcome: str
    step: int
    cause: str


@dataclass(frozen=True, kw_only=True)
class AssetStanding:
    """One asset, and how it stands."""

    asset: Asset
    outcome: Outcome
    steps: tuple[Standing, ...]
    """The five steps before the last."""

    before: Standing | None
    """The step it stands before: what blocks it, or what it waits for. None: it is proven."""

    since: datetime
    """Since when it stands so."""

    certificate: str = ""
    """Number of its newest certificate; "" where it never had one."""

    trouble: Standing | None = None
    """Of a proven asset: who couldn't be asked just now."""

    @property
    def key(self) -> tuple[str, int, str]:
        """What must change for the asset to stand differently."""
        before = self.before
        return self.outcome.value, before.step if before else Step.PROVEN, before.cause if before else ""

    @property
    def reached(self) -> int:
        """How many steps stand, from the first on without a break; 6 when proven."""
        if self.outcome is Outcome.PROVEN:
            return Step.PROVEN
        return next((n for n, step in enumerate(self.steps) if step.mark is not Mark.STANDS), len(self.steps))


def judge(
    asset: Asset, steps: Sequence[Standing], certified: Certified | None, last: Change | None, *, now: datetime
) -> AssetStanding:
    """How the asset stands.

    Args:
        asset: which.
        steps: its five steps.
        certified: its newest certificate.
        last: how it stood before.
        now: the run's logical time.
    """
    holds = certified is not None and certified.holds
    blocked = [step for step in steps if step.mark is Mark.BLOCKED]
    unasked = [step for step in steps if step.mark is Mark.UNASKED]
    waits = [step for step in steps if step.mark is Mark.WAITS]
    if holds:
        # That nobody answers right now takes no proof away: slots that differ would, or ones that aren't compared.
        before = next(iter(blocked), None)
        outcome = Outcome.PROVEN if before is None else Outcome.SUSPENDED
    else:
        before = next(iter((*blocked, *unasked, *waits)), None)
        outcome = Outcome.PROVEN
        if before is not None:
            outcome = Outcome.COLLECTING if before.mark is Mark.WAITS else Outcome.BLOCKED
            if certified is not None and certified.ended_because:
                outcome = Outcome.SUSPENDED
    found = AssetStanding(
        asset=asset,
        outcome=outcome,
        steps=tuple(steps),
        before=before,
        since=now,
        certificate=certified.number if certified else "",
        trouble=next(iter(unasked), None) if outcome is Outcome.PROVEN else None,
    )
    return _dated(found, certified, last, now=now)


def _dated(found: AssetStanding, certified: Certified | None, last: Change | None, *, now: datetime) -> AssetStanding:
    since = now
    if last is not None and (last.outcome, last.step, last.cause) == found.key:
        since = last.at
    elif found.outcome is Outcome.SUSPENDED and certified is not None:
        since = certified.held_until or broken_at(found, certified, now=now)
    return AssetStanding(
        asset=found.asset,
        outcome=found.outcome,
        steps=found.steps,
        before=found.before,
        since=since,
        certificate=found.certificate,
        trouble=found.trouble,
    )


def broken_at(found: AssetStanding, certified: Certified, *, now: datetime) -> datetime:
    """Until when a certificate held that doesn't any more: what broke it began then, after its period."""
    began = found.before.since if found.before and found.before.since else now
    return max(began, certified.period_end)


def certificate_step(found: AssetStanding, certified: Certified | None, zone: ZoneInfo) -> Standing:
    """The sixth step in words."""
    if certified is None:
        mark = Mark.STANDS if found.outcome is Outcome.PROVEN else Mark.WAITS
        return Standing(step=Step.PROVEN, mark=mark, told="follows when the steps before stand")
    period = f"{local_text(certified.period_start, zone)} to {local_text(certified.period_end, zone)}"
    told = f"certificate {certified.number}: {certified.slots:,} slots, {period}"
    if certified.held_until is not None:
        told += f"; it held until {local_text(certified.held_until, zone)}: {certified.ended_because}"
    mark = Mark.STANDS if certified.holds else Mark.WAITS
    return Standing(step=Step.PROVEN, mark=mark, told=told)


def tallied(standings: Sequence[AssetStanding]) -> Mapping[str, int]:
    """Outcome -> assets; all four."""
    return {one.value: sum(found.outcome is one for found in standings) for one in Outcome}
