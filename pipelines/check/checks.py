"""The thresholds that the file sets: names that don't exist, and bounds that contradict each other.

The models refuse the same; what they say of a mapping that may also be `off` is no help to its writer.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from expectations.names import CHECKS, Check, Severity
from expectations.thresholds import THRESHOLDS, Bounds, Setting, resolve
from pipelines.check.draft import Draft
from pipelines.check.finding import Finding, Loc, did_you_mean, fault, listed, shown
from pipelines.community import AssetType, CheckSection

KEYS = ("low", "high", "severity")
ALL = "all"


@dataclass(frozen=True)
class _Level:
    """The settings of one place in the file that are right by themselves."""

    loc: Loc
    settings: Mapping[Check, Setting]


def about_checks(loc: Loc) -> bool:
    """Whether the path leads into a section of thresholds, which this module tells about."""
    match loc:
        case ("checks", *_) | ("assets", int(), "checks", *_):
            return True
    return False


def check_findings(raw: Mapping[str, object], draft: Draft) -> Iterator[Finding]:
    """What is wrong with thresholds, for all assets, of types and of single assets."""
    levels: dict[str, _Level] = {}
    sections = raw.get("checks", {})
    if not isinstance(sections, Mapping):
        yield _no_mapping(("checks",), sections, "Write all, or a type of asset, and its checks below")
        sections = {}
    for name, section in sections.items():
        loc: Loc = ("checks", str(name))
        if name != ALL and name not in list(AssetType):
            yield fault(loc, f"{shown(name)} is no type of asset", did_you_mean(str(name), [ALL, *AssetType]))
            continue
        levels[name] = yield from _level(loc, section)
    yield from _of_types(levels)
    yield from _of_assets(raw, draft, levels)


def _of_types(levels: Mapping[str, _Level]) -> Iterator[Finding]:
    common = levels.get(ALL, _Level((), {}))
    for kind in AssetType:
        of_type = levels.get(kind.value, _Level((), {}))
        yield from _contradictions(kind.value, [common, of_type])


def _of_assets(raw: Mapping[str, object], draft: Draft, levels: Mapping[str, _Level]) -> Iterator[Finding]:
    assets = raw.get("assets")
    for asset in draft.assets:
        entry = assets[asset.number] if isinstance(assets, list) else None
        section = entry.get("checks") if isinstance(entry, Mapping) else None
        if section is None:
            continue
        level = yield from _level((*asset.loc, "checks"), section)
        if asset.part.knows("type"):
            kind = asset.part.value.type.value
            above = [levels[name] for name in (ALL, kind) if name in levels]
            yield from _contradictions(kind, [*above, level])


def _level(loc: Loc, section: object) -> Generator[Finding, None, _Level]:
    """The settings of one place; returns what is right."""
    if not isinstance(section, Mapping):
        yield _no_mapping(loc, section, "Write a check's name and its settings below, such as stale_run: {high: 11}")
        return _Level(loc, {})
    settings: dict[Check, Setting] = {}
    for name, given in section.items():
        place = (*loc, str(name))
        if name not in list(Check):
            yield fault(place, f"there is no check {shown(name)}", did_you_mean(str(name), THRESHOLDS))
        elif Check(name) not in THRESHOLDS:
            yield fault(place, "this check has no threshold", _fixed(Check(name)))
        else:
            setting = yield from _setting(place, Check(name), given)
            if setting is not None:
                settings[Check(name)] = setting
    return _Level(loc, settings)


def _setting(loc: Loc, check: Check, given: object) -> Generator[Finding, None, Setting | None]:
    """What is set of a check; returns it, or None where it is wrong."""
    if given is False:
        return Setting(on=False)
    if not isinstance(given, Mapping):
        yield _no_mapping(loc, given, "Write low, high or severity below, or off, without quotes")
        return None
    try:
        section = CheckSection.model_validate(given)
    except ValidationError as error:
        yield from (_refused(loc, given, detail) for detail in error.errors(include_url=False))
        return None
    lowest = THRESHOLDS[check].lowest
    bounds = [("low", section.low), ("high", section.high)]
    wrong = [(key, value) for key, value in bounds if value is not None and value < lowest]
    for key, value in wrong:
        yield fault((*loc, key), f"{value:g} is below {lowest:g}", f"It is {THRESHOLDS[check].quantity}")
    if wrong:
        return None
    return Setting(low=section.low, high=section.high, severity=section.severity)


def _refused(loc: Loc, given: Mapping[object, object], detail: Mapping[str, object]) -> Finding:
    path = detail["loc"]
    key = str(path[0]) if isinstance(path, tuple) and path else ""
    place = (*loc, key) if key else loc
    match detail["type"], key:
        case "extra_forbidden", _:
            return fault(place, "this key is unknown", did_you_mean(key, KEYS))
        case _, "severity":
            return fault(place, f"{shown(given[key])} is no severity", f"Write {listed(Severity, last='or')}")
        case _, "low" | "high":
            return fault(place, f"{shown(given[key])} is no number", "Write a number, or take the key out for no bound")
    return fault(place, _crossed(given["low"], given["high"]), "Make low the lower one")


def _contradictions(kind: str, levels: list[_Level]) -> Iterator[Finding]:
    """Bounds that are right where they stand, and cross what stands for the asset otherwise."""
    limits = resolve(kind, [level.settings for level in levels])
    for check, limit in limits.items():
        setting = levels[-1].settings.get(check)
        if setting is None or not _empty(limit.bounds):
            continue
        side = "high" if setting.high is None else "low"
        yield fault(
            (*levels[-1].loc, check.value),
            f"{_crossed(limit.bounds.low, limit.bounds.high)}: {side} stands elsewhere, by default or for other assets",
            f"Write {side} here too",
        )


def _empty(bounds: Bounds) -> bool:
    return bounds.low is not None and bounds.high is not None and bounds.low > bounds.high


def _crossed(low: object, high: object) -> str:
    return f"low {low} is above high {high}, so nothing would be good"


def _fixed(check: Check) -> str:
    return f"It can't be changed: {CHECKS[check].explanation[:1].lower()}{CHECKS[check].explanation[1:].rstrip('.')}"


def _no_mapping(loc: Loc, given: object, remedy: str) -> Finding:
    return fault(loc, f"{shown(given)} stands where a mapping belongs", remedy)
