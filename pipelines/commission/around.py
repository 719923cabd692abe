"""Steps 1 and 2, configured and reachable: what the file, the sources and the exchange say, sorted by asset.

Nothing is asked here: a flow knocks at the sources and the exchange and hands in what they answered.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.commission.names import Mark, Standing, Step
from pipelines.community import Asset, Community
from pipelines.errors import Issue, Severity, Topic

CAUSES: Mapping[Topic | None, str] = {
    Topic.ASSET_UNKNOWN: "unknown at the exchange",
    Topic.ASSET_TYPE: "another type at the exchange",
    Topic.ASSET_SWITCH: "live switch off",
}
"""What blocks an asset at the exchange, by what the issue is about."""


@dataclass(frozen=True, kw_only=True)
class Around:
    """What was found around a community that is sound."""

    sources: Mapping[str, Sequence[Issue]] = field(default_factory=dict)
    """Source -> what is wrong with it; one that was asked and answered well has none."""

    spared: frozenset[str] = frozenset()
    """Sources that weren't asked; see `pipelines.commission.asking`."""

    exchange: Sequence[Issue] = ()
    """What is wrong at the exchange, with it or with assets."""

    exchange_answered: bool = True
    """False: the issues say why it couldn't be asked."""

    notices: Sequence[Issue] = ()
    """What `check` finds worth knowing."""


class Surroundings:
    """The same, by asset."""

    def __init__(self, community: Community, around: Around) -> None:
        """Sort the issues once, for ten thousand assets."""
        self._around = around
        known = {asset.asset_id for asset in community.assets}
        self._own: dict[str, list[Issue]] = defaultdict(list)
        self._common: list[Issue] = []
        for issue in around.exchange:
            if issue.concerns in known:
                self._own[issue.concerns].append(issue)
            elif issue.severity is Severity.FAULT:
                self._common.append(issue)
        self._notices: dict[str, list[Issue]] = defaultdict(list)
        for issue in around.notices:
            if issue.concerns in known:
                self._notices[issue.concerns].append(issue)

    def configured(self, asset: Asset) -> Standing:
        """A run only begins with a sound file, so this stands; what else `check` noticed is told."""
        if not asset.live:
            return Standing(
                step=Step.CONFIGURED,
                mark=Mark.BLOCKED,
                told="the file says `live: false`, so nothing is sent for it",
                cause="live: false in the file",
                remedy="Switch its live data on at the exchange's page, and run `slotfeed assets sync`",
            )
        notices = self._notices.get(asset.asset_id, [])
        told = "the file has no fault" + (f"; noticed: {notices[0].problem}" if notices else "")
        return Standing(step=Step.CONFIGURED, mark=Mark.STANDS, told=told)

    def reachable(self, asset: Asset) -> Standing:
        """The exchange knows it and is switched on for it, and its sources answer."""
        if self._common:
            mark = Mark.BLOCKED if self._around.exchange_answered else Mark.UNASKED
            return _of_issue(self._common[0], mark, cause="exchange")
        if own := self._own.get(asset.asset_id):
            return _of_issue(own[0], Mark.BLOCKED, cause=CAUSES.get(own[0].topic, "at the exchange"))
        for source in dict.fromkeys(stream.source for stream in asset.streams):
            for issue in self._around.sources.get(source, ()):
                if _concerns(issue, asset):
                    absent = issue.topic is Topic.STREAM_ABSENT
                    mark = Mark.BLOCKED if absent else Mark.UNASKED
                    cause = f"not at source '{source}'" if absent else f"source '{source}'"
                    return _of_issue(issue, mark, cause=cause)
        told = [self._answer(name) for name in dict.fromkeys(stream.source for stream in asset.streams)]
        told.append(f"the exchange knows it, and its live switch is {self._switch()}")
        return Standing(step=Step.REACHABLE, mark=Mark.STANDS, told="; ".join(told))

    def _answer(self, source: str) -> str:
        spared = source in self._around.spared
        return f"source '{source}' " + ("told readings lately, so it wasn't asked" if spared else "answers")

    def _switch(self) -> str:
        untold = any(issue.topic is Topic.SWITCHES_UNTOLD for issue in self._around.exchange)
        return "not told by the exchange" if untold else "on"


def _concerns(issue: Issue, asset: Asset) -> bool:
    """A stream that a source lacks concerns those who read it; all else everybody."""
    return not issue.concerns or any(stream.stream_id == issue.concerns for stream in asset.streams)


def _of_issue(issue: Issue, mark: Mark, *, cause: str) -> Standing:
    place = f"{issue.where}, `{issue.field}`" if issue.field else issue.where
    own = issue.topic in CAUSES
    told = issue.problem if own else f"{place}: {issue.problem}"
    remedy = issue.remedy
    if own and issue.field:
        remedy += f" (its `{issue.field}` in community.yaml)"
    return Standing(step=Step.REACHABLE, mark=mark, told=told, cause=cause, remedy=remedy)
