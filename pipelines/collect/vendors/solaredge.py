"""SolarEdge Monitoring API v2: energy of quarter hours, of a site and of its meters and batteries.

From https://api-docs.solaredge.com, by way of public clients, and from a capture of 2026-08-24 (tests/data/solaredge).
v1 is retired. Power is never read: over the captured day its sum is 1.5 % below the energy's, single quarter hours are
up to 17 % off. A request costs one of 2,000 credits a month, so a span is asked for in as few as there can be, and
where the sun is down a site isn't asked at all: its inverter sleeps and answers null.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import polars as pl

from pipelines.collect.cloud.budget import Limit
from pipelines.collect.cloud.consent import take_consent, token_keeper
from pipelines.collect.cloud.http import Manners, Reply
from pipelines.collect.cloud.vendor import Account, Ask, Vendor
from pipelines.collect.source import NO_ROWS, Answer, Channel, Device, rows_frame
from pipelines.daylight import SUNSET_DEG, dark_quarters
from pipelines.errors import AccountStopped, SlotfeedError, SourceError
from pipelines.frames import INSTANT, Kind, Quality
from pipelines.slots import slot_floor, slots_between

URL = "https://monitoringapi.solaredge.com/v2"
CONSENT_URL = "https://connect.solaredge.com/authorize"
SCOPES, CONSENT_MONTHS = "SITE_DATA DEVICE_DATA", 24
TOKEN_PATH = "/oauth2/token"  # noqa: S105 - an address
STEP = timedelta(minutes=15)
LONGEST = timedelta(hours=12)
RESOLUTION = "QUARTER_HOUR"
UNITS = {"WH": "Wh", "KWH": "kWh", "MWH": "MWh"}

METERS, BATTERIES = "meters", "storage"
METRICS: Mapping[str, Mapping[str, str]] = {
    METERS: {name: f"{name}Energy" for name in ("import", "export", "production", "consumption")},
    # The answer's form is a public client's, built from the papers; no capture of one is known.
    BATTERIES: {name: f"{name}Energy" for name in ("charge", "discharge")},
}
"""Kind of device -> register -> the vendor's name of it."""

KNOWN = frozenset(
    {"period", "unit", "resolution", "values", METERS, BATTERIES, "stateOfEnergy", "remainingEnergy"}
    | {name for metrics in METRICS.values() for metric in metrics.values() for name in (metric, metric[:-6] + "Power")}
)
POINT = frozenset({"timestamp", "value"})
PER_PAGE = 1000
MOST_LISTED = 20
"""Sites whose meters and batteries are listed, a credit each. Ours."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """What an answer tells of one register."""

    device: str
    register: str
    stamps: list[str]
    """Starts, as the vendor wrote them."""

    values: list[float | None]
    unit: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """What one request, and perhaps its continuation, answers."""

    site: str
    kind: str
    """Empty: the site itself."""

    channels: frozenset[tuple[str, str]]
    """(device, register)."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        what = f"{self.kind} of site {self.site}" if self.kind else f"energy of site {self.site}"
        # Once a request: half the price of a format.
        start, end = (instant.isoformat(" ", "minutes")[:16] for instant in (self.start, self.end))
        return f"{what}, {start} to {end} UTC"


class NotThere(SourceError):
    """No such site, or none that this account may read."""


def parse_series(told: Any, device: str, register: str) -> Series:  # noqa: ANN401 - JSON of any shape
    """One series: `{"unit": "WH", "values": [{"timestamp": …, "value": …}, …]}`.

    Raises:
        ValueError: it hasn't this form; says where.
    """
    if not isinstance(told, dict):
        raise ValueError(f"{_said(told)} where an object was due")  # noqa: TRY004 - wrong content, not a wrong call
    if "values" not in told and ("detail" in told or "title" in told):
        raise ValueError(f"an error instead of data: {told.get('title')} {told.get('detail')}"[:200])
    unit, points = UNITS.get(str(told.get("unit"))), told.get("values")
    if unit is None:
        raise ValueError(f"unit {_said(told.get('unit'))} is unknown; known: {', '.join(UNITS)}")
    if not isinstance(points, list):
        raise ValueError(f"{_said(points)} where the list `values` was due")  # noqa: TRY004
    try:
        stamps, values = [p["timestamp"] for p in points], [p["value"] for p in points]
    except (KeyError, TypeError, IndexError):
        raise ValueError("an entry of `values` is no {timestamp, value}") from None
    if wrong := set(map(type, stamps)) - {str}:
        raise ValueError(f"a timestamp is {_types(wrong)}")
    if wrong := set(map(type, values)) - {float, int, type(None)}:
        raise ValueError(f"a value is {_types(wrong)}")
    return Series(device=device, register=register, stamps=stamps, values=values, unit=unit)


