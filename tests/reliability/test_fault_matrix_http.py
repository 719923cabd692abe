"""HTTP faults of the exchange, end to end: a real feed against a real exchange, and the next one after it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.flows.places import SLOT
from tests.reliability.matrix import ALL, HASTE, Ended, Life, Table, open_life, quoted
from tests.reliability.template import Call

POSTS = "set_energy_forecast"
LOGIN = "/api-token-auth/"
DAY_S = 86_400
NOBODY = "http://127.0.0.1:9"
TAKEN, BACK, REFUSED = "accepted", "pending", "rejected"


@dataclass(frozen=True, kw_only=True)
class One:
    """A fault that one asset's posts meet while the other assets' get through."""

    name: str
    rule: Mapping[str, Any]
    state: str = TAKEN
    """Of its submission after the run that met the fault."""

    posts: int = 3
    """That reached the exchange in that run: the fault meets two of those that are tried again."""

    said: str = ""
    """Reason that is kept with the submission."""

    waits_s: tuple[float, float] | None = None
    """Each wait that the exchange asked for lies between these."""


def refused(status: int) -> One:
    """A status that no further try mends."""
    return One(
        name=f"{status} to an asset's post",
        rule={"do": "status", "status": status},
        state=REFUSED,
        posts=1,
        said=f"the exchange answered {status}: ",
    )


def busy(status: int) -> One:
    """A status that says: later."""
    return One(name=f"{status}, twice", rule={"do": "status", "status": status, "times": 2})


def asked(name: str, retry_after: str, waits_s: tuple[float, float] | None, *, status: int = 429) -> One:
    """A Retry-After that is short enough to be waited."""
    rule = {"do": "status", "status": status, "times": 2, "retry_after": retry_after}
    return One(name=f"{status} with {name}, twice", rule=rule, waits_s=waits_s)


ERROR_INSIDE = '{"command": "forecast", "status": "error", "error_message": "unknown command"}'
ONES = [
    *map(refused, (400, 403, 404, 409, 413, 422)),
    One(
        name="200 with an error inside",
        rule={"do": "replace", "body": ERROR_INSIDE},
        state=REFUSED,
        posts=1,
        said="the exchange refuses it: unknown command",
    ),
    *map(busy, (408, 425, 500, 502, 503, 504)),
    asked("seconds", "7", (7, 8)),
    asked("a date", "date+33", (32, 34)),
    asked("nothing that can be read", "soon", None),
    asked("seconds", "14", (14, 15), status=503),
    One(name="429 without Retry-After, twice", rule={"do": "status", "status": 429, "times": 2}),
    One(
        name="429 with a day",
        rule={"do": "status", "status": 429, "retry_after": str(DAY_S)},
        state=BACK,
        posts=1,
        said="the exchange answered 429",
    ),
    One(name="200 with a web page, twice", rule={"do": "html", "times": 2}),
    One(name="200 with an empty object, twice", rule={"do": "empty", "times": 2}),
    One(name="200 with no byte, twice", rule={"do": "replace", "body": "", "times": 2}),
    One(name="200 with half a JSON, twice", rule={"do": "replace", "body": '{"status": "rea', "times": 2}),
    One(name="redirected to another host, twice", rule={"do": "redirect", "location": NOBODY, "times": 2}),
    One(
        name="redirected to another host each time",
        rule={"do": "redirect", "location": NOBODY},
        state=BACK,
        posts=5,
        said="redirected to 127.0.0.1 (307), where nothing is sent",
    ),
    One(name="connection reset, twice", rule={"do": "reset", "times": 2}),
    One(name="applied and the reply lost, twice", rule={"do": "lose_reply", "times": 2}),
    One(name="applied and the reply cut off, twice", rule={"do": "truncate", "times": 2}),
]


@dataclass(frozen=True, kw_only=True)
class Lasting:
    """A fault that all posts or logins meet, until it is mended."""

    name: str
    rules: Sequence[Mapping[str, Any]]
    seen: str
    """States after the run that met it."""

    said: str
    """What its user reads, as a pattern."""

    status: int = 1
    before: Sequence[Call] = ()
    lost: Sequence[str] = ()
    """Faults whose answer came after nobody waited any more."""

    logins: int = 1


NONE_LEFT = f"{ALL} pending"
IMPATIENT: Call = (f"{HASTE}:lose_patience", 1.0, 2.0)
AWAY = r"no answer from 127\.0\.0\.1 \({}.*?\)"
LASTING = [
    Lasting(
        name="every connection reset",
        rules=[{"do": "reset", "path": POSTS}],
        seen=NONE_LEFT,
        said=AWAY.format("ReadError"),
    ),
    Lasting(
        name="no answer in time, though applied",
        rules=[{"do": "delay", "path": POSTS, "seconds": 3}],
        seen=NONE_LEFT,
        said=AWAY.format("ReadTimeout"),
        before=[IMPATIENT],
        lost=["delay"],
    ),
    Lasting(
        name="the answer drips, though applied",
        rules=[{"do": "drip", "path": POSTS, "seconds": 0.2}],
        seen=NONE_LEFT,
        said=AWAY.format("TimeoutError"),
        before=[IMPATIENT],
        lost=["drip"],
    ),
    Lasting(
        name="every answer cut off, though applied",
        rules=[{"do": "truncate", "path": POSTS}],
        seen=NONE_LEFT,
        said=r"no answer from 127\.0\.0\.1 \(ReadError Response payload is not completed",
    ),
    Lasting(
        name="a proxy's page in place of every answer",
        rules=[{"do": "html", "path": POSTS}],
        seen=NONE_LEFT,
        said="answered 200 without JSON: <!DOCTYPE html>",
    ),
    Lasting(
        name="503 to all", rules=[{"do": "status", "path": POSTS}], seen=NONE_LEFT, said="the exchange answered 503"
    ),
    Lasting(
        name="429 with a day to all",
        rules=[{"do": "status", "status": 429, "retry_after": str(DAY_S), "path": POSTS}],
        seen=NONE_LEFT,
        said="the exchange answered 429",
    ),
]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with open_life(tmp_path_factory.mktemp("community"), tmp_path_factory.mktemp("exchange")) as opened:
        yield opened


@pytest.fixture(scope="module")
def table() -> Table:
    return Table("http", [*(one.name for one in ONES), *(one.name for one in LASTING)])


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What became of the assets that met a fault each."""

    first: Ended
    outbox: Mapping[str, Mapping[str, Any]]
    """After the first run."""

    posts: Counter[str]
    after: Mapping[str, Mapping[str, Any]]
    """At the end, of the same slot."""

    next_slot: str
    breaches: str
    listed: Mapping[str, str]
    """Asset -> diagnosis of its open discrepancy."""


