"""What the community file says of checks."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, model_validator

from expectations.names import Check, Severity
from expectations.thresholds import THRESHOLDS, Setting
from pipelines.community.basics import Strict


class CheckSection(Strict):
    """What the file says of a check; what it leaves out stays as it is by default (`expectations.thresholds`)."""

    low: float | None = None
    """The lowest value that is good."""

    high: float | None = None
    """The highest value that is good."""

    severity: Severity | None = None

    @model_validator(mode="after")
    def _not_crossed(self) -> "CheckSection":
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}, so nothing would be good")
        return self


def _with_thresholds(settings: dict[Check, Any]) -> dict[Check, Any]:
    if fixed := [check.value for check in settings if check not in THRESHOLDS]:
        raise ValueError(f"{', '.join(fixed)}: has no threshold; no energy can be computed from what breaks it")
    return settings


CheckSettings = Annotated[dict[Check, CheckSection | Literal[False]], AfterValidator(_with_thresholds)]
"""Check -> its settings; `off` switches it off."""


def settings_of(level: CheckSettings) -> Mapping[Check, Setting]:
    """The same as `expectations.thresholds` takes them."""
    return {
        check: Setting(low=section.low, high=section.high, severity=section.severity)
        if isinstance(section, CheckSection)
        else Setting(on=False)
        for check, section in level.items()
    }