def unknown_fields(told: Any) -> Counter[str]:  # noqa: ANN401 - JSON of any shape
    """Fields of an answer that the papers don't tell of, and how often they came."""
    if not isinstance(told, dict):
        return Counter()
    found = Counter(name for name in told if name not in KNOWN)
    points = told.get("values")
    if isinstance(points, list):
        odd = [point for point in points if isinstance(point, dict) and len(point) != len(POINT)]
        found.update(name for point in odd for name in point if name not in POINT)
    for kind in METRICS:
        for metrics in (told.get(kind) or {}).values():
            found.update(name for name in metrics if name not in KNOWN)
            for series in metrics.values():
                found += unknown_fields(series)
    return found


def rows_of(series: Iterable[Series]) -> pl.DataFrame:
    """All series as `ROWS`; a stamp that can't be read, or has no offset, is null."""
    meters: list[str] = []
    registers: list[str] = []
    stamps: list[str] = []
    values: list[float | None] = []
    units: list[str] = []
    for one in series:
        count = len(one.stamps)
        meters += [one.device] * count
        registers += [one.register] * count
        units += [one.unit] * count
        stamps += one.stamps
        values += one.values
    if not stamps:
        return NO_ROWS
    # `%+` takes any fraction of a second, and an offset or Z, but no stamp without.
    starts = pl.Series(stamps, dtype=pl.String()).str.to_datetime("%+", time_unit="us", strict=False)
    return rows_frame(
        {
            "meter": meters,
            "register": registers,
            "stamp": starts,
            "stamp_end": starts + STEP,
            "value": pl.Series(values, dtype=pl.Float64(), strict=False),
            "unit": units,
        }
    )


def with_darkness(rows: pl.DataFrame, sites: Sequence[str], dark: Sequence[datetime]) -> pl.DataFrame:
    """Nothing is made in the dark: a quarter hour without a value there gets 0 Wh, marked as a substitute.

    Args:
        rows: `ROWS`.
        sites: devices whose production this holds for.
        dark: starts of quarter hours throughout which the sun is down.
    """
    if not sites or not dark:
        return rows
    starts = pl.Series(dark, dtype=INSTANT)
    asleep = pl.col("meter").is_in(list(sites)) & pl.col("stamp").is_in(starts.implode()) & pl.col("value").is_null()
    told = rows.filter(~asleep)
    substitutes = (
        pl.DataFrame({"meter": sites}, schema={"meter": pl.String()})
        .join(pl.DataFrame({"stamp": starts}), how="cross")
        .join(told, on=["meter", "stamp"], how="anti")
        .with_columns(
            register=pl.lit("production"),
            stamp_end=pl.col("stamp") + STEP,
            value=0.0,
            unit=pl.lit("Wh"),
            quality=pl.lit(Quality.SUBSTITUTED.value),
        )
    )
    return rows_frame(pl.concat([told.drop("order"), substitutes], how="diagonal").to_dict())


