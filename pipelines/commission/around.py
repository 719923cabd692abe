"""Steps 1 and 2, configured and reachable: what the file, the sources and the exchange say, sorted by asset.

Nothing is asked here: a flow knocks at the sources and the exchange and hands in what they answered.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.check.finding import shown
from pipelines.commission.names import Mark, Standing, Step
from pipelines.community import Asset, Community
from pipelines.errors import Issue, Severity

CAUSES = {"uuid": "unknown at the exchange", "type": "another type at the exchange", "live": "live switch off"}
"""What an issue of an asset at the exchange is about, by its field."""


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
        by_name = {f"asset '{asset.name}'": asset.asset_id for asset in community.assets}
        by_name |= {f"asset {shown(asset.name)}": asset.asset_id for asset in community.assets}
        self._own: dict[str, list[Issue]] = defaultdict(list)
        self._common: list[Issue] = []
        for issue in around.exchange:
            asset_id = by_name.get(issue.where)
            if asset_id is not None:
                self._own[asset_id].append(issue)
            elif issue.severity is Severity.FAULT:
                self._common.append(issue)
        self._notices: dict[str, list[Issue]] = defaultdict(list)
        for issue in around.notices:
            if (asset_id := by_name.get(issue.where)) is not None:
                self._notices[asset_id].append(issue)

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
            return _of_issue(own[0], Mark.BLOCKED, cause=CAUSES.get(own[0].field, "at the exchange"))
        for source in dict.fromkeys(stream.source for stream in asset.streams):
            for issue in self._around.sources.get(source, ()):
                if _concerns(issue, asset):
                    absent = issue.field in ("device", "register")
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
        untold = any(issue.where == "exchange" for issue in self._around.exchange)
        return "not told by the exchange" if untold else "on"


def _concerns(issue: Issue, asset: Asset) -> bool:
    """A device that a source lacks concerns those who read it; all else everybody."""
    if issue.field not in ("device", "register"):
        return True
    # Told in the words of `pipelines.collect.probe`, which knows no assets.
    told = {
        text
        for stream in asset.streams
        if issue.where == f"source '{stream.source}'"
        for text in (
            f"the account has no device {stream.device}",
            f"device {stream.device} has no register {stream.register_}",
        )
    }
    return issue.problem in told


def _of_issue(issue: Issue, mark: Mark, *, cause: str) -> Standing:
    place = f"{issue.where}, `{issue.field}`" if issue.field else issue.where
    told = issue.problem if issue.where.startswith("asset ") else f"{place}: {issue.problem}"
    remedy = issue.remedy
    if issue.where.startswith("asset ") and issue.field:
        remedy += f" (its `{issue.field}` in community.yaml)"
    return Standing(step=Step.REACHABLE, mark=mark, told=told, cause=cause, remedy=remedy)
