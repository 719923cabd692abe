"""slotfeed's own database, as a community file names it."""

from pathlib import Path

from pipelines.community import Community, resolve_sqlite_path
from pipelines.settings import DATABASE_PASSWORD, Secrets, database_url
from pipelines.store.aged import aged_folder, with_aged
from pipelines.store.engine import Store, open_store


def open_own_store(community: Community, folder: Path, secrets: Secrets) -> Store:
    """Open it; a relative SQLite path starts in `folder`, where the community file is.

    Raises:
        ConfigurationError: no database URL.
        StoreError: it can't be reached or used.
    """
    url = resolve_sqlite_path(community.database, folder)
    store = open_store(database_url(url, DATABASE_PASSWORD, secrets, where="database"))
    return with_aged(store, aged_folder(community, folder))
