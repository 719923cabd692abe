"""Victron VRM, API v2: energy flows between PV, grid, battery and consumers of a site, in quarter hours.

Sources: the vendor's OpenAPI of April 2025; docs.victronenergy.com/vrmapi/overview.html; the issues of
dirkjanfaber/victron-vrm-api. A device is a site (`idSite`): it stays when the GX gateway and with it the `identifier`
is replaced. A flow's code says from where to where: P is PV, G the grid, B the battery, C the consumers. Every
register is a sum of flows, so production + import + discharge = consumption + export + charge holds whatever the vendor
sends: both sides are the sum of all seven. It finds no fault and isn't checked.
"""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import chain
from operator import add, itemgetter
from typing import Any, NoReturn
from urllib.parse import quote

import numpy as np
import polars as pl

from pipelines.collect.cloud.budget import Limit
from pipelines.collect.cloud.http import SHOWN, CloudHttp, Manners
from pipelines.collect.cloud.vendor import Account, Ask, Vendor
from pipelines.collect.source import NO_ROWS, Answer, Channel, Device, rows_frame
from pipelines.errors import AuthenticationError, SlotfeedError, SourceError, SourceUnavailable
from pipelines.frames import INSTANT, Kind
from pipelines.slots import slot_floor

STEP = timedelta(minutes=15)
LONGEST = timedelta(days=31)

FLOWS: Mapping[str, tuple[str, ...]] = {
    "production": ("Pc", "Pb", "Pg"),
    "consumption": ("Pc", "Gc", "Bc"),
    "import": ("Gc", "Gb"),
    "export": ("Pg", "Bg"),
    "charge": ("Pb", "Gb"),
    "discharge": ("Bc", "Bg"),
}
"""Register -> the flows it is the sum of."""

CODES = ("Pc", "Pb", "Pg", "Gc", "Gb", "Bc", "Bg")
UNUSED = frozenset({"kwh"})
"""Comes with the flows; a sum of the site's, but no paper tells of what."""

LATE = timedelta(hours=2)
"""An answer that ends so long before what was asked for may be cut off, so the rest is asked for. A gateway sends every
few minutes. Ours."""

MOST_PARTS = 8
"""So often is the rest of an answer asked for. Ours."""

FIRST_MS = 1e12
"""Stamps below are seconds: some deployments write those."""

LAST_MS = 253_402_300_799_999
"""End of the year 9999, after which no calendar goes on."""

LOGIN_CODES = frozenset({"invalid_credentials"})
"""Error codes of a refused token, whatever the HTTP status. Seen with 401 in dirkjanfaber/victron-vrm-api, issue 29."""

NUMBERS = frozenset({int, float})


@dataclass(frozen=True, kw_only=True)
class Series:
    """One flow of a site."""

    code: str
    stamps_ms: list[float]
    """Starts of the quarter hours."""

    energies_kwh: list[float | None]


