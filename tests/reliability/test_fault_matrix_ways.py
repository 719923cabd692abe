"""Faults on the way in, end to end: connections, TLS, logins and tokens, redirects, batches, and reading back."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipelines.sandbox.demo_community import AGGREGATOR
from tests.flows.places import SLOT
from tests.reliability.doors import DAY, Stranger, authority, free_port, stranger, tls_door
from tests.reliability.matrix import ALL, SOON, Ended, Life, Table, open_life, quoted

POSTS = "set_energy_forecast"
LOGIN = "/api-token-auth/"
NOTHING_LEFT = f"{ALL} pending"
ALL_TAKEN = f"{ALL} accepted"


@dataclass(frozen=True, kw_only=True)
class Shut:
    """A way in that is shut: no login, so nothing leaves."""

    name: str
    said: str
    """What its user reads, as a pattern."""

    door: str = ""
    """Which way to take; empty: the exchange's own."""

    rules: Sequence[Mapping[str, Any]] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    logins: int = 0
    """That reached the exchange."""


CERTIFICATE = r"no answer from 127\.0\.0\.1 \(.*?{}.*?\)"
SHUT = [
    Shut(name="connection refused", door="nobody", said=r"no answer from 127\.0\.0\.1 \(ConnectError .*?\)"),
    Shut(name="TLS: certificate expired", door="expired", said=CERTIFICATE.format("certificate has expired")),
    Shut(
        name="TLS: certificate of a foreign authority", door="foreign", said=CERTIFICATE.format("unable to get local")
    ),
    Shut(
        name="TLS: certificate of another host", door="other name", said=CERTIFICATE.format("certificate is not valid")
    ),
    Shut(name="TLS asked of a server in clear", door="in clear", said=CERTIFICATE.format("TLS failed")),
    Shut(
        name="login: password refused",
        environment={"SLOTFEED_EXCHANGE_PASSWORD": "not it"},
        said=r"user name or password refused \(4\d\d\); check SLOTFEED_EXCHANGE_\w+ and SLOTFEED_EXCHANGE_\w+",
        logins=1,
    ),
    Shut(
        name="login: 503",
        rules=[{"do": "status", "path": LOGIN}],
        said=r"login at 127\.0\.0\.1: the exchange answered 503",
        logins=5,
    ),
    Shut(
        name="login: a web page",
        rules=[{"do": "html", "path": LOGIN}],
        said=r"login at 127\.0\.0\.1: answered 200 without JSON",
        logins=5,
    ),
    Shut(
        name="login: an answer without token",
        rules=[{"do": "replace", "path": LOGIN, "body": '{"user": "me"}'}],
        said=r"login at 127\.0\.0\.1: the answer holds no token",
        logins=1,
    ),
    Shut(
        name="login: redirected to another host",
        rules=[{"do": "redirect", "path": LOGIN, "location": "{stranger}"}],
        said=r"login at 127\.0\.0\.1: redirected to 127\.0\.0\.1 \(307\), where nothing is sent; "
        r"correct `exchange\.base_url`, or see to the proxy before the exchange",
        logins=5,
    ),
]


@dataclass(frozen=True, kw_only=True)
class Met:
    """A fault of tokens or batches, or one that comes and goes."""

    name: str
    rules: Sequence[Mapping[str, Any]]
    status: int
    seen: str
    said: str
    logins: int
    posts: int | None = None
    """That reached the exchange; None: a matter of the die and of retries."""

    protocol: str = "rest"


