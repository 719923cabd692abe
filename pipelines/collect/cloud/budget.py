"""How many requests an account may still make: counted in slotfeed's database, so that runs and workers share it.

A request is counted before it leaves, so a crash never makes the count too low. Counts are kept in buckets, a twentieth
of the limit's span wide; a bucket counts until the whole of it has left the span, so the count is never too low
either.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, func, select
from sqlmodel import col

from pipelines.store import QuotaRow, Store, upsert_rows

BUCKETS = 20
MONTH = "month"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """So many requests in any span of a length, or in a calendar month."""

    name: str
    """As the source's `limits` and `slotfeed sources quota` call it."""

    most: int
    per: timedelta | None
    """None: a calendar month, UTC."""

    says: str
    """What is limited, and whether the vendor says so or the figure is ours."""

    every: bool = True
    """Every request counts; else only those that name the limit."""

    def begins(self, now: datetime) -> datetime:
        """From where on requests count."""
        if self.per is None:
            return now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return now - self.per

    def bucket(self, now: datetime) -> datetime:
        """The bucket a request of now counts in."""
        width = timedelta(days=1) if self.per is None else self.per / BUCKETS
        return EPOCH + (now - EPOCH) // width * width

    def frees(self, bucket: datetime) -> datetime:
        """When a bucket no longer counts."""
        if self.per is None:
            first = bucket.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            return (first + timedelta(days=32)).replace(day=1)
        return bucket + self.per / BUCKETS + self.per


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How much of a limit is used."""

    limit: Limit
    used: int
    frees: datetime | None
    """When the oldest of these requests no longer counts; None where none is used."""

    @property
    def left(self) -> int:
        """Requests that may still be made now."""
        return max(self.limit.most - self.used, 0)


@dataclass
class Budget:
    """The limits of one account."""

    store: Store
    account: str
    limits: tuple[Limit, ...]
    _by_name: dict[str, Limit] = field(init=False)

    def __post_init__(self) -> None:
        """Take the limits as they are declared."""
        self._by_name = {limit.name: limit for limit in self.limits}

    def allow(self, name: str, most: int) -> None:
        """Set how much a limit allows where that depends on what the account has."""
        self._by_name[name] = replace(self._by_name[name], most=most)

    def spend(self, costs: Mapping[str, int], now: datetime) -> datetime | None:
        """Count a request, if there is room for it.

        Args:
            costs: limit -> what the request counts there, beside one for each limit that every request counts for.
            now: aware.

        Returns:
            None where it was counted and may leave; else when there will be room, and nothing was counted.

        Raises:
            StoreError: slotfeed's database failed; the request must not leave.
        """
        all_costs = {limit.name: 1 for limit in self._by_name.values() if limit.every} | dict(costs)
        if not all_costs:
            return None
        with self.store.writing() as connection:
            self._take_turn(connection)
            full = [
                freed
                for name, cost in all_costs.items()
                if (freed := self._room_at(connection, self._by_name[name], cost, now)) is not None
            ]
            if full:
                return max(full)
            for name, cost in all_costs.items():
                self._count(connection, self._by_name[name], cost, now)
        return None

    def standings(self, now: datetime) -> list[Standing]:
        """How much of each limit is used."""
        with self.store.reading() as connection:
            return [self._standing(connection, limit, now) for limit in self._by_name.values()]

    def _take_turn(self, connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(zlib.crc32(f"budget {self.account}".encode()))))

    def _room_at(self, connection: Connection, limit: Limit, cost: int, now: datetime) -> datetime | None:
        """When `cost` more requests fit; None: now."""
        used = self._used(connection, limit, now)
        excess = sum(used.values()) + cost - limit.most
        if excess <= 0:
            return None
        for bucket, count in sorted(used.items()):
            excess -= count
            if excess <= 0:
                return limit.frees(bucket)
        # More at once than the limit ever allows.
        return limit.frees(limit.bucket(now))

    def _used(self, connection: Connection, limit: Limit, now: datetime) -> dict[datetime, int]:
        row = QuotaRow
        query = select(col(row.bucket), col(row.used)).where(
            col(row.account) == self.account, col(row.name) == limit.name
        )
        return {bucket: used for bucket, used in connection.execute(query) if limit.frees(bucket) > now}

    def _standing(self, connection: Connection, limit: Limit, now: datetime) -> Standing:
        used = self._used(connection, limit, now)
        return Standing(limit=limit, used=sum(used.values()), frees=limit.frees(min(used)) if used else None)

    def _count(self, connection: Connection, limit: Limit, cost: int, now: datetime) -> None:
        row, bucket = QuotaRow, limit.bucket(now)
        same = (col(row.account) == self.account, col(row.name) == limit.name)
        before = connection.execute(select(col(row.used)).where(*same, col(row.bucket) == bucket)).scalar_one_or_none()
        if before is None:
            # A new bucket: a good moment to forget those that count no more.
            old = connection.execute(select(col(row.bucket)).where(*same)).scalars()
            gone = [each for each in old if limit.frees(each) <= now]
            if gone:
                connection.execute(delete(row).where(*same, col(row.bucket).in_(gone)))
        counted = {"account": self.account, "name": limit.name, "bucket": bucket, "used": (before or 0) + cost}
        upsert_rows(connection, QuotaRow, [counted])
