"""Secrets from Prefect Secret blocks, for deployed runs whose environment doesn't hold them.

The block of SLOTFEED_EXCHANGE_PASSWORD is called `slotfeed-exchange-password`: block names take no underscores.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from dotenv import dotenv_values
from prefect.blocks.system import Secret


def block_name(variable: str) -> str:
    """Name of the block that stands for an environment variable."""
    return variable.lower().replace("_", "-")


async def secret_blocks(variables: Iterable[str], folder: Path) -> dict[str, str]:
    """Values of those variables that neither the environment nor `.env` sets and a block does."""
    here = {**dotenv_values(folder / ".env"), **os.environ}
    found = {}
    for variable in variables:
        if here.get(variable):
            continue
        try:
            block: Secret[str] = await Secret.aload(block_name(variable))
        except ValueError:
            continue
        found[variable] = str(block.get())
    return found
