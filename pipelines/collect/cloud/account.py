"""A vendor account as a source: opened for a run, stopped where it must not be asked, polled at a pace it can bear."""

import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from pipelines.collect.cloud.budget import Budget, Limit
from pipelines.collect.cloud.door import open_client
from pipelines.collect.cloud.http import LOGIN_STOP, CloudHttp
from pipelines.collect.cloud.standing import note_account, read_account, stop_account
from pipelines.collect.cloud.vendor import Account, Ask, Session, Vendor
from pipelines.collect.source import NO_ROWS, OF_THE_WHOLE, Answer, Device, Fetch, Wording
from pipelines.community import Cloud
from pipelines.daylight import Place, light_hours
from pipelines.errors import AccountStopped, SlotfeedError
from pipelines.frames import Quality
from pipelines.settings import Secrets, source_password
from pipelines.store import AccountRow, Store

RESERVE = 0.1
"""Share of a month's requests that polling leaves for backfills and for people. Ours."""

LONGEST_PAUSE = timedelta(hours=2)
"""However little of the month's budget is left by day, a poll doesn't wait longer; then the budget runs out. A forecast
is at most two hours old."""

WHOLE_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What opening an account needs from the run."""

    store: Store
    secrets: Secrets
    folder: Path
    """Of the community file: tokens and unreadable answers are kept beside it."""

    place: Place | None
    now: Callable[[], datetime]
    gives_up: datetime | None
    """When a live run's requests must have ended; None: a backfill, which has time."""

    sleep: Callable[[float], None] = time.sleep
    stopping: Callable[[], bool] = lambda: False
    """Whether no request is to be begun."""

    allow_http: Collection[str] = ()
    """Hosts that may be spoken to in clear."""


def limits_of(vendor: Vendor, settings: Cloud) -> tuple[Limit, ...]:
    """The vendor's limits, with what the file says of the account's own plan."""
    return tuple(replace(limit, most=settings.limits.get(limit.name, limit.most)) for limit in vendor.limits)


@contextlib.contextmanager
def open_account(name: str, vendor: Vendor, settings: Cloud, around: Surroundings) -> Iterator[Account]:
    """An account with its client; no request is made.

    Raises:
        ConfigurationError: the secret isn't set, or it would travel in clear, to a host that isn't allowed.
    """
    secret = around.secrets.need(source_password(name), purpose=f"{vendor.secret} of source '{name}'")
    base_url = (settings.url or vendor.url or "").rstrip("/")
    with open_client(base_url, where=f"source '{name}'", allow_http=around.allow_http) as client:
        http = CloudHttp(
            source=name,
            client=client,
            budget=Budget(around.store, name, limits_of(vendor, settings)),
            unreadable=around.folder / ".slotfeed" / "unreadable",
            now=around.now,
            sleep=around.sleep,
            gives_up=around.gives_up,
            stopping=around.stopping,
            hidden=[secret.get_secret_value()],
        )
        yield Account(
            name=name,
            settings=settings,
            secret=secret,
            http=http,
            place=around.place,
            tokens=around.folder / ".slotfeed" / "tokens",
            now=around.now,
        )


@contextlib.contextmanager
def open_cloud(name: str, vendor: Vendor, settings: Cloud, around: Surroundings) -> Iterator["CloudSource"]:
    """An account as a source.

    Raises:
        ConfigurationError: as of `open_account`.
        AccountStopped: it was stopped by a former run, and isn't asked yet.
    """
    known = read_account(around.store, name)
    if known.stopped_until is not None and known.stopped_until > around.now():
        raise AccountStopped(
            f"source '{name}': not asked before {known.stopped_until:%Y-%m-%d %H:%M} UTC, because at "
            f"{known.stopped_at:%Y-%m-%d %H:%M} UTC: {known.reason}. When that is mended, run: "
            f"slotfeed sources resume {name}",
            until=known.stopped_until,
        )
    with open_account(name, vendor, settings, around) as account:
        source = CloudSource(account, vendor, vendor.open(account), around, known=known)
        yield source
        source.plan_next()


