"""Secrets from Prefect Secret blocks, for deployed runs whose environment doesn't hold them.

The block of SLOTFEED_EXCHANGE_PASSWORD is called `slotfeed-exchange-password`: block names take no underscores.
"""

from collections.abc import Iterable
from pathlib import Path

from prefect.blocks.system import Secret

from pipelines.settings import Secrets


def block_name(variable: str) -> str:
    """Name of the block that stands for an environment variable."""
    return variable.lower().replace("_", "-")


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
        try:
            block: Secret[str] = await Secret.aload(block_name(variable))
        except ValueError:
            continue
        found[variable] = str(block.get())
    return found
