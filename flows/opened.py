"""A community file and its store, for commands that only look."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pipelines.check import read_community
from pipelines.community import Community
from pipelines.settings import Secrets
from pipelines.store import Store
from pipelines.store.own import open_own_store

_OPENED: list[Store] = []


@contextlib.contextmanager
def closing_stores() -> Iterator[None]:
    """Around a command: closes what it has opened here."""
    try:
        yield
    finally:
        while _OPENED:
            _OPENED.pop().close()


def open_community(path: Path) -> tuple[Community, Store]:
    """Read the file and open the database it names, for as long as the command runs.

    Raises:
        ConfigurationError: faults in the file.
        StoreError: the database can't be used.
    """
    community = read_community(path)
    folder = path.resolve().parent
    return community, opened_store(community, folder, Secrets(folder))


def opened_store(community: Community, folder: Path, secrets: Secrets) -> Store:
    """The community's database, open until the command that asks for it ends.

    Raises:
        StoreError: it can't be used.
    """
    store = open_own_store(community, folder, secrets)
    _OPENED.append(store)
    return store
