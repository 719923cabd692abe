"""How many requests an account may still make: counted in slotfeed's database, so that runs and workers share it.

A request is counted before it leaves, so a crash never makes the count too low. Counts are kept in buckets, a twentieth
of the limit's span wide; a bucket counts until the whole of it has left the span, so the count is never too low
either.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

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
            used = self._used(connection, now)
            full = [
                room_at
                for name, cost in all_costs.items()
                if (room_at := self._room_at(self._by_name[name], used[name], cost, now)) is not None
            ]
            if full:
                return max(full)
            rows: list[dict[str, Any]] = []
            for name, cost in all_costs.items():
                bucket = self._by_name[name].bucket(now)
                rows.append(
                    {
                        "account": self.account,
                        "name": name,
                        "bucket": bucket,
                        "used": used[name].get(bucket, 0) + cost,
                    }
                )
            # A new bucket is a good moment to forget those that count no more.
            if any(row["bucket"] not in used[row["name"]] for row in rows):
                self._forget(connection, used)
            upsert_rows(connection, QuotaRow, rows)
        return None

    def standings(self, now: datetime) -> list[Standing]:
        """How much of each limit is used."""
        with self.store.reading() as connection:
            used = self._used(connection, now)
        return [
            Standing(
                limit=limit,
                used=sum(used[name].values()),
                frees=limit.frees(min(used[name])) if used[name] else None,
            )
            for name, limit in self._by_name.items()
        ]

    def _take_turn(self, connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(zlib.crc32(f"budget {self.account}".encode()))))

    def _room_at(self, limit: Limit, used: Mapping[datetime, int], cost: int, now: datetime) -> datetime | None:
        """When `cost` more requests fit; None: now."""
        excess = sum(used.values()) + cost - limit.most
        if excess <= 0:
            return None
        for bucket, count in sorted(used.items()):
            excess -= count
            if excess <= 0:
                return limit.frees(bucket)
        # More at once than the limit ever allows.
        return limit.frees(limit.bucket(now))

    def _used(self, connection: Connection, now: datetime) -> dict[str, dict[datetime, int]]:
        """Limit -> bucket -> requests, of buckets that still count."""
        row = QuotaRow
        query = select(col(row.name), col(row.bucket), col(row.used)).where(col(row.account) == self.account)
        used: dict[str, dict[datetime, int]] = {name: {} for name in self._by_name}
        for name, bucket, count in connection.execute(query):
            limit = self._by_name.get(name)
            if limit is not None and limit.frees(bucket) > now:
                used[name][bucket] = count
        return used

    def _forget(self, connection: Connection, used: Mapping[str, Mapping[datetime, int]]) -> None:
        """Drop the buckets that aren't among those that still count."""
        row = QuotaRow
        for name, counting in used.items():
            of_limit = (col(row.account) == self.account, col(row.name) == name)
            connection.execute(delete(row).where(*of_limit, col(row.bucket).not_in(list(counting))))
