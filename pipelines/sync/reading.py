"""What a sync needs of the community file, which may have faults elsewhere: uuids are what it lacks at first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.check.clouds import with_vendor_terms
from pipelines.check.draft import AssetDraft, draft
from pipelines.check.finding import Finding, Loc, as_issues, fault
from pipelines.check.reading import parse_yaml
from pipelines.check.shape import shape_findings
from pipelines.community import Community
from pipelines.errors import ConfigurationError
from pipelines.starter.parts import LIVE

GSY_TYPE = {asset_type: gsy for gsy, asset_type in LIVE.items()}
"""What the exchange calls the types that it takes live data for."""

BOM = "\ufeff"


@dataclass(frozen=True, kw_only=True)
class FileAsset:
    """An asset as the file has it."""

    number: int
    """Its place in the file, from 0."""

    name: str
    uuid: str | None
    """None where it is missing or null."""

    kind: str | None
    """GSy's type that carries its energy (`Load`, `PV`); None where none does or the file doesn't say."""

    live: bool
    """The switch as the file has it, written or not."""


@dataclass(frozen=True, kw_only=True)
class CommunityFile:
    """The file as it was read."""

    path: Path
    text: str
    """To the byte: line ends as they are, without a byte order mark."""

    marked: bool
    """A byte order mark stands before the text."""

    base_url: str
    allow_http: tuple[str, ...]
    simulation: str
    assets: tuple[FileAsset, ...]


def read_file(path: Path) -> CommunityFile:
    """Read the exchange's address, the simulation's uuid and the assets' names.

    Raises:
        ConfigurationError: one of them is missing or wrong, or the file can't be read; lists every such fault.
    """
    raw, findings = None, []
    text = ""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        findings = [fault((), "there is no such file", "Write one with `slotfeed init`, or name the right path")]
    except UnicodeDecodeError as error:
        findings = [fault((), f"byte {error.start + 1} is not UTF-8", "Save the file in UTF-8")]
    except OSError as error:
        findings = [fault((), f"it can't be read ({error.strerror})", "Name a file that this user may read")]
    else:
        raw, findings = parse_yaml(text.removeprefix(BOM))
    if isinstance(raw, dict):
        findings = [
            *(finding for finding in findings if _needed(finding.loc)),
            *(finding for finding in _shape(raw) if _needed(finding.loc) and not _awaits_uuid(finding.loc, raw)),
        ]
    if findings:
        raise ConfigurationError(as_issues(findings, file=str(path), raw=raw))
    drafted = draft(raw if isinstance(raw, dict) else {})
    return CommunityFile(
        path=path,
        text=text.removeprefix(BOM),
        marked=text.startswith(BOM),
        base_url=drafted.exchange.value.base_url,
        allow_http=drafted.allow_http or (),
        simulation=drafted.community.value.simulation_uuid,
        assets=tuple(_asset(one) for one in drafted.assets),
    )


def _asset(found: AssetDraft) -> FileAsset:
    part = found.part
    sent_as = part.value.type.sent_as if part.knows("type") else None
    return FileAsset(
        number=found.number,
        name=part.value.name,
        uuid=part.value.uuid if part.knows("uuid") else None,
        kind=GSY_TYPE[sent_as] if sent_as else None,
        live=part.value.live,
    )


def _shape(raw: Mapping[str, Any]) -> Iterator[Finding]:
    try:
        Community.model_validate(with_vendor_terms(raw))
    except ValidationError as error:
        yield from shape_findings(error)


def _needed(loc: Loc) -> bool:
    """Whether a fault there hinders a sync."""
    match loc:
        case () | ("community" | "exchange" | "assets",) | ("community", "simulation_uuid") | ("exchange", "base_url"):
            return True
        case ("assets", int()) | ("assets", int(), "name" | "uuid" | "live"):
            return True
    return False


def _awaits_uuid(loc: Loc, raw: Mapping[str, Any]) -> bool:
    """Whether the place is that of a uuid which isn't there yet."""
    match loc:
        case ("assets", int(number), "uuid"):
            return raw["assets"][number].get("uuid") in (None, "")
    return False
