"""Who may do what at the local exchange."""

from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """Roles of the Canary Test Network."""

    ADMIN = "admin"
    """Runs the exchange: everything."""

    OWNER = "owner"
    """Runs the community (CTN owner, LEM manager): sees and posts for every asset, invites, approves, switches."""

    USER = "user"
    """Owns assets (GSy user): sees what is theirs, asks for its live connection."""

    AGGREGATOR = "aggregator"
    """Posts for the assets whose connection was approved."""

    GRID_OPERATOR = "grid_operator"
    """Reads the statistics and sets the fees of the markets it was given; nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Whoever holds a valid token, and what is theirs."""

    username: str
    role: Role
    subjects: frozenset[str] = field(default=frozenset())
    """uuids of the assets or markets that were approved for them."""

    @property
    def manages(self) -> bool:
        """Runs the exchange or the community."""
        return self.role in {Role.ADMIN, Role.OWNER}

    def may_post(self, asset: str) -> bool:
        """For the asset's energies and trading."""
        return self.manages or (self.role is Role.AGGREGATOR and asset in self.subjects)

    def may_see(self, asset: str) -> bool:
        """The asset's energies."""
        return self.manages or (self.role in {Role.AGGREGATOR, Role.USER} and asset in self.subjects)

    def may_operate(self, market: str) -> bool:
        """The market's fees and statistics."""
        return self.manages or (self.role is Role.GRID_OPERATOR and market in self.subjects)