class Session:
    """An account, open for a run."""

    def __init__(self, account: Account) -> None:
        """Take the login: an API key, or by OAuth 2 where the source has a client id."""
        self._account, self._http = account, account.http
        self._keeper = token_keeper(account, TOKEN_PATH) if account.settings.client_id else None
        renew = None if self._keeper is None else self._renew
        self._http.manners = Manners(headers=self._headers, renew=renew, judge=self._judge)

    def devices(self) -> list[Device]:
        """All sites; of the first `MOST_LISTED` also meters and batteries, because each site's cost a credit."""
        sites = self._list_sites()
        listed, failed = self._http.each(list(sites)[:MOST_LISTED], self._list_devices)
        found = []
        for site, name in sites.items():
            note = f" (meters are listed of {MOST_LISTED} sites only: each costs a request)"
            if site in failed:
                note = f" (its meters can't be listed: {failed[site]})"
            own = listed.get(site)
            found.append(Device(device=site, registers=("production",), name=name + (note if own is None else "")))
            found += own or []
        return found

    def read(self, ask: Ask) -> Answer:
        """The rows of a window; sites whose production is sure to be 0 cost nothing."""
        start, end = slot_floor(ask.start, STEP), slot_floor(ask.end, STEP)
        dark = dark_quarters(self._account.place, start, end)
        wanted, wrong = _sort(ask.channels)
        failed: dict[str, SlotfeedError] = {
            device: self._error(f"device {device}", problem) for device, problem in wrong.items()
        }
        questions, asleep = _questions(wanted, start, end, dark)
        answers, refused = self._http.each([] if ask.quiet or start >= end else questions, self._answer)
        self._name_sites(refused)
        series: list[Series] = []
        unknown: Counter[str] = Counter()
        for told, without, fields in answers.values():
            series += told
            failed |= without
            unknown += fields
        rows = rows_of(series)
        failed |= self._unreadable(rows, series)
        failed |= {device: error for question, error in refused.items() for device, _ in question.channels}
        # An inverter that says nothing before the sun rises is asleep.
        down = dark_quarters(self._account.place, start, end, below_deg=SUNSET_DEG)
        rows = with_darkness(rows.filter(pl.col("stamp").is_not_null()), asleep, down)
        return Answer(rows=rows, failed=failed, unknown=unknown)

    def _answer(self, question: Question) -> tuple[list[Series], dict[str, SlotfeedError], Counter[str]]:
        """Series, the devices that have none, and unknown fields; asks on once where the answer stops short."""
        told = self._request(question)
        series, failed = self._parse(question, told)
        unknown = unknown_fields(told)
        due = _first_due(series, question)
        if due is not None:
            rest = replace(question, start=due)
            more = self._request(rest)
            series += self._parse(rest, more)[0]
            unknown += unknown_fields(more)
        return series, failed, unknown

    def _request(self, question: Question) -> Any:  # noqa: ANN401 - JSON of any shape
        path = (
            f"/sites/{question.site}/{question.kind}/telemetry" if question.kind else f"/sites/{question.site}/energy"
        )
        params = {
            "from": question.start.isoformat(),
            # The end is inclusive: to ask until a boundary would bring the quarter hour behind it too.
            "to": (question.end - timedelta(seconds=1)).isoformat(),
            "resolution": RESOLUTION,
        }
        return self._http.get(path, what=str(question), params=params if question.kind else params | {"unit": "WH"})

    def _parse(self, question: Question, told: Any) -> tuple[list[Series], dict[str, SlotfeedError]]:  # noqa: ANN401
        try:
            if isinstance(told, dict) and told.get("resolution", RESOLUTION) != RESOLUTION:
                raise ValueError(f"resolution {_said(told['resolution'])}")  # noqa: TRY301 - told below like the others
            if not question.kind:
                return [parse_series(told, question.site, "production")], {}
            found = told.get(question.kind) if isinstance(told, dict) else told
            if not isinstance(found, dict) or not all(isinstance(metrics, dict) for metrics in found.values()):
                raise ValueError(f"{_said(found)} where `{question.kind}` by serial number was due")  # noqa: TRY301
            return self._pick(question, found)
        except ValueError as error:
            raise self._http.strange(str(question), str(error), told) from None

    def _pick(
        self, question: Question, found: Mapping[str, Mapping[str, Any]]
    ) -> tuple[list[Series], dict[str, SlotfeedError]]:
        series: list[Series] = []
        failed: dict[str, SlotfeedError] = {}
        names = METRICS[question.kind]
        for device, register in sorted(question.channels):
            metrics = found.get(device.partition("/")[2])
            if metrics is None:
                has = ", ".join(f"{question.site}/{serial}" for serial in found)
                failed[device] = self._error(question, f"no device {device}; there is: {has or 'none'}")
            elif names[register] in metrics:
                series.append(parse_series(metrics[names[register]], device, register))
            else:
                has = ", ".join(own for own, name in names.items() if name in metrics)
                failed[device] = self._error(question, f"{device} has no register '{register}'; it has: {has}")
        return series, failed

    def _unreadable(self, rows: pl.DataFrame, series: Iterable[Series]) -> dict[str, SlotfeedError]:
        bad = set(rows.filter(pl.col("stamp").is_null())["meter"])
        return {
            one.device: self._http.strange(f"device {one.device}", "a timestamp isn't one with an offset", one.stamps)
            for one in series
            if one.device in bad
        }

    def _name_sites(self, refused: dict[Question, SlotfeedError]) -> None:
        """Say which sites there are, where one isn't."""
        missing = [question for question, error in refused.items() if isinstance(error, NotThere)]
        if missing:
            try:
                known = ", ".join(self._list_sites()) or "none"
            except SlotfeedError as error:
                known = f"can't be listed ({error})"
            for question in missing:
                refused[question] = NotThere(f"{refused[question]}, {question}; the account's sites: {known}")

    def _error(self, what: Question | str, problem: str) -> SourceError:
        return SourceError(f"source '{self._account.name}', {what}: {problem}")

    def _list_sites(self) -> dict[str, str]:
        """Site -> its name. The list of sites is for API keys alone; a consent is for the site that it told."""
        if self._keeper is not None:
            return {site: "" for site in [self._keeper.tokens().told.get("site_id", "")] if site}
        found: dict[str, str] = {}
        for page in range(1, 101):
            told = self._http.get("/sites", what="list of sites", params={"page": page, "sites-in-page": PER_PAGE})
            try:
                sites = told["sites"]["site"]
                found |= {str(site["siteId"]): str(site.get("name") or "") for site in sites}
                if len(sites) < PER_PAGE:
                    break
            except (KeyError, TypeError, AttributeError):
                raise self._http.strange("list of sites", "not of the form that was agreed", told) from None
        return found

    def _list_devices(self, site: str) -> list[Device]:
        what = f"devices of site {site}"
        told = self._http.get(f"/sites/{site}/devices", what=what, params={"types": ["METER", "BATTERY"]})
        try:
            return [_device(site, one) for one in told if one["type"] in {"METER", "BATTERY"}]
        except (KeyError, TypeError, AttributeError):
            raise self._http.strange(what, "not of the form that was agreed", told) from None

    def _headers(self) -> Mapping[str, str]:
        if self._keeper is None:
            return {"X-API-Key": self._account.secret.get_secret_value()}
        return {"Authorization": f"Bearer {self._keeper.tokens().access}"}

    def _renew(self, refused: Mapping[str, str]) -> None:
        if self._keeper is not None:
            self._keeper.renew(refused["Authorization"].removeprefix("Bearer "))

    def _judge(self, reply: Reply, told: Any) -> None:  # noqa: ANN401 - JSON of any shape
        """429 with requests left in this minute means that the month's credits are gone; no header tells of these."""
        detail = str(told.get("detail") or told.get("title") or "") if isinstance(told, dict) else ""
        if reply.status in {httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND} and not reply.is_page:
            raise NotThere(f"source '{self._account.name}': the vendor answered {reply.status} {detail[:200]}".rstrip())
        left = reply.headers.get("x-ratelimit-remaining-minute", "")
        spent = left.isdecimal() and int(left) > 0 and "Retry-After" not in reply.headers
        if reply.status == httpx.codes.TOO_MANY_REQUESTS and spent:
            until = MONTH.frees(MONTH.bucket(self._account.now()))
            raise AccountStopped(
                f"source '{self._account.name}': the month's credits are spent, as SolarEdge says (429). It isn't "
                f"asked before {until:%Y-%m-%d}; a larger plan is told with `limits: {{month: …}}`",
                until=until,
            )