class CloudSource:
    """A vendor account behind the contract of `Source`."""

    wording = Wording(
        own_substitutes=True, quality_map={quality.value: quality for quality in Quality} | {"": Quality.MEASURED}
    )

    def __init__(
        self,
        account: Account,
        vendor: Vendor,
        session: Session,
        around: Surroundings,
        *,
        known: AccountRow,
    ) -> None:
        settings = account.settings
        self.name = account.name
        self.longest_window = vendor.longest_window
        self.overlap = vendor.overlap if settings.overlap is None else timedelta(minutes=settings.overlap)
        self.settle = vendor.settle if settings.settle is None else timedelta(minutes=settings.settle)
        self.step: timedelta | None = vendor.step
        self.memory = vendor.memory
        self._vendor, self._session, self._account, self._around = vendor, session, account, around
        self._next_poll_at, self._polled_at = known.next_poll_at, known.polled_at
        self._live = around.gives_up is not None
        self._registers: set[str] = set()
        self._asked = False

    @property
    def ahead_s(self) -> float:
        """By how many seconds the vendor's clock is ahead of ours."""
        return self._account.http.ahead_s

    def devices(self) -> list[Device]:
        """What the account can read; as of `Source`."""
        with self._stopping():
            return self._session.devices()

    def read(self, streams: pl.DataFrame, fetch: Fetch) -> Answer:
        """All rows of a window; as of `Source`."""
        wanted = streams.group_by("meter", maintain_order=True).agg(pl.col("wanted").unique())
        channels = {meter: frozenset(registers) for meter, registers in wanted.iter_rows()}
        self._registers |= set(streams["wanted"])
        in_the_dark = self._is_dark_since_the_last_poll(fetch)
        early = not in_the_dark and self._is_early(fetch)
        if early and not self._by_day:
            return Answer(rows=NO_ROWS, waits=self._pause(), holds=True)
        quiet = early or in_the_dark
        ask = Ask(channels=channels, start=fetch.start, end=fetch.end, newest=fetch.open_end, quiet=quiet)
        with self._stopping():
            answer = self._session.read(ask)
        for error in answer.failed.values():
            if isinstance(error, OF_THE_WHOLE):
                self._stop(error)
                break
        self._asked |= not quiet
        return Answer(
            rows=answer.rows,
            failed=answer.failed,
            unknown=answer.unknown,
            waits=self._pause() if early else answer.waits,
            holds=early or answer.holds,
        )

    def plan_next(self) -> None:
        """Remember that the account was asked, and where its requests are spread, when it is to be asked again."""
        if not self._asked:
            return
        now = self._around.now()
        changes = {"polled_at": now, "next_poll_at": now + self._pace(now) if self._monthly else None}
        note_account(self._around.store, self.name, **changes)

    @property
    def _monthly(self) -> bool:
        return any(limit.per is None for limit in self._vendor.limits)

    @property
    def _by_day(self) -> bool:
        """All that is read of the account counts by daylight only."""
        return bool(self._registers) and self._registers <= self._vendor.by_day

    def _is_early(self, fetch: Fetch) -> bool:
        """The account's requests are spread, and it isn't time yet."""
        if not self._live or self._next_poll_at is None:
            return False
        return fetch.received_at < self._next_poll_at - timedelta(minutes=1)

    def _is_dark_since_the_last_poll(self, fetch: Fetch) -> bool:
        """All that is read counts by daylight, and of the last there was everything is known."""
        if not self._live or not self._by_day or self._polled_at is None:
            return False
        since = max(self._polled_at - self.settle, fetch.received_at - WHOLE_DAY)
        return light_hours(self._account.place, since, fetch.received_at) == 0

    def _pause(self) -> str:
        when = f"{self._next_poll_at:%H:%M} UTC" if self._next_poll_at else "later"
        return (
            f"its monthly budget is spread: asked again from {when} on, by daylight"
            if self._by_day
            else f"its monthly budget is spread: asked again from {when} on"
        )

    def _pace(self, now: datetime) -> timedelta:
        """How long to wait so that the month's requests last, at as many a poll as this one took."""
        standing = next(s for s in self._account.http.budget.standings(now) if s.limit.per is None)
        ends = standing.limit.frees(standing.limit.bucket(now))
        place = self._account.place if self._by_day else None
        hours = light_hours(place, now, ends)
        polls = (standing.left - RESERVE * standing.limit.most) / max(self._account.http.requests, 1)
        if polls <= 0:
            return LONGEST_PAUSE
        # Nothing new is there before a further step has passed.
        return max(min(timedelta(hours=hours / polls), LONGEST_PAUSE), self._vendor.step)

    @contextlib.contextmanager
    def _stopping(self) -> Iterator[None]:
        try:
            yield
        except OF_THE_WHOLE as error:
            self._stop(error)
            raise

    def _stop(self, error: SlotfeedError) -> None:
        """Remember what stops the account."""
        now = self._around.now()
        until = now + LOGIN_STOP
        if isinstance(error, AccountStopped):
            until = now + WHOLE_DAY if error.until is None else error.until
        reason = str(error).removeprefix(f"source '{self.name}', ").rstrip(".")
        stop_account(self._around.store, self.name, now=now, until=until, reason=reason)
