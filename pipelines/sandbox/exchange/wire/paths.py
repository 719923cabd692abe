"""What the gate reads off a request's path."""

import re

from pipelines.sandbox.controls import CONTROL

_ASSET = re.compile(r"/(?:external-connection/api|historical-data/(?:assets|devices))/[^/]+/([^/]+)/")
ENERGY = re.compile(
    r"/external-connection/api/([^/]+)/([^/]+)/(set_energy_forecast|set-energy-(?:forecast|measurement))/"
)
"""Simulation, asset, command."""

_BATCH = re.compile(r"/external-connection/aggregator-api/[^/]+/batch-commands/")

_PAGE = re.compile(r"/(?:login|logout|markets|audit|docs|assets/.*)?", re.DOTALL)

LARGEST_BODY = 1 << 20
"""Bytes; a larger body is refused with 413. Ours: a day of one asset's quarter hours is 3 KB."""

LARGEST_BATCH = 16 << 20
"""Bytes of a batch. Ours: ten thousand assets with a day's quarter hours each would be 30 MB, with an hour's 2 MB."""


def asset_in(path: str) -> str | None:
    """The uuid of the asset that the path names."""
    found = _ASSET.match(path)
    return found[1] if found else None


def assets_in(path: str, body: object) -> frozenset[str]:
    """The uuids of all assets that the request names: in its path, or as those of its batch commands."""
    if is_batch(path):
        commands = body.get("batch_commands") if isinstance(body, dict) else None
        return frozenset(commands) if isinstance(commands, dict) else frozenset()
    asset = asset_in(path)
    return frozenset({asset} if asset else ())


def is_own(path: str) -> bool:
    """Whether it is the sandbox's own, a control or a web page, and not the exchange's."""
    return path.startswith(CONTROL) or _PAGE.fullmatch(path) is not None


def is_batch(path: str) -> bool:
    """Whether it takes batch commands."""
    return _BATCH.fullmatch(path) is not None


def largest_body(path: str) -> int:
    """Bytes a request's body may have."""
    return LARGEST_BATCH if is_batch(path) else LARGEST_BODY
