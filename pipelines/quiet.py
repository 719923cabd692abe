"""Loggers for libraries that write secrets into their debug log."""

import logging


def without_debug(name: str) -> logging.Logger:
    """A logger that never tells DEBUG.

    It stands in no registry and is out of reach of whoever configures logging later, for that resets levels. What it
    tells goes on to the logger above it, by its name.
    """
    logger = logging.Logger(name, level=logging.INFO)  # noqa: LOG001 - not in the registry, for the reason above
    logger.parent = logging.getLogger(name.rpartition(".")[0])
    return logger