class VictronSession:
    """The sites that a personal access token opens."""

    def __init__(self, account: Account) -> None:
        self._name, self._http = account.name, account.http
        header = {"X-Authorization": f"Token {account.secret.get_secret_value()}"}
        self._http.manners = Manners(headers=lambda: header)
        self._known: dict[str, Device] | None = None

    def devices(self) -> list[Device]:
        """All sites, each with the registers that its last 31 days of data have; one that can't be read has none."""
        sites = self._sites()
        codes, failed = self._http.each(list(sites), self._codes)
        for error in failed.values():
            # A site whose data this user mayn't see is told with nothing to read; anything else isn't known yet.
            if not isinstance(error, SourceError):
                raise error
        return [
            Device(
                device=site,
                registers=tuple(name for name, flows in FLOWS.items() if codes.get(site, set()) & set(flows)),
                name=known.name,
                newest=known.newest,
            )
            for site, known in sites.items()
        ]

    def read(self, ask: Ask) -> Answer:
        """All registers of a site with one request, or a few where the answer is cut off."""
        failed: dict[str, SlotfeedError] = {
            site: self._no_register(site, registers)
            for site, registers in ask.channels.items()
            if not registers <= FLOWS.keys()
        }
        sites = [site for site in ask.channels if site not in failed]
        start, end = slot_floor(ask.start, STEP), slot_floor(ask.end, STEP)
        if start >= end:  # the vendor's answer would be empty
            return Answer(rows=NO_ROWS, failed=failed)
        done, refused = self._http.each(sites, lambda site: self._site(site, start, end))
        failed |= self._explained(refused)
        wanted = {site: ask.channels[site] for site in done}
        series = {site: found for site, (found, _) in done.items()}
        unknown = Counter(name for _, strangers in done.values() for name in strangers)
        return Answer(rows=registers_of(series, wanted), failed=failed, unknown=unknown)

    def _site(self, site: str, start: datetime, end: datetime) -> tuple[list[Series], list[str]]:
        """A site's flows in [start, end), both of them quarter hours, and the names of unknown fields."""
        found: list[Series] = []
        unknown: list[str] = []
        for _ in range(MOST_PARTS):
            what = f"energy of device {site}, {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
            series, strangers = self._stats(site, what, start, end, "15mins")
            found += series
            unknown += strangers
            reached_ms = min((max(one.stamps_ms) for one in series), default=0.0)
            if not start.timestamp() <= reached_ms / 1000 < (end - LATE).timestamp():
                break
            # From here on at least one flow is missing.
            start = datetime.fromtimestamp(reached_ms / 1000, UTC) + STEP
        return found, unknown

    def _codes(self, site: str) -> set[str]:
        newest = self._sites()[site].newest
        if newest is None:
            return set()
        what = f"flows of device {site} in the {LONGEST.days} days up to {newest:%Y-%m-%d %H:%M} UTC"
        series, _ = self._stats(site, what, newest - LONGEST, newest, "days")
        return {one.code for one in series}

    def _stats(
        self, site: str, what: str, start: datetime, end: datetime, interval: str
    ) -> tuple[list[Series], list[str]]:
        span = {"start": int(start.timestamp()), "end": int(end.timestamp())}
        # type=kwh brings every flow that the site has.
        path, params = f"/installations/{quote(site, safe='')}/stats", {"type": "kwh", "interval": interval} | span
        return flows_of(self._get(path, what, params), self._http, what)

    def _sites(self) -> dict[str, Device]:
        """The sites by id, without registers; asked for once a run."""
        if self._known is None:
            what = "list of installations"
            me = self._get("/users/me", "the token's user", {})
            user = me.get("user")
            number = user.get("id") if isinstance(user, dict) else None
            if type(number) is not int:
                raise self._http.strange("the token's user", "no user with an id", me)
            found = self._get(f"/users/{number}/installations", what, {"extended": 1})
            self._known = sites_of(found, self._http, what)
        return self._known

    def _get(self, path: str, what: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """An answer, which is none if it says `success: false`, whatever its status."""
        told = self._http.get(path, what=what, params=params)
        if not isinstance(told, dict) or not isinstance(told.get("success"), bool):
            raise self._http.strange(what, "no object that says whether it is a success", told)
        if not told["success"]:
            self._refused(what, told)
        return told

    def _refused(self, what: str, told: Mapping[str, Any]) -> NoReturn:
        code, reason = told.get("error_code"), str(told.get("errors"))[:SHOWN]
        said = self._http.redact(f"source '{self._name}', {what}: the vendor says '{reason}' ({code})")
        if code in LOGIN_CODES:
            raise AuthenticationError(f"{said}. Make a new access token in the VRM portal")
        raise SourceError(said)

    def _no_register(self, site: str, registers: frozenset[str]) -> SourceError:
        wrong = ", ".join(f"'{one}'" for one in sorted(registers - FLOWS.keys()))
        return SourceError(f"source '{self._name}', device {site}: no register {wrong}; it has {', '.join(FLOWS)}")

    def _explained(self, refused: Mapping[str, SlotfeedError]) -> dict[str, SlotfeedError]:
        """Better reasons for refusals, where the account doesn't have the sites."""
        explained = dict(refused)
        puzzling = [site for site, error in refused.items() if isinstance(error, SourceError)]
        if puzzling:
            # Without a list the refusals as they came are told.
            with contextlib.suppress(SourceError, SourceUnavailable):
                known = self._sites()
                has = ", ".join(f"{one.device} ({one.name})" for one in known.values()) or "none"
                for site in set(puzzling) - known.keys():
                    explained[site] = SourceError(f"{refused[site]}. The account has no device {site}; it has {has}")
        return explained


def sites_of(told: Mapping[str, Any], http: CloudHttp, what: str) -> dict[str, Device]:
    """The sites of a list of installations, without registers.

    A site's record may stand there twice, once as it was before its gateway was replaced: the newest counts.

    Raises:
        SourceError: the list hasn't the form that was agreed.
    """
    records = told.get("records")
    if not isinstance(records, list):
        raise http.strange(what, "its records are no list", told)
    found: dict[str, tuple[float, Device]] = {}
    for record in records:
        number = record.get("idSite") if isinstance(record, dict) else None
        if type(number) is not int:
            raise http.strange(what, "an installation without idSite", told)
        seen = record.get("last_timestamp")
        seen_ms = _milliseconds(seen) if type(seen) in NUMBERS else 0.0
        readable = 0 < seen_ms <= LAST_MS
        device = Device(
            device=str(number),
            registers=(),
            name=f"{record.get('name')}, GX {record.get('identifier')}",
            newest=datetime.fromtimestamp(seen_ms / 1000, UTC) if readable else None,
        )
        if str(number) not in found or found[str(number)][0] < seen_ms:
            found[str(number)] = (seen_ms, device)
    return {site: device for site, (_, device) in found.items()}


def flows_of(told: Mapping[str, Any], http: CloudHttp, what: str) -> tuple[list[Series], list[str]]:
    """The flows of a stats answer that have points, and the names of fields that no paper tells of.

    Raises:
        SourceError: the answer hasn't the form that was agreed.
    """
    records = told.get("records")
    strangers = [name for name in told if name not in {"success", "records", "totals"}]
    if records == [] or records is False:  # nothing at all
        return [], strangers
    if not isinstance(records, dict):
        raise http.strange(what, "its records are no object", told)
    strangers += [f"records.{code}" for code in records if code not in CODES and code not in UNUSED]
    found = []
    for code in CODES:
        points = records.get(code)
        if points is None or points is False or points == []:  # never reported by this site, or not in this time
            continue
        try:
            stamps, values = list(map(itemgetter(0), points)), list(map(itemgetter(1), points))
        except (TypeError, LookupError):
            raise http.strange(what, f"the points of {code} are no list of pairs", told) from None
        if not (set(map(type, stamps)) <= NUMBERS and set(map(type, values)) <= NUMBERS | {type(None)}):
            raise http.strange(what, f"the points of {code} are no pairs of numbers", told)
        stamps_ms = stamps if min(stamps) >= FIRST_MS else list(map(_milliseconds, stamps))
        found.append(Series(code=code, stamps_ms=stamps_ms, energies_kwh=values))
    return found, strangers


def registers_of(series: Mapping[str, Sequence[Series]], wanted: Mapping[str, frozenset[str]]) -> pl.DataFrame:
    """Sum flows to registers.

    A flow that a site doesn't report adds nothing to a sum. One that it does, but not at a stamp that other flows have,
    makes the sums of this stamp unknown: null. A register of which no flow is reported has no rows. Of points that
    disagree each makes rows of its own.

    Args:
        series: per site.
        wanted: site -> registers.

    Returns:
        `ROWS` in kWh.
    """
    single = [(site, one) for site, many in series.items() for one in many]
    if not single:
        return NO_ROWS
    wide, repeated = _side_by_side(_points(single))
    reported = {(site, one.code) for site, one in single}
    flags = {f"has {code}": [(site, code) in reported for site in series] for code in CODES}
    wide = wide.join(pl.DataFrame({"meter": list(series), **flags}), on="meter", maintain_order="left")
    stamp = pl.when(pl.col("stamp_ms").is_between(0, LAST_MS)).then(pl.col("stamp_ms"))
    wide = wide.with_columns(stamp=(stamp * 1000).round().cast(pl.Int64()).cast(INSTANT))
    summed = [
        wide.filter(
            pl.any_horizontal(f"has {code}" for code in flows),
            pl.col("meter").is_in([site for site, registers in wanted.items() if name in registers]),
        ).select("meter", "stamp", register=pl.lit(name), value=_sum(flows))
        for name, flows in FLOWS.items()
    ]
    rows = pl.concat(summed)
    if repeated:  # the registers that have no part in it have the same sum twice
        rows = rows.unique(maintain_order=True)
    return rows_frame(
        {
            **rows.to_dict(),
            "stamp_end": rows["stamp"] + STEP,
            "unit": pl.repeat("kWh", rows.height, dtype=pl.String(), eager=True),
        }
    )


def _points(single: Sequence[tuple[str, Series]]) -> pl.DataFrame:
    """A row per point."""
    whose = pl.DataFrame(
        {"meter": [site for site, _ in single], "code": [one.code for _, one in single]},
        schema={"meter": pl.String(), "code": pl.Enum(CODES)},
    )
    stamps_ms = chain.from_iterable(one.stamps_ms for _, one in single)
    energies_kwh = chain.from_iterable(one.energies_kwh for _, one in single)
    # numpy takes whole numbers of any size beside fractions, and reads None as NaN, which JSON doesn't have.
    return whose[np.repeat(np.arange(len(single)), [len(one.stamps_ms) for _, one in single])].with_columns(
        stamp_ms=pl.Series(np.array(list(stamps_ms), dtype=np.float64)),
        kwh=pl.Series(np.array(list(energies_kwh), dtype=np.float64)).fill_nan(None),
    )


def _side_by_side(points: pl.DataFrame) -> tuple[pl.DataFrame, bool]:
    """A column per flow, and whether any point was told twice; then what differs has a row of its own."""
    key = ["meter", "code", "stamp_ms"]
    repeated = points.select(key).n_unique() < points.height
    if repeated:
        turn = pl.int_range(pl.len()).over(key)
        points = points.unique(maintain_order=True).with_columns(turn=turn).sort("turn", maintain_order=True)
    else:
        points = points.with_columns(turn=0)
    index = ["meter", "stamp_ms", "turn"]
    wide = points.pivot("code", on_columns=CODES, index=index, values="kwh", maintain_order=True)
    if repeated:
        # What disagrees with one flow is summed with the others as they were told first.
        wide = wide.with_columns(pl.col(CODES).forward_fill().over("meter", "stamp_ms"))
    return wide, repeated


def _sum(flows: Sequence[str]) -> pl.Expr:
    return reduce(add, (pl.when(f"has {code}").then(pl.col(code)).otherwise(0.0) for code in flows))


def _milliseconds(stamp: float) -> float:
    return stamp * 1000 if stamp < FIRST_MS else stamp


def _channel(register: str, says: str) -> Channel:
    return Channel(
        register=register, kind=Kind.INTERVAL, unit="kWh", says=f"{says}: {' + '.join(FLOWS[register])}, quarter hours"
    )


VENDOR = Vendor(
    title="Victron VRM",
    secret="the personal access token",  # noqa: S106 - says what it is
    open=VictronSession,
    url="https://vrmapi.victronenergy.com/v2",
    channels={
        channel.register: channel
        for channel in (
            _channel("production", "energy of all PV"),
            _channel("consumption", "energy of all consumers"),
            _channel("import", "energy from the grid"),
            _channel("export", "energy to the grid"),
            _channel("charge", "energy into the battery"),
            _channel("discharge", "energy out of the battery"),
        )
    },
    longest_window=LONGEST,
    step=STEP,
    # A gateway that was offline sends later what it has kept, and the vendor advises to ask far back (overview page); a
    # day costs no more requests than an hour. Beyond it, memory applies. Both and `settle` are ours.
    overlap=timedelta(hours=24),
    settle=timedelta(minutes=5),
    memory=LONGEST,
    limits=(
        Limit(
            name="window",
            most=200,
            per=timedelta(seconds=66),
            says="all requests; the vendor counts 200 of which one is forgotten every 0.33 s, and this span is ours",
        ),
    ),
)
