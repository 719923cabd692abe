"""Secrets: from the environment, a `.env` file that only its owner can read, or a store handed in.

Names (NAME is the source's in capitals):

    SLOTFEED_EXCHANGE_USERNAME, SLOTFEED_EXCHANGE_PASSWORD   or GSy's own API_CLIENT_USERNAME, API_CLIENT_PASSWORD
    SLOTFEED_DATABASE_PASSWORD                               of slotfeed's database, where its URL names a user
    SLOTFEED_SOURCE_<NAME>_PASSWORD                          of a source: its database's, where the URL names a user;
                                                             its vendor account's password, key or token
    SLOTFEED_DEAD_MANS_SWITCH_URL                            asked after each watch; whoever knows it can keep it quiet
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from pipelines.errors import ConfigurationError, Issue
from pipelines.private import not_private

EXCHANGE_USERNAME = ("SLOTFEED_EXCHANGE_USERNAME", "API_CLIENT_USERNAME")
EXCHANGE_PASSWORD = ("SLOTFEED_EXCHANGE_PASSWORD", "API_CLIENT_PASSWORD")
DATABASE_PASSWORD = ("SLOTFEED_DATABASE_PASSWORD",)
DEAD_MANS_SWITCH = ("SLOTFEED_DEAD_MANS_SWITCH_URL",)


def source_password(source: str) -> tuple[str, ...]:
    """Name of the secret that opens the source."""
    return (f"SLOTFEED_SOURCE_{source.upper()}_PASSWORD",)


@dataclass(frozen=True)
class Secrets:
    """Looks secrets up and says where it looked when it finds none."""

    folder: Path
    """Where `.env` may stand: beside the community file."""

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    elsewhere: Callable[[str], str | None] | None = field(default=None, repr=False)
    """A further store, asked last: Prefect Secret blocks in a deployed run."""

    def find(self, names: tuple[str, ...]) -> SecretStr | None:
        """The first of `names` that is set, or None.

        Raises:
            ConfigurationError: `.env` can be read by others, or is another user's.
        """
        for store in (self.environment.get, self._dotenv().get, self.elsewhere or (lambda _: None)):
            for name in names:
                if value := store(name):
                    return SecretStr(value)
        return None

    def need(self, names: tuple[str, ...], *, purpose: str) -> SecretStr:
        """Like `find`, but none is an error.

        Raises:
            ConfigurationError: names every place that was looked in.
        """
        if (secret := self.find(names)) is not None:
            return secret
        places = ["the environment", str(self.folder / ".env")]
        if self.elsewhere:
            places.append("the Prefect Secret blocks")
        raise ConfigurationError(
            [
                Issue(
                    where="secrets",
                    field=names[0],
                    problem=f"{purpose} is not set; looked in {', '.join(places)}",
                    remedy=f"Set {' or '.join(names)} in one of them",
                )
            ]
        )

    def _dotenv(self) -> Mapping[str, str | None]:
        path = self.folder / ".env"
        try:
            trouble = not_private(path)
        except FileNotFoundError:
            return {}
        if trouble:
            problem, _, remedy = trouble.partition(". ")
            raise ConfigurationError([Issue(where=str(path), field="", problem=problem, remedy=remedy)])
        # As written: a password may well hold a ${ that is no variable.
        return dotenv_values(path, interpolate=False)


def database_url(url: str, password_names: tuple[str, ...], secrets: Secrets, *, where: str) -> URL:
    """The URL with its password filled in where it names a user and the secret is set.

    Raises:
        ConfigurationError: not a database URL.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        raise ConfigurationError(
            [
                Issue(
                    where=where,
                    field="url",
                    problem="this is no database URL",
                    remedy="Write one like postgresql+psycopg://reader@db.example/meters or sqlite:///meters.sqlite",
                )
            ]
        ) from None  # the cause may quote the URL, and with it a password
    if parsed.username and (password := secrets.find(password_names)):
        parsed = parsed.set(password=password.get_secret_value())
    return parsed