def authorise(account: Account, show: Callable[[str], str]) -> str:
    """Let the owner of a site admit slotfeed; as `pipelines.collect.cloud.consent.take_consent`."""
    own = str(account.http.client.base_url).rstrip("/")
    tokens = take_consent(
        account,
        show,
        address=CONSENT_URL if own == URL else f"{own}/authorize",
        query={"scope": SCOPES, "access_duration": str(CONSENT_MONTHS)},
        path=TOKEN_PATH,
        keep=("site_id",),
    )
    site = tokens.told.get("site_id")
    return f"source '{account.name}' may read " + (f"site {site}" if site else "the site that its owner chose")


def _sort(channels: Mapping[str, frozenset[str]]) -> tuple[dict[tuple[str, str], set[tuple[str, str]]], dict[str, str]]:
    """(site, kind) -> (device, register), and device -> what is wrong with what is wanted of it."""
    wanted: dict[tuple[str, str], set[tuple[str, str]]] = {}
    wrong: dict[str, str] = {}
    for device, registers in channels.items():
        site, _, serial = device.partition("/")
        kinds = METRICS if serial else {"": {"production": "energy"}}
        for register in registers:
            kind = next((kind for kind, names in kinds.items() if register in names), None)
            if kind is not None and site.isdecimal():
                wanted.setdefault((site, kind), set()).add((device, register))
            else:
                has = ", ".join(name for names in kinds.values() for name in names)
                wrong[device] = f"there is no register '{register}' of {device}; a device of this form has: {has}"
    return wanted, wrong


