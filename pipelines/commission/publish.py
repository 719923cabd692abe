"""Certificates as files: each asset's newest one, made anew from the store."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from pipelines.commission.certificate import digest_of, rows_of
from pipelines.commission.evidence import read_evidence
from pipelines.commission.keeping import certificate_rows, status_of
from pipelines.commission.page import earlier_ones, page_name, render_page
from pipelines.community import Asset
from pipelines.report.rendering import write_whole
from pipelines.store import Store

FOLDER = "certificates"
"""Inside the folder of the daily run's pages."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A page that was written."""

    asset: Asset
    path: Path


def write_certificates(store: Store, assets: Iterable[Asset], folder: Path) -> list[Written]:
    """Write the newest certificate of each of these assets that has one.

    Args:
        store: read only.
        assets: whose.
        folder: made where it is missing.

    Raises:
        TerminalError: a file can't be written.
    """
    written = []
    with store.reading() as connection:
        for asset in assets:
            content = page_content(connection, asset.asset_id)
            if content is None:
                continue
            path = folder / page_name(asset.name, asset.asset_id)
            write_whole(render_page(content), path, community=f"asset '{asset.name}'")
            written.append(Written(asset=asset, path=path))
    return written


def page_content(connection: Connection, asset_id: str) -> dict[str, Any] | None:
    """What the page of an asset's newest certificate is made of; None: it has none."""
    rows = certificate_rows(connection, asset_id)
    if not rows:
        return None
    newest = rows[0]
    compared = compared_rows(connection, asset_id, newest.period_start, newest.period_end)
    return {
        "document": newest.document,
        "status": status_of(newest),
        "earlier": earlier_ones(rows, newest.number),
        "rows": compared,
        "unchanged": digest_of(asset_id, compared) == newest.digest,
    }


def compared_rows(connection: Connection, asset_id: str, start: datetime, end: datetime) -> list[list[Any]]:
    """The rows of a period as the store has them now, in the form that is hashed."""
    return rows_of(read_evidence(connection, [asset_id], since=start, now=end).compared)
