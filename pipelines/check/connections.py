"""The community, the exchange, slotfeed's own database, and the URL of each meter database."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from pipelines.check.draft import Draft
from pipelines.check.finding import Finding, Loc, fault, notice, shown
from pipelines.hosts import IN_CLEAR, clear_remedy, goes_in_clear, is_loopback
from pipelines.settings import DATABASE_PASSWORD, source_password
from pipelines.slots import OPENING_GUARD

SECRET_OPTION = re.compile(r"pass|pwd|secret|token", re.IGNORECASE)
OWN_DATABASE = "Write sqlite:///slotfeed.sqlite or postgresql+psycopg://slotfeed@db.example/slotfeed"
ENCRYPTED = frozenset({"require", "verify-ca", "verify-full"})
"""Values of PostgreSQL's sslmode that never speak in clear."""

METER_DATABASE = "Write one like postgresql+psycopg://reader@db.example/meters or sqlite:///meters.sqlite"


def connection_findings(draft: Draft) -> Iterator[Finding]:
    """What is wrong around the exchange and the databases."""
    yield from _slot_findings(draft)
    yield from _exchange_findings(draft)
    yield from _unused_findings(draft)
    if draft.community.knows("simulation_uuid"):
        yield from uuid_findings(("community", "simulation_uuid"), draft.community.value.simulation_uuid)
    if draft.database is not None:
        yield from _own_database_findings(draft.database)
    for name, source in draft.sources.items():
        if source.knows("url"):
            yield from _url_findings(("sources", name, "url"), source.value.url, source_password(name)[0])


def uuid_findings(loc: Loc, value: str) -> Iterator[Finding]:
    """The exchange's uuids are plain strings on the wire, but GSy makes them all in UUID form."""
    try:
        UUID(value)
    except ValueError:
        form = "Compare it with the exchange's; GSy's look like 84d221fa-46e1-49e0-823b-26cfb3425a5a"
        yield notice(loc, f"{shown(value)} hasn't the form of a UUID", form)


def _slot_findings(draft: Draft) -> Iterator[Finding]:
    length_min = draft.slot_length_min
    if length_min is None:
        return
    if 60 % length_min:
        yield fault(
            ("community", "slot_length"),
            f"{length_min} minutes don't divide the hour",
            "Write the exchange's slot length: 5, 10, 12, 15, 20, 30 or 60",
        )
    if not draft.exchange.knows("margin_s", "protocol"):
        return
    # Only `rest` waits for its window to open; the other protocols name the slot.
    guard_s = int(OPENING_GUARD.total_seconds()) if draft.exchange.value.protocol == "rest" else 0
    margin_s = draft.exchange.value.margin_s
    if margin_s + guard_s >= length_min * 60:
        yield fault(
            ("exchange", "margin_s"),
            f"{margin_s} s before the slot leave no time to send in slots of {length_min} minutes",
            f"Write less than {length_min * 60 - guard_s}",
        )


def _exchange_findings(draft: Draft) -> Iterator[Finding]:
    if draft.exchange.knows("base_url"):
        yield from clear_findings(("exchange", "base_url"), draft.exchange.value.base_url, "the password", draft)
    if draft.exchange.knows("websocket_url") and (url := draft.exchange.value.websocket_url) is not None:
        yield from clear_findings(("exchange", "websocket_url"), url, "the login's token", draft)
    if draft.exchange.knows("protocol") and draft.exchange.value.protocol == "batch":
        yield from _batch_findings(draft)


def clear_findings(loc: Loc, url: str, secret: str, draft: Draft) -> Iterator[Finding]:
    """An address to which a secret travels in clear: a fault, unless `allow_http` names its host."""
    address = urlsplit(url)
    host = address.hostname or ""
    if draft.allow_http is not None and goes_in_clear(url, draft.allow_http):
        problem = f"{address.scheme} to {host}: {secret} would travel in clear"
        yield fault(loc, problem, clear_remedy(address.scheme, host))
    elif draft.allow_http is not None and address.scheme in IN_CLEAR and not is_loopback(host):
        yield notice(
            loc,
            f"{address.scheme} to {host}: {secret} travels in clear, as allow_http says it may",
            "Make sure that nobody else is on the way there",
        )


