"""All broken checks of a period in one table: a row for each check and severity, however many assets broke it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from expectations.names import CHECKS, Check, Severity
from pipelines.report.broken import Broken
from pipelines.report.details import SEVERITY_WORDS, TONE_OF
from pipelines.report.faults import fault_of
from pipelines.report.problems import named
from pipelines.report.remedies import remedy_of
from pipelines.report.times import local_text


@dataclass(frozen=True, kw_only=True)
class CheckRow:
    """One check and severity."""

    fault: str
    check: str
    explanation: str
    tone: str
    severity: str
    assets: int
    named: str
    rows: int
    first: str
    last: str
    remedy: str


def check_rows(broken: Iterable[Broken], names: Mapping[str, str], zone: ZoneInfo) -> list[CheckRow]:
    """The broken checks, the most severe first, then those of the most rows.

    Args:
        broken: open findings in the period.
        names: asset_id -> name.
        zone: of the community.
    """
    grouped: dict[tuple[str, str], list[Broken]] = {}
    for one in broken:
        grouped.setdefault((one.severity, one.check), []).append(one)
    order = list(Severity)
    keys = sorted(grouped, key=lambda key: (order.index(Severity(key[0])), -sum(o.rows for o in grouped[key]), key[1]))
    return [_row(check, Severity(severity), grouped[severity, check], names, zone) for severity, check in keys]


def _row(check: str, severity: Severity, rows: list[Broken], names: Mapping[str, str], zone: ZoneInfo) -> CheckRow:
    rows = sorted(rows, key=lambda one: -one.rows)
    return CheckRow(
        fault=fault_of(check),
        check=check,
        explanation=CHECKS[Check(check)].explanation if check in CHECKS else "",
        tone=TONE_OF[severity],
        severity=SEVERITY_WORDS[severity],
        assets=len(rows),
        named=named([names[one.asset_id] for one in rows]),
        rows=sum(one.rows for one in rows),
        first=local_text(min(one.first for one in rows), zone),
        last=local_text(max(one.last for one in rows), zone),
        remedy=remedy_of(check).words,
    )
