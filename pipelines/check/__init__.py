"""Reads the community file and finds every fault in it at once.

`reading` takes the YAML and refuses what it would silently misread; `shape` tells in words what the models
refuse; `draft` keeps the file as far as it is right, so that `connections`, `sources`, `clouds`, `streams`, `checks`,
`assets` and `estimates` check what spans several values in a faulty file too; `finding` turns findings into issues.
Printing them is the command line's.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.check.assets import asset_findings
from pipelines.check.checks import check_findings
from pipelines.check.clouds import cloud_findings, with_vendor_terms
from pipelines.check.connections import connection_findings
from pipelines.check.draft import draft
from pipelines.check.estimates import estimate_findings
from pipelines.check.fees import fee_findings
from pipelines.check.finding import Finding, as_issues
from pipelines.check.reading import read_yaml
from pipelines.check.shape import shape_findings
from pipelines.check.sources import source_findings
from pipelines.check.streams import stream_findings
from pipelines.community import Community
from pipelines.errors import ConfigurationError, Issue, Severity

__all__ = ["check_community", "read_community"]


def read_community(path: Path) -> Community:
    """The community that the file describes.

    Raises:
        ConfigurationError: holds every fault of the file, in its order; notices aren't among them.
    """
    community, issues = check_community(path)
    if community is None:
        raise ConfigurationError(issue for issue in issues if issue.severity is Severity.FAULT)
    return community


def check_community(path: Path) -> tuple[Community | None, list[Issue]]:
    """Find every fault and notice of the file.

    Returns:
        The community, or None where a fault stands; and the issues: faults first, each group in
        the order of the file (sections, sources, assets, streams).
    """
    raw, findings = read_yaml(path)
    community = None
    if isinstance(raw, dict):
        community, more = _check(raw)
        # What YAML misread is told once: what the models make of the misread value would only confuse.
        misread = {finding.loc for finding in findings}
        findings += [finding for finding in more if finding.loc not in misread]
    issues = as_issues(findings, file=str(path), raw=raw)
    if any(issue.severity is Severity.FAULT for issue in issues):
        community = None
    return community, issues


def _check(raw: Mapping[str, Any]) -> tuple[Community | None, list[Finding]]:
    findings: list[Finding] = []
    community = None
    raw = with_vendor_terms(raw)
    try:
        community = Community.model_validate(raw)
    except ValidationError as error:
        findings += shape_findings(error)
    return community, [*findings, *_across(raw)]


def _across(raw: Mapping[str, Any]) -> Iterator[Finding]:
    drafted = draft(raw)
    yield from connection_findings(drafted)
    yield from source_findings(drafted)
    yield from cloud_findings(drafted)
    yield from stream_findings(drafted)
    yield from check_findings(raw, drafted)
    yield from asset_findings(drafted)
    yield from estimate_findings(drafted)
    yield from fee_findings(raw)