def _unused_findings(draft: Draft) -> Iterator[Finding]:
    """Hosts that `allow_http` names and nothing needs: a door left open."""
    urls: list[str | None] = []
    if not draft.exchange.knows("base_url", "websocket_url") or draft.allow_http is None:
        return
    urls += [draft.exchange.value.base_url, draft.exchange.value.websocket_url]
    for cloud in draft.clouds.values():
        if not cloud.knows("url"):
            return
        urls.append(cloud.value.url)
    needed = {urlsplit(url).hostname for url in urls if url and urlsplit(url).scheme in IN_CLEAR}
    for number, host in enumerate(draft.allow_http):
        if host not in needed:
            yield notice(("allow_http", number), f"no address here is http or ws to {shown(host)}", "Take it out")


def _batch_findings(draft: Draft) -> Iterator[Finding]:
    """An aggregator sends, and what it doesn't bid isn't traded (gsy-e, external_strategies)."""
    if draft.exchange.knows("aggregator") and draft.exchange.value.aggregator is None:
        yield fault(
            ("exchange", "aggregator"),
            "protocol batch sends through an aggregator, and none is named",
            "Write its name or uuid; one that isn't there yet is made by slotfeed aggregators create NAME",
        )
    yield notice(
        ("exchange", "protocol"),
        "selecting an aggregator stops the exchange's template trading for that asset: "
        "it trades only what the aggregator bids",
        "If nobody bids through the aggregator, use protocol sdk, and unselect what it has selected",
    )


def _own_database_findings(url: str) -> Iterator[Finding]:
    loc = ("database",)
    parsed = _parsed(url)
    if parsed is None:
        yield fault(loc, "this is no database URL", OWN_DATABASE)
        return
    yield from _password_findings(loc, parsed, DATABASE_PASSWORD[0])
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        yield fault(loc, f"slotfeed's own database can't be {parsed.get_backend_name()}", OWN_DATABASE)
    else:
        yield from _driver_findings(loc, parsed)


def _url_findings(loc: Loc, url: str, password_name: str) -> Iterator[Finding]:
    parsed = _parsed(url)
    if parsed is None:
        yield fault(loc, "this is no database URL", METER_DATABASE)
        return
    yield from _password_findings(loc, parsed, password_name)
    yield from _driver_findings(loc, parsed)


def _parsed(url: str) -> URL | None:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        return None


def _password_findings(loc: Loc, url: URL, name: str) -> Iterator[Finding]:
    if url.password or any(SECRET_OPTION.search(option) for option in url.query):
        yield fault(loc, "a password stands in this URL", f"Take it out and set {name} in the environment or in .env")


def _encryption_findings(loc: Loc, url: URL) -> Iterator[Finding]:
    """PostgreSQL's clients speak in clear to a server that wants it so, unless the URL demands more."""
    if url.get_backend_name() != "postgresql" or url.query.get("sslmode") in ENCRYPTED:
        return
    for host in [host for host in _hosts(url) if not _is_here(host)][:1]:
        yield notice(
            loc,
            f"the URL doesn't demand encryption, so passwords and readings may travel to {host} in clear",
            "Add sslmode=verify-full and sslrootcert=system to it, as in ?sslmode=verify-full&sslrootcert=system; "
            "sslmode=require where the server's certificate is its own",
        )


def _hosts(url: URL) -> list[str]:
    """Of the URL; libpq takes further ones in its query, separated by commas."""
    listed = url.query.get("host", ())
    given = [listed] if isinstance(listed, str) else list(listed)
    return [one for entry in [url.host or "", *given] for one in entry.split(",") if one]


def _is_here(host: str) -> bool:
    """This machine: a loopback address, or the folder of a socket."""
    return host.startswith(("/", "@")) or is_loopback(host.rpartition(":")[0] if host.count(":") == 1 else host)


def _driver_findings(loc: Loc, url: URL) -> Iterator[Finding]:
    try:
        url.get_dialect().import_dbapi()
    except (NoSuchModuleError, ImportError):
        remedy = "Write postgresql+psycopg" if url.get_backend_name() == "postgresql" else "Install the driver"
        yield fault(loc, f"no driver for {url.drivername} is installed", remedy)
    else:
        yield from _encryption_findings(loc, url)