EXPIRED = {"do": "expire_tokens", "path": POSTS, "after": 10, "times": 1}
BATCH = "batch-commands"
MET = [
    Met(
        name="401 in the midst of all workers' posts",
        rules=[EXPIRED],
        status=0,
        seen=ALL_TAKEN,
        said="the exchange took 36 values",
        logins=2,
    ),
    Met(
        name="401, and 503 to the new login, twice",
        rules=[EXPIRED, {"do": "status", "path": LOGIN, "after": 1, "times": 2}],
        status=0,
        seen=ALL_TAKEN,
        said="the exchange took 36 values",
        logins=4,
    ),
    Met(
        name="401, and the new login refused",
        rules=[EXPIRED, {"do": "status", "status": 401, "path": LOGIN, "after": 1}],
        status=1,
        seen="26 pending, 10 accepted",
        said=r"user name or password refused \(401\)",
        logins=2,
    ),
    Met(
        name="401 to every token",
        rules=[{"do": "status", "status": 401, "path": POSTS}],
        status=1,
        seen=NOTHING_LEFT,
        said="the exchange refuses a token it has just issued",
        logins=3,
    ),
    Met(
        name="5xx that flap",
        # Four in all: no post, which is tried five times, can meet them alone.
        rules=[
            {"do": "status", "status": status, "path": POSTS, "after": after, "times": 1}
            for status, after in ((500, 2), (502, 9), (503, 16), (504, 30))
        ],
        status=0,
        seen=ALL_TAKEN,
        said="the exchange took 36 values",
        logins=1,
    ),
    Met(
        name="a batch too large (413), once",
        rules=[{"do": "status", "status": 413, "path": BATCH, "times": 1}],
        status=0,
        seen=ALL_TAKEN,
        said="the exchange took 36 values",
        logins=1,
        posts=3,
        protocol="batch",
    ),
    Met(
        name="a batch's reply lost, twice",
        rules=[{"do": "lose_reply", "path": BATCH, "times": 2}],
        status=0,
        seen=ALL_TAKEN,
        said="the exchange took 36 values",
        logins=1,
        posts=3,
        protocol="batch",
    ),
    Met(
        name="503 to every batch",
        rules=[{"do": "status", "path": BATCH}],
        status=1,
        seen=NOTHING_LEFT,
        said="forecasts of 36 assets: the exchange answered 503",
        logins=1,
        posts=5,
        protocol="batch",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Read:
    """A fault that one asset's results meet."""

    name: str
    rule: Mapping[str, Any]
    said: str
    """Why nothing is said of its slots."""

    value: str = ""
    """What else stands in that reason."""


SLOT_KEY = "{slot}"
READ = [
    Read(name="results: 503", rule={"do": "status"}, said="the exchange answered 503"),
    Read(name="results: a web page", rule={"do": "html"}, said="answered 200 without JSON"),
    Read(name="results: half a JSON", rule={"do": "replace", "body": '{"2016'}, said="answered 200 without JSON"),
    Read(name="results: cut off", rule={"do": "truncate"}, said="no answer from 127.0.0.1"),
    Read(name="results: an empty object", rule={"do": "empty"}, said="with an empty body"),
    Read(
        name="results: NaN",
        rule={"do": "replace", "body": '{"{slot}": {"load_profile_kWh": NaN}}'},
        said="can't read the entry",
        value="nan",
    ),
    Read(
        name="results: a number beyond all numbers",
        rule={"do": "replace", "body": '{"{slot}": {"load_profile_kWh": 1e999}}'},
        said="can't read the entry",
        value="inf",
    ),
    Read(
        name="results: a slot twice",
        rule={
            "do": "replace",
            "body": '{"{slot}": {"load_profile_kWh": 7.0}, "{slot}": {"load_profile_kWh": 9.0}}',
        },
        said="with a key that stands there twice",
    ),
    Read(name="results: a list", rule={"do": "replace", "body": "[1, 2]"}, said="expected an object keyed by slot"),
    Read(
        name="results: redirected to another host",
        rule={"do": "redirect", "location": "{stranger}"},
        said="redirected to",
    ),
]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with open_life(tmp_path_factory.mktemp("community"), tmp_path_factory.mktemp("exchange")) as opened:
        yield opened


REDIRECTED = {
    "rest": "every post redirected to another host",
    "sdk": "the same by protocol sdk",
    "batch": "every batch redirected to another host",
}
SENDING = {"rest": POSTS, "sdk": "set-energy-forecast", "batch": BATCH}
TRIES = 5
MOST_TRIED = 10 + 2
"""Assets: ten workers, and two whose first answers didn't yet tell that all are sent away."""


@pytest.fixture(scope="module")
def table() -> Table:
    return Table(
        "ways in",
        [*(one.name for one in SHUT), *(one.name for one in MET), *REDIRECTED.values(), *(one.name for one in READ)],
    )


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Stranger]:
    with stranger() as opened:
        yield opened
        assert opened.heard == []


@pytest.fixture(scope="module")
def doors(life: Life, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[str, Path]]]:
    """Name -> address, and the authority that runs trust."""
    folder = tmp_path_factory.mktemp("certificates")
    trusted = authority("Trusted")
    pem = trusted.write(folder / "trusted.pem")
    port = life.place.exchange.base_url.port
    assert port is not None
    with (
        tls_door(trusted.sign(folder / "good.pem"), port) as good,
        tls_door(trusted.sign(folder / "expired.pem", ends=-DAY), port) as expired,
        tls_door(authority("Foreign").sign(folder / "foreign.pem"), port) as foreign,
        tls_door(trusted.sign(folder / "other.pem", host="exchange.example"), port) as other,
    ):
        addresses = {
            "good": good,
            "expired": expired,
            "foreign": foreign,
            "other name": other,
            "in clear": life.address.replace("http:", "https:"),
            "nobody": f"http://127.0.0.1:{free_port()}",
        }
        yield {name: (address, pem) for name, address in addresses.items()}


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One way in, tried."""

    ended: Ended
    states: str
    posts: int
    logins: int


@dataclass(frozen=True, kw_only=True)
class Siege:
    """All ways that are shut, tried in one slot, and then the sound one over TLS."""

    tried: Mapping[str, Tried]
    after: str
    breaches: str


def filled(rule: Mapping[str, Any], **values: str) -> dict[str, Any]:
    """A rule with what is known only now: `{stranger}`, `{slot}`."""
    text = {key: value for key, value in rule.items() if isinstance(value, str)}
    for name, value in values.items():
        text = {key: one.replace(f"{{{name}}}", value) for key, one in text.items()}
    return {**rule, **text}


@pytest.fixture(scope="module")
def siege(life: Life, doors: dict[str, tuple[str, Path]], elsewhere: Stranger) -> Siege:
    life.begin()
    tried = {}
    for one in SHUT:
        address, trusted = doors.get(one.door, (None, None))
        life.speak_to(address)
        life.set_faults(*(filled(rule, stranger=elsewhere.address) for rule in one.rules))
        logins = life.logins()
        ended = life.run(**{"SSL_CERT_FILE": str(trusted)} if trusted else {}, **one.environment)
        tried[one.name] = Tried(
            ended=ended, states=life.states(), posts=life.posts().total(), logins=life.logins() - logins
        )
    life.set_faults()
    address, trusted = doors["good"]
    life.speak_to(address)
    ended = life.run(SSL_CERT_FILE=str(trusted))
    assert ended.status == 0, ended.printed
    return Siege(tried=tried, after=life.states(), breaches=life.breaches())


@pytest.mark.parametrize("one", SHUT, ids=lambda one: one.name)
def test_a_way_that_is_shut(siege: Siege, table: Table, one: Shut) -> None:
    tried = siege.tried[one.name]
    words = tried.ended.words(one.said)
    assert (tried.ended.status, tried.states, tried.posts) == (1, NOTHING_LEFT, 0)
    assert tried.logins == one.logins
    assert siege.after == ALL_TAKEN
    table.take(one.name, f"exit 1; {tried.states}; {quoted(words)}", siege.after, siege.breaches)


@pytest.mark.parametrize("one", MET, ids=lambda one: one.name)
def test_a_fault_in_mid_run(life: Life, table: Table, one: Met) -> None:
    life.begin(protocol=one.protocol)
    if one.protocol == "batch":
        _see_to_an_aggregator(life)
    life.set_faults(*one.rules)
    logins = life.logins()
    ended = life.run()
    words = ended.words(one.said)
    seen, posts = life.states(), sum("batch-commands" in entry["path"] for entry in life.journal())
    assert (ended.status, seen, life.logins() - logins) == (one.status, one.seen, one.logins)
    assert one.posts is None or posts == one.posts
    life.recover()
    states = life.states()
    assert states == ALL_TAKEN
    table.take(one.name, f"exit {one.status}; {seen}; {quoted(words)}", states, life.breaches())


def _see_to_an_aggregator(life: Life) -> None:
    """Once; a second one of the same name would be ambiguous."""
    listed = life.run("aggregators", "list")
    if AGGREGATOR not in listed.printed:
        assert life.run("aggregators", "create", AGGREGATOR).status == 0
        selected = life.run("aggregators", "select", "--all", "--yes")
        assert selected.status == 0, selected.printed


@pytest.mark.parametrize("protocol", REDIRECTED)
def test_redirected_posts(life: Life, table: Table, elsewhere: Stranger, protocol: str) -> None:
    """A fault of the platform, no verdict on the values: they wait, and few are tried."""
    life.begin(protocol=protocol)
    if protocol == "batch":
        _see_to_an_aggregator(life)
    life.set_faults({"do": "redirect", "path": SENDING[protocol], "location": elsewhere.address})
    ended = life.run()
    words = ended.words(
        r"redirected to 127\.0\.0\.1 \(307\), where nothing is sent; correct `exchange\.base_url`, "
        "or see to the proxy before the exchange"
    )
    seen = life.states()
    posts = [entry["asset"] for entry in life.journal() if SENDING[protocol] in entry["path"]]
    assert (ended.status, seen) == (1, NOTHING_LEFT)
    if protocol == "batch":
        # The one request, and no part of it by itself.
        assert len(posts) == TRIES
    else:
        # Those that the workers had in hand when it was plain that none gets through.
        assert 3 <= len(set(posts)) <= MOST_TRIED
        assert max(Counter(posts).values()) == TRIES
    assert elsewhere.heard == []
    life.recover()
    states = life.states()
    assert states == ALL_TAKEN
    table.take(REDIRECTED[protocol], f"exit 1; {seen}; {quoted(words)}", states, life.breaches())


@pytest.fixture(scope="module")
def reading(life: Life, elsewhere: Stranger) -> dict[str, Any]:
    """A reconciliation in which each of some assets' results meet a fault, and the next one."""
    life.begin()
    assert life.run().status == 0
    slot = life.now.replace(minute=life.now.minute // 15 * 15) + SLOT
    assets = [asset for asset in life.place.community.assets if asset.name.startswith("Load")]
    rules = [
        filled(
            {**one.rule, "path": "/historical-data/", "asset": assets[n].asset_id},
            stranger=elsewhere.address,
            slot=f"{slot:%Y-%m-%dT%H:%M}",
        )
        for n, one in enumerate(READ)
    ]
    life.to(life.now + 2 * SLOT)
    life.set_faults(*rules)
    first = life.run("reconcile")
    outbox, diagnoses = life.outbox(), life.diagnoses()
    life.set_faults()
    life.to(life.now + SOON)
    second = life.run("reconcile")
    assert second.status == 0, second.printed
    return {
        "first": first,
        "outbox": outbox,
        "diagnoses": diagnoses,
        "names": [asset.name for asset in assets],
        "after": life.outbox(),
        "open": life.diagnoses(),
        "breaches": life.breaches(),
    }


@pytest.mark.parametrize("number", range(len(READ)), ids=lambda number: READ[number].name)
def test_results_that_cannot_be_read(reading: dict[str, Any], table: Table, number: int) -> None:
    one, name = READ[number], reading["names"][number]
    words = reading["first"].words(f"asset '{name}': results of asset [^:]*: .*?(?= • |$)")
    state = reading["outbox"][name]["state"]
    assert one.said in words
    assert one.value in words
    assert (reading["first"].status, state, reading["diagnoses"].get(name)) == (1, "accepted", None)
    after = reading["after"][name]["state"]
    assert (after, reading["open"]) == ("confirmed", {})
    table.take(one.name, f"exit 1; nothing said of the asset: {quoted(one.said)}", after, reading["breaches"])


def test_the_table(table: Table) -> None:
    table.hold()
