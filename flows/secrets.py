"""Secrets from Prefect Secret blocks, for deployed runs whose environment doesn't hold them.

The block of SLOTFEED_EXCHANGE_PASSWORD is called `slotfeed-exchange-password`: block names take no underscores.
"""

import contextlib
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path

from prefect.blocks.system import Secret

from pipelines.settings import Secrets


def block_name(variable: str) -> str:
    """Name of the block that stands for an environment variable."""
    return variable.lower().replace("_", "-")


_REMEMBERED: ContextVar[dict[str, str | None] | None] = ContextVar("remembered", default=None)


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Inside, each block is asked for once: a fleet's communities share most of their secrets."""
    token = _REMEMBERED.set({})
    try:
        yield
    finally:
        _REMEMBERED.reset(token)


async def secret_blocks(variables: Iterable[str], folder: Path) -> dict[str, str]:
    """Values of those variables that neither the environment nor `.env` sets and a block does.

    Raises:
        ConfigurationError: `.env` can be read by others, or is another user's.
    """
    here = Secrets(folder)
    found = {}
    for variable in variables:
        if here.find((variable,)) is not None:
            continue
        value = await _block(variable)
        if value is not None:
            found[variable] = value
    return found


async def _block(variable: str) -> str | None:
    known = _REMEMBERED.get()
    if known is not None and variable in known:
        return known[variable]
    try:
        block: Secret[str] = await Secret.aload(block_name(variable))
        value = str(block.get())
    except ValueError:
        value = None
    if known is not None:
        known[variable] = value
    return value
