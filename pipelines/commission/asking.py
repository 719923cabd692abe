"""Which sources a walk knocks at: what a knock costs counts against the vendor's budget, and a walk comes each hour."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select

from pipelines.commission.evidence import streams_told
from pipelines.commission.keeping import CERTIFICATE
from pipelines.commission.names import SILENT
from pipelines.community import Asset
from pipelines.store import Store


def sources_to_ask(store: Store, assets: Iterable[Asset], *, now: datetime) -> frozenset[str]:
    """Sources that told nothing for `SILENT` to one of their assets that isn't proven.

    Args:
        store: read only.
        assets: that are walked.
        now: the run's logical time.
    """
    with store.reading() as connection:
        told = streams_told(connection)
        proven = set(
            connection.execute(select(CERTIFICATE.c.asset_id).where(CERTIFICATE.c.ended_at.is_(None))).scalars()
        )
    lately = {stream_id for stream_id, one in told.items() if now - one.updated_at <= SILENT}
    return frozenset(
        stream.source
        for asset in assets
        if asset.asset_id not in proven
        for stream in asset.streams
        if stream.stream_id not in lately
    )
