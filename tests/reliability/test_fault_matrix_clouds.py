"""What a vendor's cloud does to requests, end to end: four of the demo's loads are read there, the rest elsewhere."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import pytest

from pipelines.sandbox.clouds.demo import INEXOGY, assignments, demo_fleet
from pipelines.sandbox.clouds.inexogy import PREFIX
from pipelines.sandbox.clouds.process import clouds_process
from pipelines.sandbox.demo_community import community_yaml, demo_assets
from pipelines.sandbox.meter_replay import truth
from tests.flows.places import SLOT
from tests.reliability.doors import Stranger, free_port, stranger
from tests.reliability.matrix import ALL, HASTE, SOON, Ended, Life, Table, open_life, quoted
from tests.reliability.sight import demo_readings
from tests.reliability.template import Call
from tests.reliability.world import AtSource

pytestmark = pytest.mark.matrix

SECRET = "hush-cloud-4711"
READINGS = "/readings"
ASSIGNED = {name: place for name, place in assignments().items() if place[0] == INEXOGY}
IMPATIENT: Call = (f"{HASTE}:lose_patience", 1.0, 2.0)
DAY_S = 86_400


@dataclass(frozen=True, kw_only=True)
class Met:
    """A fault that the requests to one vendor meet."""

    name: str
    rule: Mapping[str, Any]
    said: str
    """What its user reads, as a pattern."""

    status: int = 1
    stops: bool = False
    """The account isn't asked any more until somebody resumes it."""

    before: Sequence[Call] = ()
    waits_s: tuple[float, float] | None = None
    """Each wait that the vendor asked for lies between these."""


AWAY = r"no answer from 127\.0\.0\.1 \({}"
REFUSED = "cloud: connection refused"
LASTING = [
    Met(name=REFUSED, rule={}, said=AWAY.format(r"ConnectError .*?\)")),
    Met(name="cloud: connections reset", rule={"do": "reset"}, said=AWAY.format(r"ReadError .*?\)")),
    Met(
        name="cloud: no answer in time",
        rule={"do": "delay", "seconds": 2, "path": READINGS},
        said=AWAY.format(r"ReadTimeout .*?\)"),
        before=[IMPATIENT],
    ),
    Met(
        name="cloud: the answer drips",
        rule={"do": "drip", "seconds": 0.1, "path": READINGS},
        said="the answer took longer than",
        before=[IMPATIENT],
    ),
    Met(
        name="cloud: answers cut off",
        rule={"do": "truncate", "path": READINGS},
        said=AWAY.format("RemoteProtocolError peer closed connection without sending complete message body"),
    ),
    Met(name="cloud: a web page", rule={"do": "html"}, said="a web page came instead of an answer"),
    Met(
        name="cloud: half a JSON",
        rule={"do": "replace", "body": '[{"time": 14777', "path": READINGS},
        said="no JSON, or only the beginning of it, came instead of an answer",
    ),
    Met(
        name="cloud: 200 with an error inside",
        rule={"do": "replace", "body": '{"error": "internal"}', "path": READINGS},
        said="no list of readings came",
    ),
    Met(
        name="cloud: no byte, which is no reading either",
        rule={"do": "empty", "path": READINGS},
        said="0 of them new or changed",
        status=0,
    ),
    Met(
        name="cloud: NaN",
        rule={"do": "replace", "body": '[{"time": {ms}, "values": {"energy": NaN}}]', "path": READINGS},
        said="no JSON, or only the beginning of it, came instead of an answer",
    ),
    Met(
        name="cloud: a number beyond all meters",
        rule={"do": "replace", "body": '[{"time": {ms}, "values": {"energy": 1e400}}]', "path": READINGS},
        said="no JSON, or only the beginning of it, came instead of an answer",
    ),
    Met(name="cloud: 404", rule={"do": "status", "status": 404, "path": READINGS}, said="the vendor answered 404"),
    Met(name="cloud: 503", rule={"do": "status", "path": READINGS}, said="the vendor answered 503"),
    Met(
        name="cloud: redirected to another host",
        rule={"do": "redirect", "location": "{stranger}"},
        said="redirected to 127.0.0.1; nothing is sent there. Correct the source's `url`",
    ),
    Met(name="cloud: 401", rule={"do": "status", "status": 401}, said=r"the login was refused \(401\)", stops=True),
    Met(name="cloud: 410", rule={"do": "status", "status": 410}, said=r"this interface is retired \(410\)", stops=True),
    Met(
        name="cloud: 429 without Retry-After",
        rule={"do": "status", "status": 429},
        said=r"too many requests \(429\)",
        stops=True,
    ),
    Met(
        name="cloud: 429 with a day",
        rule={"do": "status", "status": 429, "retry_after": str(DAY_S)},
        said=r"too many requests \(429\)",
        stops=True,
    ),
]
PASSING = [
    Met(
        name="cloud: 429 with seconds, twice",
        rule={"do": "status", "status": 429, "retry_after": "9", "times": 2, "path": READINGS},
        said="the exchange took 36 values",
        status=0,
        waits_s=(9, 15),
    ),
    Met(
        name="cloud: 503, twice",
        rule={"do": "status", "times": 2, "path": READINGS},
        said="the exchange took 36 values",
        status=0,
    ),
]


