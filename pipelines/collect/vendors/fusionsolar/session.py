"""What is asked of a FusionSolar account, and when."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import chain
from math import ceil

from pipelines.collect.cloud.budget import Standing
from pipelines.collect.cloud.vendor import Account, Ask
from pipelines.collect.source import Answer, Device
from pipelines.collect.vendors.fusionsolar.memory import Memory
from pipelines.collect.vendors.fusionsolar.points import (
    ITEMS,
    TYPES,
    Points,
    parse_devices,
    parse_plants,
    parse_points,
    stack_rows,
)
from pipelines.collect.vendors.fusionsolar.wire import Wire
from pipelines.errors import AccountStopped, SlotfeedError, SourceError, SourceUnavailable

STEP = timedelta(minutes=15)
LONGEST = timedelta(days=3)
REAL_MOST, HISTORY_MOST, PLANTS_MOST, HISTORY_EXTRA = 100, 10, 100, 24
DAY, FIVE_MINUTES = timedelta(days=1), timedelta(minutes=5)
LIVE_SHARE = 0.8
"""Of the day's history requests: live runs spread so many over it and leave the others to backfills. Ours."""

RELIST = timedelta(hours=2)
"""A device that isn't in the kept list is looked for no more often. Ours."""

SHOWN = 12
"""Devices that a message names. Ours."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Group = tuple[int, tuple[str, ...]]
"""devTypeId and the devices of one request."""


class FusionSolarSession:
    """An account's devices."""

    def __init__(self, account: Account) -> None:
        self._http, self._now, self._wire = account.http, account.now, Wire(account)
        self._planned = account.settings.limits
        self._file = account.tokens.parent / "fusionsolar" / f"{account.name}.json"
        self._memory = Memory.read(self._file, owner=f"{account.settings.username} {account.settings.url}")
        self._read: list[tuple[datetime, frozenset[str], Points]] = []

    def devices(self) -> list[Device]:
        """Every device of every plant; types that aren't read have no registers."""
        self._list()
        return [
            Device(device=device, registers=tuple(ITEMS.get(kind, ())), name=name)
            for device, (kind, name) in self._memory.devices.items()
        ]

    def read(self, ask: Ask) -> Answer:
        """Registers as they are now in the newest window, and histories as far as the day allows."""
        failed, known = self._admit(ask)
        self._allow()
        waits = ""
        points: list[Points] = []
        if ask.newest:
            present, errors = self._present(known)
            points += present
            failed |= errors
            missing = known.keys() - errors.keys() - frozenset().union(*(own.devices for own in present))
            for device in sorted(missing):
                failed[device] = self._error(device, ask, "the vendor tells nothing of it; is it still the account's?")
        if self._http.gives_up is None:
            groups = _groups(known, HISTORY_MOST)
            told, refused = self._http.each(groups, lambda group: self._history(group, ask), concurrency=1)
        elif ask.newest:
            told, refused = self._refresh(known, ask)
        else:
            told, refused, waits = self._repair(known, ask)
        points += told.values()
        failed |= _of_devices(refused)
        for (device, register), reason in chain.from_iterable(own.wrong.items() for own in points):
            if register in ask.channels.get(device, ()):
                failed[device] = self._error(device, ask, reason)
        return Answer(
            rows=stack_rows([own.frame for own in points]),
            failed=failed,
            unknown=sum((own.unknown for own in points), Counter()),
            waits=waits,
            holds=bool(waits),
        )

    def _admit(self, ask: Ask) -> tuple[dict[str, SlotfeedError], dict[str, int]]:
        """Devices that can't be read, and the devTypeId of those that can."""
        aged = self._now().timestamp() - self._memory.listed_at_s
        if aged > DAY.total_seconds() or (
            aged > RELIST.total_seconds() and not ask.channels.keys() <= self._memory.devices.keys()
        ):
            self._list()
        failed: dict[str, SlotfeedError] = {}
        known: dict[str, int] = {}
        for device, wanted in ask.channels.items():
            kind, name = self._memory.devices.get(device, (0, ""))
            registers = ITEMS.get(kind, {})
            if not name and not kind:
                has = _named(own for own, (kind, _) in self._memory.devices.items() if kind in ITEMS)
                failed[device] = self._error(
                    device, ask, f"the account has no such device. Correct the stream's `device`; it has: {has}"
                )
            elif missing := wanted - registers.keys():
                failed[device] = self._error(
                    device,
                    ask,
                    f"{name} has no register '{', '.join(sorted(missing))}'. "
                    f"Correct the stream's `register`; it has: {', '.join(registers) or 'none'}",
                )
            else:
                known[device] = kind
        return failed, known

    def _allow(self) -> None:
        """Set the limits that the vendor makes from the number of devices."""
        kinds = Counter(kind for kind, _ in self._memory.devices.values())
        read = sum(number for kind, number in kinds.items() if kind in ITEMS)
        limits = {
            "real_kpi": max(sum(ceil(n / REAL_MOST) for kind, n in kinds.items() if kind in ITEMS), 1),
            "history": ceil(read / HISTORY_MOST) + HISTORY_EXTRA,
        }
        for name, most in limits.items():
            if name not in self._planned:
                self._http.budget.allow(name, most)

    def _present(self, known: Mapping[str, int]) -> tuple[list[Points], dict[str, SlotfeedError]]:
        """The registers as they are now. A run asks for a device once, however many of its windows end now."""
        self._read = [each for each in self._read if self._now() - each[0] < FIVE_MINUTES]
        have = frozenset().union(*(devices for _, devices, _ in self._read))
        wanted = {device: kind for device, kind in known.items() if device not in have}
        # Others of the same type cost nothing in the same request, and the run's next window may want them: the limit
        # leaves no second request for them.
        others = {
            device: kind
            for device, (kind, _) in self._memory.devices.items()
            if device not in have and device not in wanted
        }
        groups = []
        for kind, own in _groups(wanted, REAL_MOST):
            beside = tuple(device for device, its in others.items() if its == kind)
            groups.append((kind, (own + beside)[:REAL_MOST]))
        told, failed = self._http.each(groups, self._snapshot)
        self._read += [(self._now(), frozenset(devices), points) for (_, devices), points in told.items()]
        errors = {device: error for device, error in _of_devices(failed).items() if device in known}
        return [points for *_, points in self._read], errors

    def _snapshot(self, group: Group) -> Points:
        kind, devices = group
        what = f"present readings of {_called(group)}"
        body = {"devIds": ",".join(devices), "devTypeId": kind}
        answer = self._wire.post("/getDevRealKpi", what=what, body=body, costs={"real_kpi": 1})
        params = answer.get("params")
        at_ms = params.get("currentTime") if isinstance(params, dict) else None
        try:
            # Without a clock there is no stamp; where no device is told of, none is needed.
            return parse_points(answer.get("data"), kind, at_ms=at_ms if type(at_ms) is int else -1)
        except ValueError as error:
            raise self._http.strange(what, str(error), answer) from None

    def _history(self, group: Group, ask: Ask) -> Points:
        kind, devices = group
        what = f"history of {_called(group)}, {_span(ask)}"
        standing = self._standing("history")
        if not standing.left:
            # Raised here, so that an account whose day's histories are spent still tells its present readings.
            raise SourceUnavailable(
                f"source '{self._http.source}', {what}: the day's {standing.limit.most} requests of history are spent; "
                f"more from {standing.frees:%Y-%m-%d %H:%M} UTC on"
            )
        body = {
            "devIds": ",".join(devices),
            "devTypeId": kind,
            "startTime": _ms(ask.start),
            "endTime": _ms(min(ask.end, ask.start + LONGEST)),
        }
        costs = {"history": 1, "history_minute": 1}
        answer = self._wire.post("/getDevHistoryKpi", what=what, body=body, costs=costs)
        try:
            return parse_points(answer.get("data"), kind)
        except ValueError as error:
            raise self._http.strange(what, str(error), answer) from None

    def _refresh(self, known: Mapping[str, int], ask: Ask) -> tuple[dict[Group, Points], dict[Group, SlotfeedError]]:
        """In a live run, the last hours of the ten devices of a type that have waited longest, if it is time."""
        groups = _groups(self._oldest(known), HISTORY_MOST)[:1]
        if not groups or not self._standing("history_minute").left or not self._has_share(urgent=False):
            return {}, {}
        self._note_asked(groups[0])
        try:
            return {groups[0]: self._history(groups[0], ask)}, {}
        except (AccountStopped, SourceUnavailable, SourceError) as error:
            # The histories' limits are their own: the account isn't stopped, and what was read just now is kept.
            return {}, {groups[0]: error}

    def _repair(
        self, known: Mapping[str, int], ask: Ask
    ) -> tuple[dict[Group, Points], dict[Group, SlotfeedError], str]:
        """In a live run, what a past window lacks. What can't be asked yet waits, and holds up nothing else."""
        told: dict[Group, Points] = {}
        failed: dict[Group, SlotfeedError] = {}
        for group in _groups(self._oldest(known), HISTORY_MOST):
            if not self._has_share(urgent=True):
                return told, failed, "requests of history are spread over the day"
            self._note_asked(group)
            try:
                told[group] = self._history(group, ask)
            except (AccountStopped, SourceUnavailable) as error:
                return told, failed, str(error)
            except SourceError as error:
                failed[group] = error
        return told, failed, ""

    def _oldest(self, known: Mapping[str, int]) -> dict[str, int]:
        """The devices, longest without history first."""
        return dict(sorted(known.items(), key=lambda own: self._memory.history_at_s.get(own[0], 0.0)))

    def _note_asked(self, group: Group) -> None:
        self._memory.history_at_s |= dict.fromkeys(group[1], self._now().timestamp())
        self._keep()

    def _has_share(self, *, urgent: bool) -> bool:
        """Whether a live run may ask for history: evenly over the day; for holes, at once while half of it is left."""
        standing = self._standing("history")
        if urgent and standing.left > standing.limit.most / 2:
            return True
        pause_s = DAY.total_seconds() / (LIVE_SHARE * standing.limit.most)
        last_s = max(self._memory.history_at_s.values(), default=0.0)
        return standing.left > 0 and self._now().timestamp() - last_s >= pause_s

    def _standing(self, name: str) -> Standing:
        return next(each for each in self._http.budget.standings(self._now()) if each.limit.name == name)

    def _list(self) -> None:
        """Ask for all plants and their devices, and keep the list."""
        plants, page, pages = [], 1, 1
        while page <= pages:
            what = f"list of plants, page {page}"
            answer = self._wire.post("/stations", what=what, body={"pageNo": page}, costs={"stations": 1})
            try:
                more, pages = parse_plants(answer.get("data"))
            except ValueError as error:
                raise self._http.strange(what, str(error), answer) from None
            plants += more
            page += 1
        devices: dict[str, tuple[int, str]] = {}
        for first in range(0, len(plants), PLANTS_MOST):
            body = {"stationCodes": ",".join(plants[first : first + PLANTS_MOST])}
            answer = self._wire.post("/getDevList", what="list of devices", body=body, costs={"device_list": 1})
            try:
                devices |= parse_devices(answer.get("data"))
            except ValueError as error:
                raise self._http.strange("list of devices", str(error), answer) from None
        self._memory.devices, self._memory.listed_at_s = devices, self._now().timestamp()
        self._keep()

    def _keep(self) -> None:
        try:
            self._memory.keep(self._file)
        except OSError as error:
            raise SourceError(
                f"source '{self._http.source}': the list of devices, which may be asked for 24 times a day only, can't "
                f"be kept in {self._file} ({error.strerror}). Make the folder writable"
            ) from None

    def _error(self, device: str, ask: Ask, reason: str) -> SourceError:
        return SourceError(f"source '{self._http.source}', device {device}, {_span(ask)}: {reason}")


def _groups(known: Mapping[str, int], most: int) -> list[Group]:
    """The devices by type, so many a request, in the order in which they come."""
    kinds: dict[int, list[str]] = {}
    for device, kind in known.items():
        kinds.setdefault(kind, []).append(device)
    return [
        (kind, tuple(devices[first : first + most]))
        for kind, devices in kinds.items()
        for first in range(0, len(devices), most)
    ]


def _of_devices(errors: Mapping[Group, SlotfeedError]) -> dict[str, SlotfeedError]:
    return {device: error for (_, devices), error in errors.items() for device in devices}


def _named(devices: Iterable[str]) -> str:
    listed = list(devices)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more if listed else "none"


def _called(group: Group) -> str:
    kind, devices = group
    return f"devices {_named(devices)} ({TYPES[kind]})"


def _span(ask: Ask) -> str:
    return f"{ask.start:%Y-%m-%d %H:%M} to {ask.end:%Y-%m-%d %H:%M} UTC"


def _ms(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(milliseconds=1)
