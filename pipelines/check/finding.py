"""A finding, while it is still known by its path in the file, and how it becomes an `Issue`."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.errors import Issue, Severity

Loc = tuple[str | int, ...]
"""Path of a value in the file: ("assets", 3, "streams", 0, "unit")."""

SECTIONS = (
    *("community", "exchange", "database", "allow_http", "sources", "estimation", "checks", "assets"),
    *("grid_fees", "archive", "quality", "reconcile", "watch"),
)
"""In the order in which findings are told."""

SHOWN_LENGTH = 60

SECRET_KEYS = re.compile(r"pass|secret|token|key$|^user", re.IGNORECASE)
"""Keys under which people write secrets: what stands there is never quoted."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One fault or notice, with the path of the value it is about."""

    loc: Loc
    problem: str
    remedy: str
    severity: Severity = Severity.FAULT


def fault(loc: Loc, problem: str, remedy: str) -> Finding:
    """Nothing runs until this is mended."""
    return Finding(loc=loc, problem=problem, remedy=remedy)


def notice(loc: Loc, problem: str, remedy: str) -> Finding:
    """True and worth knowing."""
    return Finding(loc=loc, problem=problem, remedy=remedy, severity=Severity.NOTICE)


def shown(value: object) -> str:
    """The value as a message may quote it: short, and never one that could hold a password.

    Whatever has an `@` may be an address with a user's password, so it isn't quoted at all.
    """
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list"
    if isinstance(value, bool):
        return "'true'" if value else "'false'"
    text = str(value)
    if "@" in text or "://" in text:
        return "this value"
    return f"'{text}'" if len(text) <= SHOWN_LENGTH else f"'{text[:SHOWN_LENGTH]}...'"


def listed(names: Iterable[object], *, last: str = "and", most: int = 6) -> str:
    """`a, b and c`; of many, the first and how many more."""
    texts = [str(name) for name in names]
    if len(texts) > most:
        texts = [*texts[: most - 1], f"{len(texts) - most + 1} more"]
    return f" {last} ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A remedy that names the nearest of `known`, or all of them where none is near."""
    names = sorted(known)
    if (near := nearest(name, names)) is not None:
        return f"Did you mean '{near}'?"
    return f"Known: {', '.join(names)}" if names else "None is known here"


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The one of `known` that a person may have meant."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def as_issues(findings: Iterable[Finding], *, file: str, raw: object) -> list[Issue]:
    """The findings as their reader sees them.

    Args:
        findings: in any order.
        file: what messages about the whole file call it.
        raw: the file's content, for names and order.

    Returns:
        Faults first; each group in the order of sections, sources, assets and streams in the file.
    """
    assets = _labels("asset", "name", _part(raw, "assets"))
    markets = _labels("market", "market", _part(raw, "grid_fees"))
    sources = [str(name) for name in _part(raw, "sources")]

    def order(finding: Finding) -> tuple[int, ...]:
        return finding.severity is Severity.NOTICE, *_rank(finding.loc, sources)

    issues = []
    for finding in sorted(findings, key=order):
        where, field = _place(finding.loc, file=file, assets=assets, markets=markets)
        issues.append(
            Issue(
                where=where,
                field=field,
                problem=finding.problem,
                remedy=finding.remedy,
                severity=finding.severity,
                concerns=_asset_of(finding.loc, raw),
            )
        )
    return list(dict.fromkeys(issues))


def _asset_of(loc: Loc, raw: object) -> str:
    """Uuid of the asset in which something was found; empty where it is elsewhere, or has none that can be read."""
    match loc:
        case ("assets", int(number), *_):
            entries = _part(raw, "assets")
            entry = entries[number] if isinstance(entries, list) and number < len(entries) else None
            uuid = entry.get("uuid") if isinstance(entry, Mapping) else None
            # A number stands for a name here, as in the file's models.
            return str(uuid).strip() if isinstance(uuid, str | int | float) else ""
    return ""


def _part(raw: object, section: str) -> Iterable[object]:
    value = raw.get(section) if isinstance(raw, Mapping) else None
    return value if isinstance(value, list | Mapping) else ()


def _labels(what: str, key: str, entries: Iterable[object]) -> tuple[str, ...]:
    """How a message calls each entry: by its name, and by its number where the name is missing or taken twice."""
    names = [entry.get(key) if isinstance(entry, Mapping) else None for entry in entries]
    # Names that can't be counted are those that are no names.
    times = Counter(name for name in names if isinstance(name, str | int | float))
    labels = []
    for number, name in enumerate(names, start=1):
        if isinstance(name, bool) or not isinstance(name, str | int | float) or not str(name).strip():
            labels.append(f"{what} no. {number}")
        elif times[name] > 1:
            labels.append(f"{what} {shown(name)} (no. {number})")
        else:
            labels.append(f"{what} {shown(name)}")
    return tuple(labels)


def _rank(loc: Loc, sources: Sequence[str]) -> tuple[int, int, int]:
    section = SECTIONS.index(str(loc[0])) if loc and loc[0] in SECTIONS else -1
    match loc:
        case ("assets", int(asset), "streams", int(stream), *_):
            return section, asset, stream
        case ("assets" | "grid_fees", int(number), *_):
            return section, number, -1
        case ("sources", name, *_) if name in sources:
            return section, sources.index(str(name)), -1
        case _:
            return section, -1, -1


def _place(loc: Loc, *, file: str, assets: Sequence[str], markets: Sequence[str]) -> tuple[str, str]:
    match loc:
        case ():
            return file, ""
        case ("assets", int(index), *rest) if index < len(assets):
            return assets[index], dotted(tuple(rest))
        case ("grid_fees", int(index), *rest) if index < len(markets):
            return markets[index], dotted(tuple(rest))
        case ("sources", name, *rest):
            return f"source '{name}'", dotted(tuple(rest))
        case (str(section), *rest) if section in SECTIONS:
            return section, dotted(tuple(rest))
        case _:
            return file, dotted(loc)


def dotted(loc: Loc) -> str:
    """`streams[0].unit`."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part != "[key]":
            text += f".{part}" if text else part
    return text