def _questions(
    wanted: Mapping[tuple[str, str], Iterable[tuple[str, str]]],
    start: datetime,
    end: datetime,
    dark: Sequence[datetime],
) -> tuple[list[Question], list[str]]:
    """The requests, and the sites that make nothing in the dark."""
    night = set(dark)
    light = [quarter for quarter in slots_between(start, end, STEP) if quarter not in night]
    questions, asleep = [], []
    for (site, kind), channels in wanted.items():
        question = Question(site=site, kind=kind, channels=frozenset(channels), start=start, end=end)
        # Of a site with a battery, the sun alone doesn't tell what is counted.
        if not kind and (site, BATTERIES) not in wanted:
            asleep.append(site)
            if not light:
                continue
            question = replace(question, start=light[0], end=light[-1] + STEP)
        questions.append(question)
    return questions, asleep


def _first_due(series: Iterable[Series], question: Question) -> datetime | None:
    """The first quarter hour that a series doesn't reach; None where all have as many as were asked for."""
    expected = (question.end - question.start) // STEP
    due = []
    for one in series:
        if len(one.stamps) < expected:
            told = set(rows_of([one])["stamp"])
            due += [next((q for q in slots_between(question.start, question.end, STEP) if q not in told), None)]
    return min((quarter for quarter in due if quarter is not None), default=None)


def _device(site: str, told: Mapping[str, Any]) -> Device:
    registers: tuple[str, ...] = ("charge", "discharge")
    if told["type"] == "METER":
        # Of the meters' types only PRODUCTION was seen; that the others count both ways is ours.
        production = "PRODUCTION" in str(told.get("meterType"))
        registers = ("production",) if production else ("import", "export")
    name = " ".join(str(told[key]) for key in ("name", "type") if told.get(key))
    name += "" if told.get("active", True) else ", not active"
    return Device(device=f"{site}/{told['serialNumber']}", registers=registers, name=name)


def _said(told: object) -> str:
    return f"{told!r}"[:60]


def _types(kinds: Iterable[type]) -> str:
    return ", ".join(sorted(kind.__name__ for kind in kinds))


MONTH = Limit(name="month", most=2000, per=None, says="credits per calendar month, one a request: free plan, SolarEdge")

VENDOR = Vendor(
    title="SolarEdge",
    secret="the API key, or the client secret where client_id is set",  # noqa: S106 - what it is, not itself
    open=Session,
    channels={
        name: Channel(register=name, kind=Kind.INTERVAL, unit="Wh", says=says)
        for name, says in {
            "production": "energy of a site, or of a meter that counts production (productionEnergy)",
            "import": "of a meter: importEnergy",
            "export": "of a meter: exportEnergy",
            "consumption": "of a meter: consumptionEnergy",
            "charge": "of a battery: chargeEnergy, not confirmed by a live account",
            "discharge": "of a battery: dischargeEnergy, not confirmed by a live account",
        }.items()
    },
    longest_window=LONGEST,
    step=STEP,
    overlap=timedelta(hours=3),
    settle=STEP,
    memory=timedelta(days=2),
    url=URL,
    takes=("client_id",),
    limits=(
        Limit(name="minute", most=10, per=timedelta(minutes=1), says="requests per minute: free plan, SolarEdge"),
        MONTH,
    ),
    by_day=frozenset({"production"}),
    authorise=authorise,
)