@pytest.fixture(scope="module")
def scene(life: Life) -> Scene:
    """All of `ONES` in one run, another run without, the next slot's, and a reconciliation."""
    life.begin()
    names = [asset.name for asset in life.place.community.assets]
    life.set_faults(*({**one.rule, "path": POSTS, "asset": names[n]} for n, one in enumerate(ONES)))
    first = life.run()
    outbox, posts = life.outbox(), life.posts()
    life.recover()
    life.recover(after=SLOT)
    next_slot = {row["state"] for row in life.outbox().values()}
    life.settle()
    after = life.outbox(slot_start=next(iter(outbox.values()))["slot_start"])
    return Scene(
        first=first,
        outbox=outbox,
        posts=posts,
        after=after,
        next_slot=next_slot.pop() if len(next_slot) == 1 else str(next_slot),
        listed=life.diagnoses(),
        breaches=life.breaches(),
    )


def test_faults_of_single_assets_leave_the_others_alone(scene: Scene) -> None:
    rows = list(scene.outbox.values())
    counted = Counter(row["state"] for row in rows)
    assert counted == Counter(one.state for one in ONES) + Counter({TAKEN: ALL - len(ONES)})
    assert {scene.posts[row["asset_id"]] for row in rows[len(ONES) :]} == {1}
    assert scene.first.status == 1
    assert scene.first.words(r"took \d+ values").split()[1] == str(counted[TAKEN])
    assert scene.first.words(r"refused \d+") == f"refused {counted[REFUSED]}"
    # Nobody waited longer than was asked and a little more, and no day.
    asked_s = [wait for wait in scene.first.waits if wait > 5]
    assert len(asked_s) == 2 * sum(one.waits_s is not None for one in ONES)
    assert scene.next_slot == TAKEN


@pytest.mark.parametrize("number", range(len(ONES)), ids=lambda number: ONES[number].name)
def test_a_fault_of_one_asset(scene: Scene, table: Table, number: int) -> None:
    one, (name, row) = ONES[number], list(scene.outbox.items())[number]
    posts = scene.posts[row["asset_id"]]
    assert (row["state"], posts) == (one.state, one.posts)
    assert one.said in row["error"]
    if one.said:
        assert row["error"].startswith(f"forecast of asset '{name}' for slot 2016-10-29 22:15 UTC: ")
    if one.waits_s is not None:
        low, high = one.waits_s
        assert sum(low <= wait < high for wait in scene.first.waits) == 2
    happened = (
        f"{row['state']} after {posts} post"
        + ("s" if posts > 1 else "")
        + (f": {quoted(one.said)}" if one.said else "")
    )
    after = scene.after[name]["state"]
    listed = scene.listed.get(name, "")
    assert (after, listed) == ((REFUSED, "refused") if one.state is REFUSED else ("confirmed", ""))
    table.take(one.name, happened, f"{after}, listed as `{listed}`" if listed else after, scene.breaches)


@pytest.mark.parametrize("one", LASTING, ids=lambda one: one.name)
def test_a_lasting_fault(life: Life, table: Table, one: Lasting) -> None:
    life.begin()
    life.set_faults(*one.rules)
    ended = life.run(before=one.before)
    words = ended.words(one.said)
    assert (ended.status, life.states(), life.logins()) == (one.status, one.seen, one.logins)
    life.recover()
    states = life.states()
    assert states == f"{ALL} accepted"
    table.take(one.name, f"exit {one.status}; {one.seen}; {quoted(words)}", states, life.breaches(lost=one.lost))


def test_the_table(table: Table) -> None:
    table.hold()