@dataclass
class Clouds:
    """The vendor's cloud beside a life."""

    life: Life
    http: httpx.Client

    def to(self, moment: datetime) -> None:
        self.life.to(moment)
        self.http.put("/sandbox/clock", json={"now": moment.isoformat()}).raise_for_status()

    def set_faults(self, *rules: Mapping[str, Any]) -> None:
        self.http.put("/sandbox/faults", json=list(rules)).raise_for_status()

    def write_file(self, url: str) -> None:
        self.life.place.file.write_text(
            community_yaml(
                base_url=self.life.address,
                meter_url="sqlite:///meters.sqlite",
                database=f"sqlite:///case-{self.life.number}.sqlite",
                clouds={INEXOGY: url},
                assigned=ASSIGNED,
            )
        )

    def breaches(self) -> str:
        """What the checker says, with what the cloud measured beside what the other meters have."""
        there = {asset.asset_id for asset in demo_assets() if asset.name in ASSIGNED}
        flowed = {(asset, slot): wh for asset, _, slot, wh in truth().iter_rows() if asset not in there}
        meters = demo_readings(self.life.place.folder / "meters.sqlite")
        return self.life.breaches(truth=flowed, at_source=[*meters, *self.measured()])

    def measured(self) -> list[AtSource]:
        """The registers of the last hours, at every quarter hour."""
        fleet, now = demo_fleet(), self.life.now
        last = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
        found = []
        for _, device, channel in ASSIGNED.values():
            unit = fleet.unit(INEXOGY, device)
            assert unit is not None
            for number in range(12):
                at = last - number * SLOT
                value = fleet.register_wh(unit, channel, at, now)
                found.append(AtSource(stream_id=f"{INEXOGY}/{device}/{channel}", ts=at, value=value))
        return found


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with open_life(tmp_path_factory.mktemp("community"), tmp_path_factory.mktemp("exchange")) as opened:
        yield opened


@pytest.fixture(scope="module")
def table() -> Table:
    return Table("clouds", [one.name for one in (*LASTING, *PASSING)])


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Stranger]:
    with stranger() as opened:
        yield opened
        assert opened.heard == []


@pytest.fixture(scope="module")
def clouds(life: Life) -> Iterator[Clouds]:
    life.begin()
    with (
        pytest.MonkeyPatch.context() as patch,
        clouds_process(username="demo", secret=SECRET, clock_start=life.now) as url,
        httpx.Client(base_url=url) as http,
    ):
        patch.setenv("SLOTFEED_SOURCE_INEXOGY_PASSWORD", SECRET)
        opened = Clouds(life, http)
        opened.write_file(url + PREFIX)
        assert life.run().status == 0
        yield opened


@dataclass(frozen=True, kw_only=True)
class Siege:
    """All lasting faults of a slot, one after the other, and what came when they were over."""

    tried: Mapping[str, Ended]
    newest: Mapping[str, int]
    """States of the newest submissions after each fault."""

    after: str
    late: int
    """Readings of the cloud that came with the last run."""

    breaches: str


@pytest.fixture(scope="module")
def siege(life: Life, clouds: Clouds, elsewhere: Stranger) -> Siege:
    clouds.to(life.now + SLOT)
    right = life.place.file.read_text()
    ms = int(life.now.timestamp() // 900 * 900 * 1000)
    tried, newest = {}, {}
    for one in LASTING:
        if one.name == REFUSED:
            clouds.write_file(f"http://127.0.0.1:{free_port()}{PREFIX}")
            clouds.set_faults()
        else:
            life.place.file.write_text(right)
            body = str(one.rule.get("body", "")).replace("{ms}", str(ms))
            filled = {**one.rule} | ({"body": body} if body else {})
            filled |= {"location": elsewhere.address} if "location" in filled else {}
            clouds.set_faults({"path": PREFIX, **filled})
        tried[one.name] = life.run(before=one.before)
        newest[one.name] = sum(row["state"] == "accepted" for row in life.outbox().values())
        if one.stops:
            stopped = life.run()
            assert stopped.status == 1, stopped.printed
            clouds.set_faults()
            assert life.run("sources", "resume", INEXOGY).status == 0
    life.place.file.write_text(right)
    clouds.set_faults()
    clouds.to(life.now + SOON)
    last = life.run()
    assert last.status == 0, last.printed
    return Siege(
        tried=tried,
        newest=newest,
        late=int(last.words(r"\d+ of them new").split()[0]),
        after=life.states(),
        breaches=clouds.breaches(),
    )


@pytest.mark.parametrize("one", LASTING, ids=lambda one: one.name)
def test_a_lasting_fault_of_one_vendor(siege: Siege, table: Table, one: Met) -> None:
    ended = siege.tried[one.name]
    words = ended.words(one.said)
    # All assets are sent for: those of the vendor with what was measured last.
    assert (ended.status, siege.newest[one.name]) == (one.status, ALL)
    assert SECRET not in ended.printed
    table.take(
        one.name,
        f"exit {one.status}; {quoted(words)}; all {ALL} sent",
        f"its {siege.late} readings came",
        siege.breaches,
    )


@pytest.mark.parametrize("one", PASSING, ids=lambda one: one.name)
def test_a_fault_that_passes(life: Life, clouds: Clouds, table: Table, one: Met) -> None:
    clouds.to(life.now + SLOT)
    clouds.set_faults(one.rule)
    ended = life.run()
    words = ended.words(one.said)
    assert ended.status == one.status
    if one.waits_s is not None:
        assert sum(one.waits_s[0] <= wait < one.waits_s[1] for wait in ended.waits) == 2
    clouds.set_faults()
    table.take(one.name, f"exit {one.status}; {quoted(words)}", "nothing was left to come", clouds.breaches())


def test_the_table(table: Table) -> None:
    table.hold()
