"""Hashes of passwords: argon2id, with the least parameters that OWASP's Password Storage Cheat Sheet allows."""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

SHORTEST = 12
"""Characters of a password that a user chooses; ours."""

LONGEST = 200
"""Ours."""

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def hashed(password: str) -> str:
    """The hash to keep. Takes tens of milliseconds."""
    return _HASHER.hash(_octets(password))


def fits(password_hash: str, password: str) -> bool:
    """Whether the hash is the password's. Takes as long as hashing does."""
    try:
        return _HASHER.verify(password_hash, _octets(password))
    except VerifyMismatchError:
        return False


async def hashed_aside(password: str) -> str:
    """`hashed` in a thread, so that the exchange answers others meanwhile."""
    return await asyncio.to_thread(hashed, password)


async def fits_aside(password_hash: str, password: str) -> bool:
    """`fits` in a thread."""
    return await asyncio.to_thread(fits, password_hash, password)


def _octets(password: str) -> bytes:
    # A body may hold lone surrogates, which plain UTF-8 can't.
    return password.encode("utf-8", "surrogatepass")
