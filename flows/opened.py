"""A community file and its store, for commands that only look."""

import atexit
from pathlib import Path

from pipelines.check import read_community
from pipelines.community import Community
from pipelines.settings import Secrets
from pipelines.store import Store
from pipelines.store.own import open_own_store


def open_community(path: Path) -> tuple[Community, Store]:
    """Read the file and open the database it names, for as long as the command runs.

    Raises:
        ConfigurationError: faults in the file.
        StoreError: the database can't be used.
    """
    community = read_community(path)
    folder = path.resolve().parent
    store = open_own_store(community, folder, Secrets(folder))
    atexit.register(store.close)
    return community, store
